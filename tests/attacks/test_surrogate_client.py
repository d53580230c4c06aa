"""The surrogate client: no attack at alpha = 1, equation 1 below it, a trigger where it was asked for."""

from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cutlayer.adversary import Adversary
from cutlayer.attacks.surrogate_client import SurrogateClient
from cutlayer.computing import Computing
from cutlayer.experiment import ExperimentError, make
from cutlayer.scene.settle import settle
from cutlayer.seat.seating import _guarded
from cutlayer.stream import Stream
from cutlayer.threat import Architecture, Goal, Knows, NotOfferedError, Seat, View
from tests.parties import Pair, batches, layout_of, pair

SHAPE, CLASSES = (1, 8, 8), 3
INPUTS = torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(3))
LABELS = torch.arange(12) % CLASSES
SMALL = {"size": 3, "target": 1}


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            conv=nn.Conv2d(1, 4, 3),
            relu=nn.ReLU(),
            drop=nn.Dropout(0.3),
            out=nn.Sequential(nn.Flatten(), nn.Linear(4 * 36, CLASSES)),
        )
    )


def grants(found: Pair, own: Tensor, surrogate: nn.Module) -> dict[Knows, Any]:
    return {
        Knows.OWN_PARTY: lambda: found.parties[Seat.SERVER],
        Knows.LABELS: lambda: None,
        Knows.PEER_ARCHITECTURE: lambda: Architecture(lambda part: surrogate, (SHAPE,), CLASSES),
        Knows.AUX_INPUTS: lambda: own,
        Knows.AUX_LABELS: lambda: torch.arange(len(own)) % CLASSES,
    }


def attacked(options: dict[str, Any], protocol: str = "vanilla", epochs: int = 2, count: int = 12) -> Pair:
    """Client and server after ``epochs`` of batches of four, the attack in the server's seat."""
    found = pair("vanilla", network(), (1,), SHAPE)
    attack = SurrogateClient(**{**SMALL, **options})
    own = torch.rand(8, *SHAPE, generator=torch.Generator().manual_seed(4))
    view = View(attack.threat, grants(found, own, first(network(7))), (), layout_of(protocol))
    tap = Adversary(attack, view, Stream(5), _guarded)
    tap.begin()
    watched = replace(found, tap=tap)
    for _ in range(epochs):
        watched.train(batches(INPUTS[:count], LABELS[:count], 4))
    return watched


def attack_of(options: dict[str, Any]) -> SurrogateClient:
    tap = attacked(options).tap
    assert isinstance(tap, Adversary)
    assert isinstance(tap.attack, SurrogateClient)
    return tap.attack


