"""SLADV: its gradient written out, no attack at alpha 0, batches of its own, the second stage, and what is refused."""

from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from cutlayer.adversary import Adversary
from cutlayer.attacks.sladv import SLADV
from cutlayer.budget import Budget
from cutlayer.experiment import ExperimentError, make
from cutlayer.message import Kind
from cutlayer.methods.perturbation import PROBED, probe
from cutlayer.methods.shadow import shadow
from cutlayer.scene.settle import settle
from cutlayer.stream import Stream
from cutlayer.threat import Goal, Knows, NotOfferedError, Row, Seat, View
from tests.parties import Pair, batches, layout_of, pair

SHAPE, CLASSES = (3, 8, 8), 3
CUTS: dict[str, tuple[int | str, ...]] = {"vanilla": (1,), "u_shaped": (1, 3)}
BUDGETS = (Budget((0.2, 0.1, 0.2)), Budget((8 / 255,), "8/255"))
INPUTS = torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(12) % CLASSES
OWN = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(2))
NATURAL = torch.rand(PROBED + 3, *SHAPE, generator=torch.Generator().manual_seed(3))


def network(drop: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(3, 4, 3, padding=1), norm=nn.BatchNorm2d(4),
            flat=nn.Flatten(),
            fc=nn.Sequential(nn.Linear(256, 10), nn.BatchNorm1d(10), nn.ReLU(), nn.Dropout(0.3 if drop else 0)),
            out=nn.Linear(10, CLASSES),
        )
    )  # fmt: skip


def grants(found: Pair) -> dict[Knows, Any]:
    server = found.parties[Seat.SERVER]
    return {
        Knows.OWN_PART: lambda number: copy.deepcopy(server.parts[number]),
        Knows.AUX_INPUTS: lambda: OWN,
        Knows.NATURAL_INPUTS: lambda: NATURAL,
    }


def attacked(options: dict[str, Any], protocol: str = "u_shaped", drop: bool = True, count: int = 12) -> Pair:
    """Client and server after two epochs of batches of four, the attack in the server's seat."""
    found = pair(protocol, network(drop), CUTS[protocol], SHAPE)
    attack = SLADV(**options)
    rows = [Row(Kind.PREDICT, 0, row) for row in range(len(NATURAL))]
    tap = Adversary(attack, View(attack.threat, grants(found), rows, layout_of(protocol), within=BUDGETS), Stream(5))
    tap.begin()
    watched = replace(found, tap=tap)
    for _ in range(2):
        watched.train(batches(INPUTS[:count], LABELS[:count], 4))
    return watched


def adversary(found: Pair) -> Adversary:
    assert isinstance(found.tap, Adversary)
    return found.tap


def honest(protocol: str) -> dict[str, Tensor]:
    found = pair(protocol, network(), CUTS[protocol], SHAPE)
    for _ in range(2):
        found.train(batches(INPUTS, LABELS, 4))
    return found.weights()


@pytest.mark.parametrize("align", ["cut", "server_output"])
@pytest.mark.parametrize("protocol", CUTS)
def test_at_alpha_0_it_is_no_attack(protocol: str, align: str) -> None:
    weights = attacked({"alpha": 0.0, "align": align}, protocol).weights()
    for name, tensor in honest(protocol).items():
        assert torch.equal(weights[name], tensor), name
    changed = attacked({"alpha": 1.0, "align": align}, protocol).weights()
    assert not torch.equal(changed["conv.weight"], weights["conv.weight"])


@pytest.mark.parametrize("distance", ["image", "batch", "mean"])
@pytest.mark.parametrize("align", ["cut", "server_output"])
@pytest.mark.parametrize("protocol", CUTS)
def test_one_step_written_out(protocol: str, align: str, distance: str) -> None:
    """Algorithm 1: the shadow learns from L_sim, the client gets g1 + alpha g2, the server's part g1 alone."""
    model = network(drop=False)
    found = pair(protocol, model, CUTS[protocol], SHAPE)
    clip = 0.3 if distance == "batch" else 0.0
    attack = SLADV(alpha=3.0, align=align, distance=distance, shadow="single", learning_rate=0.2, clip=clip)  # type: ignore[arg-type]
    rows = [Row(Kind.PREDICT, 0, row) for row in range(len(NATURAL))]
    tap = Adversary(attack, View(attack.threat, grants(found), rows, layout_of(protocol), within=BUDGETS), Stream(5))
    tap.begin()
    with tap.stream.taken_up():
        state = torch.get_rng_state()
    replace(found, tap=tap).train(batches(INPUTS[:4], LABELS[:4], 4))

    torch.set_rng_state(state)
    layers = shadow("single", SHAPE, (4, 8, 8))
    own = OWN[torch.randperm(5)[:4]]
    client, server = model[:2].train(), model[2:].train()
    smashed = client(INPUTS[:4])
    (task,) = torch.autograd.grad(cross_entropy(server(smashed), LABELS[:4]), smashed, retain_graph=True)
    middle = nn.Identity() if align == "cut" else server[:-1] if protocol == "u_shaped" else server
    difference = middle(layers(own)) - middle(smashed)
    loss = {
        "image": sum(one.square().sum().sqrt() for one in difference) / len(difference),
        "batch": difference.square().sum().sqrt(),
        "mean": difference.square().sum() / difference.numel(),
    }[distance]
    assert isinstance(loss, Tensor)
    pull, slope = torch.autograd.grad(loss, [smashed, layers[1].weight], retain_graph=True)
    if clip:
        assert slope.norm() > clip
        slope = slope * clip / slope.norm()
    torch.testing.assert_close(attack._layers[1].weight, layers[1].weight - 0.2 * slope)  # type: ignore[index]
    expected = torch.autograd.grad(smashed, list(client.parameters()), task + 3 * pull)
    gradients = found.parties[Seat.CLIENT].gradients()
    for (name, _), gradient in zip(client.named_parameters(), expected, strict=True):
        torch.testing.assert_close(gradients[f"0.{name}"], gradient)
    assert attack._curves["similarity_loss"] == pytest.approx([loss.item()])
    assert attack._curves["task_gradient_norm"] == pytest.approx([task.norm().item()])
    assert attack._curves["returned_gradient_norm"] == pytest.approx([(task + 3 * pull).norm().item()])
    turned = cosine_similarity(task.flatten(), (task + 3 * pull).flatten(), dim=0).item()
    assert attack._curves["gradient_cosine"] == pytest.approx([turned])


