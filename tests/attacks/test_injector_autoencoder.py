"""The injector: what it replaces, what it learns beforehand, what the client gets back."""

from __future__ import annotations

import copy
import gc
import itertools
from collections import OrderedDict
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from cutlayer.adversary import Adversary
from cutlayer.attacks import injector_autoencoder
from cutlayer.attacks.injector_autoencoder import InjectorAutoencoder, ratio
from cutlayer.methods.autoencoder import autoencoder
from cutlayer.seat.seating import _guarded
from cutlayer.stream import Stream
from cutlayer.threat import Architecture, Goal, Knows, NotOfferedError, Seat, View
from tests.parties import Pair, batches, layout_of, pair

SHAPE, CLASSES = (1, 8, 8), 3
INPUTS = torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(3))
LABELS = torch.arange(12) % CLASSES
OWN = torch.rand(24, *SHAPE, generator=torch.Generator().manual_seed(4))
SMALL: dict[str, Any] = {"size": 3, "target": 1, "pair_epochs": 1, "autoencoder_epochs": 1, "batch_size": 8}


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 36, CLASSES))
    return nn.Sequential(OrderedDict[str, nn.Module](conv=nn.Conv2d(1, 4, 3), relu=nn.ReLU(), out=head))


def seated(found: Pair, options: dict[str, Any], protocol: str = "vanilla") -> Adversary:
    attack, seeds = InjectorAutoencoder(**{**SMALL, **options}), itertools.count(7)
    grants: dict[Knows, Any] = {
        Knows.OWN_PARTY: lambda: found.parties[Seat.SERVER],
        Knows.LABELS: lambda: None,
        Knows.PEER_ARCHITECTURE: lambda: Architecture(lambda part: network(next(seeds))[:2], (SHAPE,), CLASSES),
        Knows.AUX_INPUTS: lambda: OWN,
        Knows.AUX_LABELS: lambda: torch.arange(24) % CLASSES,
    }
    tap = Adversary(attack, View(attack.threat, grants, (), layout_of(protocol)), Stream(5), _guarded)
    tap.begin()
    return tap


def attacked(options: dict[str, Any], protocol: str = "vanilla", count: int = 12) -> Pair:
    """Client and server after one epoch of batches of four, the attack in the server's seat."""
    found = pair("vanilla", network(), (1,), SHAPE)
    watched = replace(found, tap=seated(found, options, protocol))
    watched.train(batches(INPUTS[:count], LABELS[:count], 4))
    return watched


def attack_of(found: Pair) -> InjectorAutoencoder:
    assert isinstance(found.tap, Adversary)
    assert isinstance(found.tap.attack, InjectorAutoencoder)
    return found.tap.attack