def first(model: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(OrderedDict(list(model.named_children())[:2]))


def honest() -> dict[str, Tensor]:
    found = pair("vanilla", network(), (1,), SHAPE)
    for _ in range(2):
        found.train(batches(INPUTS, LABELS, 4))
    return found.weights()


def test_without_its_share_of_the_loss_it_is_no_attack() -> None:
    weights = attacked({"alpha": 1.0}).weights()
    for name, tensor in honest().items():
        assert torch.equal(weights[name], tensor), name
    changed = attacked({"alpha": 0.9}).weights()
    assert not any(torch.equal(changed[name], tensor) for name, tensor in honest().items())


@pytest.mark.parametrize("type_", ["", "bfloat16"])
def test_the_surrogate_is_computed_as_an_honest_client_is(type_: str) -> None:
    """Where it has a client's weights, it gives what that client sends, to the last bit."""
    found = pair("vanilla", network(), (1,), SHAPE, computing=Computing("cpu", type_))
    client = found.parties[Seat.CLIENT]
    attack = SurrogateClient(alpha=1.0, **SMALL)
    own = torch.rand(8, *SHAPE, generator=torch.Generator().manual_seed(4))
    copied = copy.deepcopy(client.parts[0])
    tap = Adversary(
        attack, View(attack.threat, grants(found, own, copied), (), layout_of("vanilla")), Stream(5), _guarded
    )
    tap.begin()
    replace(found, tap=tap).train(batches(INPUTS[:4], LABELS[:4], 4))
    attack._surrogate.load_state_dict(client.parts[0].state_dict())
    assert torch.equal(attack._own_smashed(INPUTS), client.forward(INPUTS, training=False))


def test_one_step_is_that_of_equation_1() -> None:
    plain = nn.Sequential(*(block for name, block in network().named_children() if name != "drop"))
    for halved, share in ((False, 1.0), (True, 0.5)):
        found = pair("vanilla", plain, (1,), SHAPE)
        # Of Adam's first step only signs are to be seen: a decay as large as this turns some of them.
        own_options = {"learning_rate": 0.01, "weight_decay": 1.0, "values": "white", **SMALL}
        attack = SurrogateClient(alpha=0.25, poisoned=1.0, halved=halved, **own_options)
        (image,) = own = torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(4))
        surrogate = first(network(7))
        kept = copy.deepcopy([found.parties[Seat.CLIENT].parts[0], found.parties[Seat.SERVER].parts[0], surrogate])
        tap = Adversary(
            attack, View(attack.threat, grants(found, own, surrogate), (), layout_of("vanilla")), Stream(5), _guarded
        )
        tap.begin()
        replace(found, tap=tap).train(batches(INPUTS[:4], LABELS[:4], 4))

        triggered = image.clone()
        triggered[:, 0:3, 2:5] = 1.0
        client, server, other = kept
        honest_loss = cross_entropy(server(client(INPUTS[:4])), LABELS[:4])
        planted = cross_entropy(server(other(triggered.expand(4, *SHAPE))), torch.full((4,), 1))
        (share * (0.25 * honest_loss + 0.75 * planted)).backward()
        for seat, expected in ((Seat.CLIENT, client), (Seat.SERVER, server)):
            for name, weight in expected.named_parameters():
                torch.testing.assert_close(found.parties[seat].gradients()[f"0.{name}"], weight.grad)
        torch.testing.assert_close(attack._surrogate[0].weight.grad, other[0].weight.grad)
        torch.optim.Adam(other.parameters(), lr=0.01, weight_decay=1.0).step()
        torch.testing.assert_close(attack._surrogate.state_dict(), other.state_dict())
        assert found.parties[Seat.CLIENT].losses == pytest.approx([honest_loss.item()])


def test_dropout_draws_for_each_of_the_two_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    dropout, drawn = nn.Dropout.forward, list[Tensor]()

    def noted(layer: nn.Dropout, inputs: Tensor) -> Tensor:
        if layer.training:
            drawn.append(torch.get_rng_state())
        return dropout(layer, inputs)

    monkeypatch.setattr(nn.Dropout, "forward", noted)
    attacked({"alpha": 0.5}, epochs=1, count=4)
    honest_batch, own_batch = drawn
    assert not torch.equal(honest_batch, own_batch)


def test_the_surrogates_rate_falls_with_the_servers() -> None:
    rates = {}
    for falling in (True, False):
        found = pair("vanilla", network(), (1,), SHAPE)
        server = found.parties[Seat.SERVER]
        server.schedule = lambda step: 0.4 if step < 2 else 0.1
        attack = SurrogateClient(learning_rate=0.01, falling=falling, **SMALL)
        view = View(attack.threat, grants(found, INPUTS, first(network(7))), (), layout_of("vanilla"))
        tap = Adversary(attack, view, Stream(5), _guarded)
        tap.begin()
        rates[falling] = []
        for start in (0, 4, 8):
            replace(found, tap=tap).train(batches(INPUTS[start : start + 4], LABELS[start : start + 4], 4))
            rates[falling].append(attack._optimizer.param_groups[0]["lr"])
    assert rates == {True: pytest.approx([0.01, 0.01, 0.0025]), False: pytest.approx([0.01] * 3)}


def test_a_schedule_replaces_alpha_step_by_step() -> None:
    late = attacked({"alpha": 1.0, "later_alphas": (0.2,), "alpha_steps": (6,)}).weights()
    soon = attacked({"alpha": 1.0, "later_alphas": (0.2,), "alpha_steps": (5,)}).weights()
    assert all(torch.equal(late[name], tensor) for name, tensor in honest().items())
    assert not all(torch.equal(soon[name], tensor) for name, tensor in honest().items())


