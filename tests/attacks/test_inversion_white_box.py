"""White-box inversion: exact where the client's part can be inverted, and the published effect on real digits."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cutlayer import registry
from cutlayer.attacks.inversion_white_box import InversionWhiteBox, variation_weight
from cutlayer.message import Kind, Message
from cutlayer.model import split
from cutlayer.models import dense, inversion_cifar, inversion_mnist, unsplit_mnist
from cutlayer.threat import Goal, Knows, NotOfferedError, Row, Seat, View
from tests.clients import attacked, correlation, grants, held_out, inputs_of, mean_image, parts, renewed, seated
from tests.parties import layout_of

# Means over three seeds, fixed on others: there the mean image correlates .76 with the targets, the guesses .99 behind
# one convolution and .96 to .97 behind two.
SEEDS = (31, 32, 33)
CORRELATION = {0: 0.97, 4: 0.9}
SHORT = {"iterations": 100, "learning_rate": 0.05}


def orthogonal() -> nn.Sequential:
    """A convolution that only turns each 2x2 block, so that its inverse is known to lose nothing."""
    part = nn.Sequential(nn.Conv2d(1, 4, 2, stride=2))
    torch.manual_seed(0)
    nn.init.orthogonal_(part[0].weight.view(4, 4))
    return part.eval()


@pytest.mark.parametrize("tv", ["squared", "paper"])
def test_a_part_that_can_be_inverted_is_inverted(tv):
    truth = torch.rand(5, 1, 8, 8)
    guesses, view = attacked(InversionWhiteBox(iterations=600, tv=tv, tv_weight=0.0), orthogonal(), truth)
    torch.testing.assert_close(inputs_of(guesses), truth, rtol=0, atol=1e-3)
    assert view.used == {Knows.PEER_ARCHITECTURE: 1, Knows.PEER_WEIGHTS: 1}
    assert view.notes["matching_loss"][-1] < 1e-6


@pytest.mark.parametrize("seeds", [SEEDS[:1], pytest.param(SEEDS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("cut", [0, 4])
def test_digits_are_found(cut, seeds):
    found = []
    for seed in seeds:
        guesses, _ = attacked(InversionWhiteBox(**SHORT), parts(seed, cut)[0], held_out())
        found.append(correlation(inputs_of(guesses), held_out()))
    assert correlation(mean_image(), held_out()) < CORRELATION[cut] < sum(found) / len(seeds)


def test_the_wrong_weights_find_nothing():
    part = parts(SEEDS[0], 0)[0]
    torch.manual_seed(0)
    wrong = grants(part) | {Knows.PEER_WEIGHTS: grants(renewed(part))[Knows.PEER_WEIGHTS]}
    guesses, _ = attacked(InversionWhiteBox(**SHORT), part, held_out(), wrong)
    assert (inputs_of(guesses) - held_out()).square().mean() > (mean_image() - held_out()).square().mean()


def test_other_parts_of_the_client_are_left_aside():
    truth, part = torch.rand(2, 1, 8, 8), orthogonal()
    known = grants(part, (1, 8, 8))
    both = {**known[Knows.PEER_WEIGHTS](), "1.fc.weight": torch.rand(3, 3)}
    guesses, _ = attacked(InversionWhiteBox(iterations=5), part, truth, known | {Knows.PEER_WEIGHTS: lambda: both})
    assert inputs_of(guesses).shape == truth.shape


@pytest.mark.parametrize(
    ("build", "cut", "weight"),
    [
        (inversion_mnist.build, 0, 0.0), (inversion_mnist.build, 4, 1.0),
        (inversion_cifar.build, 0, 0.0), (inversion_cifar.build, 8, 10.0), (inversion_cifar.build, 13, 1e3),
        (unsplit_mnist.build, 1, 0.0), (unsplit_mnist.build, 5, 10.0),
    ],
)  # fmt: skip
def test_the_rule_gives_the_published_weights(build, cut, weight):
    assert variation_weight(split(build(), [cut])[0]) == weight


def test_the_rule_grows_with_layers_and_poolings():
    weights = [variation_weight(split(unsplit_mnist.build(), [cut])[0]) for cut in range(10)]
    assert weights == sorted(weights)
    assert weights[1] < weights[2] < weights[4] < weights[5] < weights[6] < weights[8]


def test_the_weight_in_use_is_noted():
    part, truth = parts(SEEDS[0], 4)[0], held_out()[:1]
    assert attacked(InversionWhiteBox(iterations=1), part, truth)[1].notes["tv_weight"] == 1.0
    assert attacked(InversionWhiteBox(iterations=1, tv_weight=0.3), part, truth)[1].notes["tv_weight"] == 0.3


def test_what_diverges_is_reported_with_what_was_finite():
    guesses, view = attacked(InversionWhiteBox(iterations=3, learning_rate=1e38), orthogonal(), torch.rand(2, 1, 8, 8))
    assert inputs_of(guesses).isfinite().all()
    assert view.notes["diverged"] == "2 of 2 optimizations; the guess is what was finite last"


def test_only_announced_rows_are_guessed():
    seen, unseen = Row(Kind.PREDICT, 4, 2), Row(Kind.PREDICT, 9, 0)
    for announced, rows in (([], []), ([seen, unseen], [(seen,)])):
        adversary = seated(InversionWhiteBox(iterations=2), grants(orthogonal(), (1, 8, 8)), 0)
        adversary.attack.observe(Message(Kind.PREDICT, "server", 7, {"logits": torch.zeros(1, 10)}))
        adversary.attack.observe(Message(Kind.PREDICT, "client", 4, {"smashed": torch.rand(3, 4, 4, 4)}))
        adversary.view.targets = announced
        assert [guess.rows for guess in adversary.infer()] == rows


def test_tables_have_inputs_too():
    part, truth = split(dense.build((30,), 2), [1])[0].eval(), torch.rand(3, 30)
    guesses, _ = attacked(InversionWhiteBox(iterations=300), part, truth)
    assert (inputs_of(guesses) - truth).square().mean() < 0.3 * truth.var()


def test_in_label_only_there_is_nothing_to_invert():
    with pytest.raises(NotOfferedError, match="label_only"):
        seated(InversionWhiteBox(), grants(orthogonal()), 1, layout=layout_of("label_only"))


def test_the_threat_is_a_curious_server_that_knows_the_client_s_part():
    threat = InversionWhiteBox().threat
    assert (threat.seat, threat.tampers, threat.goals) == (Seat.SERVER, False, {Goal.INPUTS})
    assert threat.knows == {Knows.PEER_ARCHITECTURE, Knows.PEER_WEIGHTS}
    with pytest.raises(NotOfferedError, match="peer_weights"):
        View(threat, {Knows.PEER_ARCHITECTURE: lambda: None}, [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "iterations = 0"),
        ({"learning_rate": -1.0}, "learning_rate = -1.0"),
        ({"scale": 0.0}, "scale = 0.0"),
        ({"tv_weight": -1.0}, "tv_weight = -1.0"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        InversionWhiteBox(**options)


def test_presets_and_work():
    assert InversionWhiteBox().work(10, 0) == 50_000
    for name in ("paper", "quick", "rehearsal"):
        made = registry.make(InversionWhiteBox, InversionWhiteBox.presets[name], "inversion_white_box")
        assert made.work(10, 0) <= InversionWhiteBox().work(10, 0)
    assert registry.make(InversionWhiteBox, InversionWhiteBox.presets["paper"], "x") == InversionWhiteBox()