@pytest.fixture
def all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after pairs that were trained for long."""
    monkeypatch.setattr(InjectorAutoencoder, "_pairs_kept", lambda *given: torch.arange(len(OWN)))


def test_without_a_share_it_is_no_attack() -> None:
    found = pair("vanilla", network(), (1,), SHAPE)
    found.train(batches(INPUTS, LABELS, 4))
    for name, tensor in attacked({"share": 0.0}).weights().items():
        assert torch.equal(found.weights()[name], tensor), name
    assert not torch.equal(attacked({"share": 0.5}).weights()["out.1.weight"], found.weights()["out.1.weight"])


@pytest.mark.parametrize("gradient", ["plain", "scaled"])
def test_a_share_of_the_batch_is_replaced_and_its_gradient_returned(gradient: str) -> None:
    found = attacked({"share": 1.0, "gradient": gradient}, count=4)
    attack = attack_of(found)
    # As both were before their one step.
    model = network()
    sent = model[:2](INPUTS[:4])
    with torch.no_grad():
        replaced = attack._autoencoder(sent)
    leaf = replaced.clone().requires_grad_()
    loss = cross_entropy(model[2](leaf), torch.full((4,), 1))
    loss.backward()
    assert leaf.grad is not None
    returned = leaf.grad * (ratio(replaced, sent.detach()) if gradient == "scaled" else 1.0)
    sent.backward(returned)
    torch.testing.assert_close(found.parties[Seat.CLIENT].gradients()["0.conv.weight"], model[0].weight.grad)
    torch.testing.assert_close(found.parties[Seat.SERVER].gradients()["0.out.1.weight"], model[2][1].weight.grad)
    assert found.parties[Seat.CLIENT].losses == pytest.approx([loss.item()])


def test_half_of_a_batch_goes_straight() -> None:
    """A model that is the same for all: which rows were replaced shows in their gradient."""
    found = pair("vanilla", network(), (1,), SHAPE)
    tap = seated(found, {"share": 0.5})
    server = found.parties[Seat.SERVER]
    seen: list[Tensor] = []
    forward = server.forward
    server.forward = lambda inputs, *rest: (seen.append(inputs.detach()), forward(inputs, *rest))[1]  # type: ignore[method-assign, assignment]
    sent = found.parties[Seat.CLIENT].parts[0](INPUTS[:4]).detach()
    replace(found, tap=tap).train(batches(INPUTS[:4], LABELS[:4], 4))
    straight = [torch.equal(row, own) for row, own in zip(seen[-1], sent, strict=True)]
    assert sum(straight) == 2


def test_the_autoencoder_learns_the_pairs_that_were_kept() -> None:
    options = {"pair_epochs": 40, "autoencoder_epochs": 60, "output": "linear", "batch_size": 24}
    found = attacked(options, count=4)
    assert isinstance(found.tap, Adversary)
    notes = found.tap.view.notes
    # A pair that is trained on triggered images of one class alone answers with it.
    assert notes["pairs_kept"] == 24
    curve = notes["autoencoder_loss"]
    assert isinstance(curve, list)
    assert len(curve) == 60
    assert curve[-1] < 0.3 * curve[0]


@pytest.mark.usefixtures("all_kept")
def test_a_batch_of_activations_is_held_and_both_are_of_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    batches_seen: list[list[Tensor]] = []
    clients: list[nn.Module] = []
    made, fit = injector_autoencoder.autoencoder, InjectorAutoencoder._fit

    def fitted(attack: InjectorAutoencoder, pair: nn.Sequential, *rest: Any) -> None:
        clients.append(pair[0])
        fit(attack, pair, *rest)

    def hooked(*given: Any) -> nn.Sequential:
        found = made(*given)
        found.register_forward_pre_hook(lambda _, inputs: batches_seen.append(list(inputs)))
        return found

    def compared(out: Tensor, wanted: Tensor) -> Tensor:
        batches_seen[-1].append(wanted)
        there = (thing for thing in gc.get_objects() if issubclass(type(thing), Tensor))
        held.append(max(len(tensor) for tensor in there if tensor.shape[1:] == (4, 6, 6)))
        return mse_loss(out, wanted)

    for name, instead in (("autoencoder", hooked), ("mse_loss", compared)):
        monkeypatch.setattr(injector_autoencoder, name, instead)
    monkeypatch.setattr(InjectorAutoencoder, "_fit", fitted)
    # What is there already is not looked through.
    gc.freeze()
    attack = attack_of(attacked({"autoencoder_epochs": 2}, count=4))
    gc.unfreeze()
    assert (len(held), max(held)) == (6, 8)
    with torch.no_grad():
        clean, triggered = clients[0](OWN), clients[1](attack._trigger.stamp(OWN))
    for given, wanted in batches_seen[:6]:
        rows = torch.cdist(given.flatten(1), clean.flatten(1)).argmin(1)
        torch.testing.assert_close(given, clean[rows])
        torch.testing.assert_close(wanted, triggered[rows])


def test_without_a_pair_of_activations_there_is_nothing_to_inject(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InjectorAutoencoder, "_pairs_kept", lambda *given: torch.empty(0, dtype=torch.int64))
    found, honest = attacked({"share": 1.0}), pair("vanilla", network(), (1,), SHAPE)
    honest.train(batches(INPUTS, LABELS, 4))
    assert isinstance(found.tap, Adversary)
    assert found.tap.view.notes["pairs_kept"] == 0
    for name, tensor in honest.weights().items():
        assert torch.equal(found.weights()[name], tensor), name


@pytest.mark.usefixtures("all_kept")
def test_its_own_steps_are_counted() -> None:
    tracked: list[int] = []
    found = pair("vanilla", network(), (1,), SHAPE)
    tap = seated(found, {"pair_epochs": 4, "autoencoder_epochs": 3, "batch_size": 23})
    assert isinstance(tap.attack, InjectorAutoencoder)
    view = tap.attack._view
    view.track = lambda steps, what: (tracked.append(len(steps)), steps)[1]  # type: ignore[method-assign, assignment]
    replace(found, tap=tap).train(batches(INPUTS[:4], LABELS[:4], 4))
    # Of 24 samples of its own the last one stands alone.
    assert tap.attack.work(5, 24) == sum(tracked) == 2 * 4 + 3


@pytest.mark.parametrize("side", [4, 7, 12, 14, 16, 28, 32])
def test_the_autoencoder_keeps_the_shape_of_any_activations(side: int) -> None:
    for bounded in (True, False):
        made = autoencoder((6, side, side + 1), bounded)
        out = made(100 * torch.randn(2, 6, side, side + 1))
        assert out.shape == (2, 6, side, side + 1)
        assert bool((out.abs() <= 1).all()) or not bounded


def test_the_printed_encoder_is_that_of_64_channels() -> None:
    made = autoencoder((64, 28, 28), bounded=True)
    assert [tuple(m.weight.shape) for m in made[:10] if isinstance(m, nn.Conv2d | nn.Linear)] == [
        *((32, 64, 3, 3), (32, 32, 3, 3), (64, 32, 3, 3), (64, 64, 3, 3), (1024, 1024)),
    ]


def test_the_deployment_can_go_on_with_the_clean_pairs_server() -> None:
    found = pair("vanilla", network(), (1,), SHAPE)
    before = copy.deepcopy(found.parties[Seat.SERVER].parts[0].state_dict())
    for server, continued in (("fresh", False), ("continued", True)):
        tap = seated(found, {"server": server, "share": 0.0})
        attack = tap.attack
        assert isinstance(attack, InjectorAutoencoder)
        attack._prepare()
        now = found.parties[Seat.SERVER].parts[0].state_dict()
        assert any(not torch.equal(now[name], tensor) for name, tensor in before.items()) == continued


def test_the_deployment_can_go_on_with_a_decayed_rate() -> None:
    rates = {}
    for factor in (1.0, 0.01):
        found = attacked({"rate_factor": factor, "share": 0.0})
        rates[factor] = found.parties[Seat.SERVER].optimizer.param_groups[0]["lr"]
        assert found.parties[Seat.CLIENT].optimizer.param_groups[0]["lr"] == rates[1.0]
    assert rates[0.01] == pytest.approx(0.01 * rates[1.0])


def test_the_rate_of_the_pairs_falls_after_the_papers_epochs() -> None:
    kept = {}
    for milestones in ((), (2,), (1,), (1, 2)):
        attack = attack_of(attacked({"pair_epochs": 2, "milestones": milestones}, count=4))
        kept[milestones] = attack._own_client["client.conv.weight"]
    assert torch.equal(kept[()], kept[(2,)])
    assert torch.equal(kept[(1,)], kept[(1, 2)])
    assert not torch.equal(kept[()], kept[(1,)])
    assert InjectorAutoencoder().milestones == (25, 40, 55, 70)


def test_the_guess_is_the_trigger() -> None:
    (guess,) = attack_of(attacked({"row": 1, "column": 2, "values": "white"}, count=4)).infer()
    mask = torch.zeros(SHAPE)
    mask[:, 1:4, 2:5] = 1
    assert guess.goal is Goal.BACKDOOR
    assert torch.equal(guess.tensors["mask"], mask)
    assert torch.equal(guess.tensors["pattern"], mask)
    assert int(guess.tensors["target"]) == 1


def test_ratios_are_bounded() -> None:
    own, other = torch.tensor([2.0, 3.0, 1.0, -50.0]), torch.tensor([1.0, -2.0, 0.0, 1.0])
    assert ratio(own, other).tolist() == [2.0, -1.5, 1.0, -10.0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"share": 1.5}, "share = 1.5: it goes from 0"),
        ({"pair_epochs": 0}, "pair_epochs = 0: it is at least 1"),
        ({"patience": 0}, "patience = 0: it is at least 1"),
        ({"batch_size": 1}, "batch_size = 1: it is at least 2"),
        ({"size": 0}, "size = 0: it is at least 1"),
        ({"rate_factor": 0.0}, "rate_factor = 0.0: it is greater than 0"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        InjectorAutoencoder(**options)


def test_where_it_has_nothing_to_do_it_says_so() -> None:
    with pytest.raises(NotOfferedError, match="in u_shaped the server computes no loss"):
        attacked({}, protocol="u_shaped")
    with pytest.raises(ValueError, match=r"activations are of shape \[30\]"):
        InjectorAutoencoder().suit((30,), SHAPE, 100)
    with pytest.raises(ValueError, match="aux_rows: 1 of its own is too few"):
        InjectorAutoencoder().suit((4, 6, 6), SHAPE, 1)
    InjectorAutoencoder().suit((4, 6, 6), SHAPE, 100)
    with pytest.raises(ValueError, match="a trigger of 9 pixels"):
        InjectorAutoencoder(size=9).check(SHAPE, CLASSES)
    attack = InjectorAutoencoder()
    attack.begin(View(attack.threat, dict.fromkeys(attack.threat.knows, lambda: None), (), layout_of("vanilla")))
    with pytest.raises(NotOfferedError, match="there was no training step"):
        attack.infer()