def test_the_shadow_comes_to_give_what_the_client_gives() -> None:
    found = adversary(attacked({"alpha": 1.0, "learning_rate": 0.1, "clip": 10.0}))
    found.infer()
    curve = found.view.notes["similarity_loss"]
    assert isinstance(curve, list)
    assert len(curve) == 6
    assert curve[-1] < 0.8 * curve[0]


@pytest.mark.parametrize("protocol", CUTS)
def test_the_second_stage_turns_what_the_server_s_part_gives(protocol: str) -> None:
    found = adversary(attacked({}, protocol))
    server = found.view.own_part()
    main, beside = found.infer()
    assert (main.goal, main.name, beside.name) == (Goal.EVASION, "", "8/255")
    assert main.rows == tuple(found.view.targets)
    changed = main.tensors["inputs"]
    torch.testing.assert_close(changed, BUDGETS[0].clip(changed, NATURAL))
    attack = found.attack
    assert isinstance(attack, SLADV)
    assert attack._layers is not None
    proxy = nn.Sequential(attack._layers, server).eval()
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        natural, turned, noisy = (
            proxy(x).flatten(1) for x in (NATURAL, changed, BUDGETS[0].noise(NATURAL, draw, signs=True))
        )
    attacked_likeness, noise_likeness = (cosine_similarity(natural, x).mean() for x in (turned, noisy))
    assert 1 - attacked_likeness > 2 * (1 - noise_likeness)
    assert found.view.notes["own_similarity"] == pytest.approx(attacked_likeness.item())
    assert set(beside.tensors) == {"inputs"}
    for own, expected in zip(
        (main.tensors["smashed"], main.tensors["slopes"]), probe(attack._layers, NATURAL[:PROBED]), strict=True
    ):
        torch.testing.assert_close(own, expected)


def test_steps_of_the_second_stage() -> None:
    """One step of the whole budget ends at its border almost everywhere, small steps do not."""

    def share_at_the_border(**options: Any) -> float:
        changed = adversary(attacked(options)).infer()[0].tensors["inputs"]
        inner = (NATURAL > 0.2) & (NATURAL < 0.8)
        reach = BUDGETS[0].over(NATURAL).expand_as(NATURAL)
        return ((changed - NATURAL).abs() > 0.85 * reach)[inner].float().mean().item()

    assert share_at_the_border() > 0.99
    assert share_at_the_border(step=0.1, iterations=3) < 0.01
    assert share_at_the_border(step=0.4, iterations=12) > 0.2


def test_what_has_no_training_or_no_first_layers_to_shadow() -> None:
    attack = SLADV()
    view = View(attack.threat, dict.fromkeys(attack.threat.knows, lambda: None), (), layout_of("u_shaped"))
    attack.begin(view)
    with pytest.raises(NotOfferedError, match="there was no training step"):
        attack.infer()
    with pytest.raises(NotOfferedError, match="in label_only"):
        attack.begin(View(attack.threat, dict.fromkeys(attack.threat.knows, lambda: None), (), layout_of("label_only")))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"alpha": -1}, "alpha = -1: it is at least 0"),
        ({"learning_rate": -0.1}, "learning_rate = -0.1: it is at least 0"),
        ({"iterations": 0}, "iterations = 0: it is at least 1"),
        ({"start": -0.1}, "start = -0.1: it goes from 0"),
        ({"blocks": "32"}, "blocks = '32': only the shadow 'multi' has any, this one is 'two_conv'"),
    ],
)
def test_wrong_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SLADV(**options)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"cut": "8:9", "protocol": "u_shaped"},
            r"cut 8:9: a shadow leads from images to images.*: choose an earlier cut",
        ),
        (
            {"aux_rows": 1},
            "sladv, cut 1: aux_rows: 1 of its own are too few to train a shadow",
        ),
        ({"aux_rows": 5000}, "aux_rows = 5000: aux = 'test' has only"),
        ({"budget": -0.1}, "budget = -0.1: must be greater than or equal to 0"),
        ({"budget": 1.5}, "budget = 1.5: a change of 1.5 is above the range of inputs"),
        ({"budget": "8/0"}, "budget = '8/0': must be a number or a fraction of two"),
        ({"budget_unit": "normalized"}, "the network does not normalize its inputs"),
        ({"options": {"sladv": {"shadow": "multi", "blocks": "7"}}}, r"sladv, cut 1: blocks = '7': they end in shape"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ExperimentError, match=said):
        settle(make({"attack": "sladv", "model": "lenet", "protocol": "vanilla", "cut": "1", **values}))
