"""An attack that stands around the honest party: what it is shown, what passes it by, what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import nn

from cutlayer.adversary import Adversary
from cutlayer.attack import TamperingAttack
from cutlayer.batch import Batch
from cutlayer.computing import Computing
from cutlayer.message import Kind, Message
from cutlayer.seat.seating import _guarded
from cutlayer.stream import Stream
from cutlayer.threat import Goal, Knows, Seat, ThreatModel, View
from tests.parties import Pair, batches, pair

SHAPE, CUTS = (4,), {"vanilla": (1,), "u_shaped": (1, 3), "label_only": (1,)}
LABELS = torch.arange(6) % 3


@dataclass
class Meddler(TamperingAttack):
    """Keeps what it sees, draws, and adds to the gradient."""

    paper = "none"
    plain = "A test."
    knows: frozenset[Knows] = frozenset()
    added: float = 0.0
    seen: list[Message] = field(default_factory=list)

    @property
    def threat(self):
        return ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), self.knows, tampers=True)

    def begin(self, view):
        pass

    def around(self, request, honest):
        torch.rand(3)
        reply = honest(request)
        self.seen += [request, reply]
        return reply.replace(grad=reply["grad"] + self.added) if self.added and "grad" in reply else reply

    def infer(self):
        return ()


def adversary(attack: TamperingAttack) -> Adversary:
    view = View(attack.threat, dict.fromkeys(attack.threat.knows, lambda: None), ())
    return Adversary(attack, view, Stream(1), _guarded)


def victim(protocol: str) -> Pair:
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Linear(4, 5), nn.Sequential(nn.BatchNorm1d(5), nn.Dropout(0.5)), nn.Linear(5, 5), nn.ReLU()),
        nn.Linear(5, 3),
    )
    return pair(protocol, model, CUTS[protocol], SHAPE, labels=LABELS)


def trained(protocol: str, tap: Adversary | None) -> Pair:
    inputs = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(2))
    watched = replace(victim(protocol), tap=tap)
    watched.train(batches(inputs, LABELS, 2))
    return watched


def train_message() -> Message:
    return Message(Kind.TRAIN, "client", 0, {"smashed": torch.ones(2, 3), "labels": torch.tensor([0, 1])})


def train_reply(request: Message) -> Message:
    return request.reply("server", grad=request["smashed"] * 2, loss=torch.tensor(1.0))


@pytest.mark.parametrize("protocol", CUTS)
def test_one_that_changes_nothing_leaves_no_trace(protocol):
    meddler = Meddler()
    honest, watched = trained(protocol, None), trained(protocol, adversary(meddler))
    assert meddler.seen
    for name, weight in honest.weights().items():
        assert torch.equal(weight, watched.weights()[name]), name


@pytest.mark.parametrize("protocol", CUTS)
def test_a_changed_gradient_arrives(protocol):
    honest, hijacked = trained(protocol, None), trained(protocol, adversary(Meddler(added=1.0)))
    first = next(iter(honest.weights()))
    assert not torch.equal(honest.weights()[first], hijacked.weights()[first])


def test_what_is_not_declared_passes_it_by():
    meddler, arrived = Meddler(), []

    def honest(request):
        arrived.append(request)
        return train_reply(request)

    adversary(meddler)(train_message(), honest)
    assert [set(message) for message in meddler.seen] == [{"smashed"}, {"grad", "loss"}]
    assert torch.equal(arrived[0]["labels"], torch.tensor([0, 1]))


def test_labels_are_shown_where_they_are_declared_and_counted():
    meddler = Meddler(knows=frozenset({Knows.LABELS}))
    seated = adversary(meddler)
    seated(train_message(), train_reply)
    assert "labels" in meddler.seen[0]
    assert seated.view.used == {Knows.LABELS: 1}


def test_weights_that_it_may_not_see_come_back_whole():
    meddler = Meddler()
    request = Message(Kind.WEIGHTS, "client", 0, {})
    reply = adversary(meddler)(request, lambda asked: asked.reply("client", weight=torch.ones(2)))
    assert torch.equal(reply["weight"], torch.ones(2))
    assert set(meddler.seen[1]) == set()


def test_it_shares_no_tensor_with_the_honest_party():
    meddler, request = Meddler(), train_message()

    def honest(asked):
        leaf = asked["smashed"].requires_grad_()
        loss = (leaf * 3).sum()
        loss.backward()
        return asked.reply("server", grad=leaf.grad, loss=loss)

    adversary(meddler)(request, honest)
    shown, reply = meddler.seen
    assert shown["smashed"].grad is None
    assert not shown["smashed"].requires_grad
    assert reply["loss"].grad_fn is None
    assert not request["smashed"].requires_grad


def own_batch_of(changed: Callable[[Batch], Batch]) -> tuple[Batch, Batch]:
    """A client's batch, and what an attack that ``changed`` it trains on in its place."""
    attack = Meddler()
    attack.own_batch = changed
    given = Batch(torch.arange(1, 4), torch.ones(3, *SHAPE), torch.arange(1, 4))
    return given, adversary(attack).own_batch(given)