def test_each_weight_may_have_a_length_of_its_own() -> None:
    attack = SurrogateClient(alpha=0.95, later_alphas=(0.5, 0.3), alpha_steps=(2, 3))
    found = []
    for steps in range(7):
        attack._losses = [0.0] * steps
        found.append(attack._alpha())
    assert found == [0.95, 0.95, 0.5, 0.5, 0.5, 0.3, 0.3]


def test_a_share_of_the_own_data_carries_trigger_and_label() -> None:
    attack = attack_of({"poisoned": 0.5, "row": 2, "column": 4, "target": 2})
    mask = torch.zeros(SHAPE)
    mask[:, 2:5, 4:7] = 1
    (guess,) = attack.infer()
    assert guess.goal is Goal.BACKDOOR
    assert torch.equal(guess.tensors["mask"], mask)
    assert int(guess.tensors["target"]) == 2
    pattern = guess.tensors["pattern"]
    assert torch.equal(pattern * (1 - mask), torch.zeros(SHAPE))
    assert len(pattern[mask == 1].unique()) == 9
    original = torch.rand(8, *SHAPE, generator=torch.Generator().manual_seed(4))
    poisoned = [not torch.equal(now, before) for now, before in zip(attack._inputs, original, strict=True)]
    assert sum(poisoned) == 4
    for row, changed in enumerate(poisoned):
        expected = original[row] * (1 - mask) + pattern * mask if changed else original[row]
        assert torch.equal(attack._inputs[row], expected)
        assert int(attack._labels[row]) == (2 if changed else row % CLASSES)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"alpha": 1.5}, "alpha = 1.5: a weight goes from 0"),
        ({"later_alphas": (-0.1,)}, "later_alphas = -0.1: a weight goes from 0"),
        ({"poisoned": 0.0}, "poisoned = 0.0: a share is greater than 0"),
        (
            {"later_alphas": (0.1,) * 3, "alpha_steps": (5, 6)},
            r"alpha_steps = \[5, 6\]: one number, or one for each .* \(3\)",
        ),
        ({"alpha_steps": ()}, r"alpha_steps = \[\]: one number"),
        ({"alpha_steps": (0,)}, r"alpha_steps = \[0\]: each is at least 1"),
        ({"learning_rate": -1.0}, "learning_rate = -1.0: it is greater than 0"),
        ({"weight_decay": -1.0}, "weight_decay = -1.0: it is at least 0"),
        ({"size": 0}, "size = 0: it is at least 1"),
        ({"row": -1}, "row = -1: it is at least 0"),
        ({"target": -2}, "target = -2: it is at least 0"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SurrogateClient(**options)


@pytest.mark.parametrize(
    ("options", "shape", "said"),
    [
        ({"size": 9}, SHAPE, "a trigger of 9 pixels at row 0, column 0 does not fit 8 x 8 pixels"),
        ({"row": 6}, SHAPE, "a trigger of 3 pixels at row 6, column 2 does not fit 8 x 8 pixels"),
        ({"column": 7}, SHAPE, "a trigger of 3 pixels at row 0, column 7 does not fit 8 x 8 pixels"),
        ({"target": 3}, SHAPE, "target = 3: there are 3 classes, from 0"),
        ({}, (30,), r"the trigger is a square in an image, and inputs are of shape \[30\]"),
    ],
)
def test_what_does_not_fit_the_inputs_is_refused_before_anything_is_trained(
    options: dict[str, Any], shape: tuple[int, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        SurrogateClient(**{**SMALL, **options}).check(shape, CLASSES)
    SurrogateClient(**SMALL).check(SHAPE, CLASSES)
    if len(shape) == 3:
        with pytest.raises(ExperimentError, match=r"surrogate_client: (a trigger of|target = 99)"):
            settle(make({"attack": "surrogate_client", "options": {"surrogate_client": {next(iter(options)): 99}}}))


def test_a_server_that_computes_no_loss_has_nothing_to_add_to() -> None:
    with pytest.raises(NotOfferedError, match="in u_shaped the server computes no loss"):
        attacked({}, protocol="u_shaped")


def test_without_training_there_is_nothing_to_poison() -> None:
    attack = SurrogateClient()
    attack.begin(View(attack.threat, dict.fromkeys(attack.threat.knows, lambda: None), (), layout_of("vanilla")))
    with pytest.raises(NotOfferedError, match="there was no training step"):
        attack.infer()
