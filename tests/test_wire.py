"""The wire: a message that breaks the protocol is refused by name, and the party that got it is unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from cutlayer.channel import Direct, Handler
from cutlayer.message import Kind, Message
from cutlayer.party import Party
from cutlayer.tap import wrap
from cutlayer.threat import Seat
from cutlayer.wire import Spec, WireError, check
from tests.parties import Pair, batches
from tests.splitting import data, state, victim

# The driver's part is one convolution: no batch statistics move before the reply is there.
CUTS = {"vanilla": ("conv1",), "u_shaped": ("conv1", "drop3"), "label_only": ("conv1",)}
EXCHANGES = [
    (name, kind)
    for name, kinds in {
        "vanilla": (Kind.TRAIN, Kind.PREDICT),
        "u_shaped": (Kind.FORWARD, Kind.BACKWARD, Kind.PREDICT),
        "label_only": (Kind.TRAIN, Kind.PREDICT),
    }.items()
    for kind in kinds
]
Breakage = Callable[[Message, str], Message]


def put(message: Message, **tensors: torch.Tensor) -> Message:
    return replace(message, tensors={**message.tensors, **tensors})


def without(message: Message, name: str) -> Message:
    return replace(message, tensors={key: value for key, value in message.tensors.items() if key != name})


def poisoned(message: Message, name: str, value: float) -> Message:
    tensor = message[name].detach().clone()
    tensor.view(-1)[-1] = value
    return put(message, **{name: tensor})


FLOATS: dict[str, tuple[Breakage, str]] = {
    "NaN": (lambda m, n: poisoned(m, n, float("nan")), "holds NaN or infinite"),
    "infinite": (lambda m, n: poisoned(m, n, float("inf")), "holds NaN or infinite"),
    "minus infinite": (lambda m, n: poisoned(m, n, float("-inf")), "holds NaN or infinite"),
    "half precision": (lambda m, n: put(m, **{n: m[n].bfloat16()}), "has dtype torch.bfloat16"),
    "double precision": (lambda m, n: put(m, **{n: m[n].double()}), "has dtype torch.float64"),
}
INTEGERS: dict[str, tuple[Breakage, str]] = {
    "negative": (lambda m, n: poisoned(m, n, -1), "holds values from -1"),
    "too large": (lambda m, n: poisoned(m, n, (1 << 62) + 1), "holds values from"),
    "32 bits": (lambda m, n: put(m, **{n: m[n].int()}), "has dtype torch.int32"),
    "floating point": (lambda m, n: put(m, **{n: m[n].float()}), "has dtype torch.float32"),
}
ANY: dict[str, tuple[Breakage, str]] = {
    "missing": (without, "is missing"),
    "one dimension more": (lambda m, n: put(m, **{n: m[n][..., None]}), "has shape"),
}
BATCHED: dict[str, tuple[Breakage, str]] = {
    "scalar": (lambda m, n: put(m, **{n: m[n].flatten()[0]}), "has shape []"),
    "empty batch": (lambda m, n: put(m, **{n: m[n][:0]}), "holds no samples"),
}


def breakages(message: Message, name: str) -> dict[str, tuple[Breakage, str]]:
    found = {**ANY, **(FLOATS if message[name].dtype.is_floating_point else INTEGERS)}
    if message[name].ndim:
        found |= BATCHED
    if message[name].ndim > 1:
        found["wrong width"] = lambda m, n: put(m, **{n: m[n][:, :1]}), "has shape"
    return found


def exchanges(name: str, kind: Kind) -> tuple[Pair, Message, Message]:
    """A pair in the middle of a training, before its peer answers an honest request of ``kind``, and the reply."""
    split, seen = victim(name, CUTS[name]), []

    class ReachedError(Exception):
        pass

    def stop(request: Message, handler: Handler) -> Message:
        if len(split.parties[Seat.CLIENT].losses) and request.kind is kind:
            seen.append(request.copy())
            raise ReachedError
        return handler(request)

    split.tap = stop
    first, second = batches(*data(16), 8)
    split.train([first])
    with pytest.raises(ReachedError):
        split.predict(second) if kind is Kind.PREDICT else split.train([second])
    split.tap = None
    (request,) = seen
    twin = victim(name, CUTS[name])
    twin.tap = lambda message, handler: seen.append(reply := handler(message).copy()) or reply
    twin.train([first])
    twin.predict(second) if kind is Kind.PREDICT else twin.train([second])
    return split, request, next(reply for reply in reversed(seen) if reply.kind is kind)


def everything(split: Pair, party: Party) -> dict[str, object]:
    """All that a refused message must leave alone."""
    tensors = {key: value.clone() for key, value in state(split).items() if key.startswith(f"{party.name}.")}
    return {**tensors, "ledger": dict(party.ledger), "losses": list(party.losses), "pending": party.pending}


def unchanged(before: dict[str, object], after: dict[str, object]) -> bool:
    return before.keys() == after.keys() and all(
        torch.equal(value, after[key]) if isinstance(value, torch.Tensor) else value == after[key]
        for key, value in before.items()
    )


@pytest.mark.parametrize(("name", "kind"), EXCHANGES)
def test_a_broken_request_is_refused_and_changes_nothing(name, kind):
    split, request, _ = exchanges(name, kind)
    handler = split.protocol.handler(split.answerer, split.agreement)
    before = everything(split, split.answerer)
    for tensor in request:
        for what, (broken, reason) in breakages(request, tensor).items():
            with pytest.raises(WireError) as refusal:
                handler(broken(request, tensor))
            text = str(refusal.value)
            assert f"{tensor!r}" in text, what
            assert reason in text, what
            assert f"{kind} message of step" in text
            assert unchanged(before, everything(split, split.answerer)), what
    handler(request)  # the honest one passes


@pytest.mark.parametrize(("name", "kind"), EXCHANGES)
def test_a_broken_reply_is_refused_and_changes_nothing(name, kind):
    split, request, reply = exchanges(name, kind)
    driver = split.driver
    before = everything(split, driver)
    for tensor in reply:
        for what, (broken, reason) in breakages(reply, tensor).items():
            answers = iter([broken(reply, tensor)])
            ask = split.protocol.checked(lambda request, given=answers: next(given), split.agreement)
            with pytest.raises(WireError) as refusal:
                ask(request)
            assert f"{tensor!r}" in str(refusal.value), what
            assert reason in str(refusal.value), what
    assert unchanged(before, everything(split, driver))
    assert split.protocol.checked(lambda request: reply, split.agreement)(request) is reply


@pytest.mark.parametrize(("name", "kind"), EXCHANGES)
def test_the_driver_s_weights_do_not_move_on_a_refused_reply(name, kind):
    split, (batch,) = victim(name, CUTS[name]), batches(*data(8), 8)
    split.train([batch])

    def breaks(request: Message, handler: Handler) -> Message:
        reply = handler(request)
        return put(reply, extra=torch.zeros(1)) if request.kind is kind else reply

    split.carrier = lambda handler: wrap(Direct(handler), breaks)
    before = state(split)
    with pytest.raises(WireError, match="unknown tensor 'extra'"):
        split.predict(batch) if kind is Kind.PREDICT else split.train([batch])
    after = state(split)
    assert [k for k in before if k.startswith(split.driver.name) and not torch.equal(before[k], after[k])] == []


@pytest.mark.parametrize(("name", "kind"), EXCHANGES)
def test_an_unknown_tensor_and_uneven_batches_are_refused(name, kind):
    split, request, reply = exchanges(name, kind)
    handler, before = split.protocol.handler(split.answerer, split.agreement), everything(split, split.answerer)
    with pytest.raises(WireError, match="unknown tensor 'extra'; it may carry"):
        handler(put(request, extra=torch.zeros(8)))
    if len(request.tensors) > 1:
        with pytest.raises(WireError, match=r"holds 8 samples, the exchange has 7"):
            handler(put(request, **{next(iter(request)): next(iter(request.tensors.values()))[:7]}))
    assert unchanged(before, everything(split, split.answerer))
    for tensor in reply:
        if reply[tensor].ndim:
            short = put(reply, **{tensor: reply[tensor][:7]})
            with pytest.raises(WireError, match=rf"'{tensor}' holds 7 samples, the exchange has 8"):
                split.protocol.checked(lambda request, short=short: short, split.agreement)(request)


@pytest.mark.parametrize(("name", "kind"), EXCHANGES)
@pytest.mark.parametrize("step", [0, 2, 5])
def test_a_wrong_step_is_refused(name, kind, step):
    split, request, reply = exchanges(name, kind)
    before = everything(split, split.answerer)
    if kind is not Kind.PREDICT:
        with pytest.raises(WireError, match=rf"wrong step {step}, this party is at step 1"):
            split.protocol.handler(split.answerer, split.agreement)(replace(request, step=step))
    late = replace(reply, step=request.step + 1)
    with pytest.raises(WireError, match="wrong step"):
        split.protocol.checked(lambda request: late, split.agreement)(request)
    assert unchanged(before, everything(split, split.answerer))


@pytest.mark.parametrize(("name", "kind"), EXCHANGES)
def test_a_wrong_kind_is_refused(name, kind):
    split, request, reply = exchanges(name, kind)
    handler, before = split.protocol.handler(split.answerer, split.agreement), everything(split, split.answerer)
    for wrong in set(Kind) - set(split.protocol.wire):
        with pytest.raises(WireError, match=f"{wrong} message from .*: this protocol has"):
            handler(replace(request, kind=wrong))
        with pytest.raises(WireError, match=f"a reply to {kind} is expected"):
            split.protocol.checked(lambda request, w=wrong: replace(reply, kind=w), split.agreement)(request)
    assert unchanged(before, everything(split, split.answerer))


def test_labels_out_of_range_are_refused():
    split, request, _ = exchanges("vanilla", Kind.TRAIN)
    handler, before = split.protocol.handler(split.answerer, split.agreement), everything(split, split.answerer)
    with pytest.raises(WireError, match=r"'labels' holds values from 0 to 5, agreed is 0 to 4"):
        handler(put(request, labels=torch.tensor([0, 1, 2, 3, 4, 5, 0, 1])))
    assert unchanged(before, everything(split, split.answerer))


def test_a_forward_pass_that_waits_survives_a_refused_backward():
    split, request, _ = exchanges("u_shaped", Kind.BACKWARD)
    handler = split.protocol.handler(split.answerer, split.agreement)
    with pytest.raises(WireError, match="features_grad"):
        handler(without(request, "features_grad"))
    assert split.answerer.pending is not None
    handler(request)
    assert split.answerer.step == 2


def test_large_finite_values_pass():
    """Their sum is infinite, they are not."""
    message = Message(Kind.TRAIN, "client", 0, {"smashed": torch.full((4, 2), 3e38)})
    assert check(message, ("smashed",), {"smashed": Spec((2,))}) == 4


def test_infinities_of_both_signs_do_not_cancel():
    message = Message(Kind.TRAIN, "client", 0, {"smashed": torch.tensor([[float("inf"), float("-inf")]])})
    with pytest.raises(WireError, match="NaN or infinite"):
        check(message, ("smashed",), {"smashed": Spec((2,))})