def test_a_batch_that_it_changes_in_place_is_the_attack_s_own() -> None:
    def emptied(batch: Batch) -> Batch:
        for tensor in (batch.rows, batch.inputs, batch.labels):
            tensor.zero_()
        return batch

    given, own = own_batch_of(emptied)
    assert not own.inputs.any()
    assert own.rows.equal(given.rows), "the ledger is not the attack's to write"
    for name in ("rows", "inputs", "labels"):
        assert getattr(given, name).all(), name


@pytest.mark.parametrize(
    ("inputs", "labels", "said"),
    [(2, 2, "2 samples"), (2, 3, "2 samples"), (3, 2, "2 labels"), (4, 4, "4 samples")],
)
def test_a_batch_of_another_size_is_refused(inputs: int, labels: int, said: str) -> None:
    other = Batch(torch.arange(inputs), torch.ones(inputs, *SHAPE), torch.arange(labels))
    with pytest.raises(ValueError, match=f"the attack trains on {said} in place of 3"):
        own_batch_of(lambda batch: other)


def test_what_it_does_not_watch_does_not_reach_it():
    meddler = Meddler(added=1.0)
    meddler.watches = frozenset({Kind.PREDICT})
    reply = adversary(meddler)(train_message(), train_reply)
    assert not meddler.seen
    assert torch.equal(reply["grad"], torch.full((2, 3), 2.0))


def test_the_honest_party_s_time_is_not_the_attack_s():
    def slow(request):
        time.sleep(0.2)
        return train_reply(request)

    seated = adversary(Meddler())
    seated(train_message(), slow)
    assert 0 < seated.seconds < 0.1


@pytest.mark.parametrize("narrow", [True, False])
def test_the_honest_party_computes_as_it_does_without_the_attack_around_it(narrow: bool) -> None:
    types: dict[str, bool] = {}

    class Narrow(Meddler):
        def around(self, request, honest):
            types["attack"] = torch.is_autocast_enabled("cpu")
            return super().around(request, honest)

    def honest(request: Message) -> Message:
        types["party"] = torch.is_autocast_enabled("cpu")
        return train_reply(request)

    tap = adversary(Narrow())
    tap.attack.narrow, tap.computing = narrow, Computing("cpu", "bfloat16")  # type: ignore[misc]
    tap(train_message(), honest)
    assert types == {"attack": narrow, "party": False}


def test_an_honest_party_asked_twice_computes_with_the_weights_that_it_has_by_then() -> None:
    """Autocast keeps the first cast of a weight until its outermost context ends."""
    layer, computing = nn.Linear(3, 3, bias=False), Computing("cpu", "bfloat16")
    gave: list[torch.Tensor] = []

    class Twice(Meddler):
        narrow = True

        def around(self, request, honest):
            honest(request)
            return super().around(request, honest)

    def honest(request: Message) -> Message:
        with computing.precision():
            gave.append(layer(request["smashed"]).detach().float())
        with torch.no_grad():
            layer.weight.mul_(2)
        return train_reply(request)

    tap = adversary(Twice())
    tap.computing = computing
    tap(train_message(), honest)
    assert torch.equal(gave[1], 2 * gave[0])
