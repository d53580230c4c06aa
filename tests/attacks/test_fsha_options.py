"""FSHA's networks counted by hand, its options, and where it does not apply."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from cutlayer.adversary import Adversary
from cutlayer.attacks.fsha import FSHA, _Hijack
from cutlayer.message import Kind, Message
from cutlayer.methods.hijacking import Discriminator, decoder, pilot
from cutlayer.model import parameter_count
from cutlayer.stream import Stream
from cutlayer.threat import Knows, NotOfferedError, Row, View
from tests.parties import layout_of

TINY = {"width": 4, "blocks": 1}
# By level: what FSHA's client sends for 3x32x32, and the widths of pilot and decoder, as published.
SENT = {1: (64, 16, 16), 2: (128, 8, 8), 3: (128, 8, 8), 4: (256, 4, 4)}
PILOT = {1: (64, 64), 2: (64, 128, 128), 3: (64, 128, 128), 4: (64, 128, 256, 256)}
DECODER = {1: (256, 3), 2: (256, 128, 3), 3: (256, 128, 3), 4: (256, 128, 3)}


def conv(into: int, out: int) -> int:
    """Weights and biases of a 3x3 convolution, transposed or not."""
    return 9 * into * out + out


def chain(*widths: int) -> int:
    return sum(conv(into, out) for into, out in pairwise(widths))


def seat(attack: FSHA, public: torch.Tensor, wanted: list[Row]) -> Adversary:
    view = View(attack.threat, {Knows.AUX_INPUTS: lambda: public}, wanted, layout_of("vanilla"))
    adversary = Adversary(attack, view, Stream(7))
    adversary.begin()
    return adversary


def sent(kind: Kind, smashed: torch.Tensor, step: int = 0) -> Message:
    return Message(kind, "client", step, {"smashed": smashed})


def echo(request: Message) -> Message:
    """An honest party whose gradient is what it was sent."""
    return request.reply("server", **({"grad": request["smashed"]} if request.kind is Kind.TRAIN else {}))


@pytest.mark.parametrize("level", [1, 2, 3, 4])
@pytest.mark.parametrize("given", [True, False])
def test_every_level_s_networks(level, given):
    """The same ones whether the level is given or told from the shapes."""
    channels, *size = SENT[level]
    one = _Hijack(FSHA(level=level if given else 0), torch.rand(2, 3, 32, 32), torch.zeros(2, *SENT[level]))
    assert parameter_count(one._pilot) == chain(3, *PILOT[level])
    assert parameter_count(one._decoder) == chain(channels, *DECODER[level])
    last = 256 * (size[0] // 2) * (size[1] // 2) + 1
    assert parameter_count(one._discriminator) == conv(channels, 256) + 13 * conv(256, 256) + last
    with torch.no_grad():
        features = one._pilot(torch.rand(2, 3, 32, 32))
        assert features.shape == (2, *SENT[level])
        assert one._decoder(features).shape == (2, 3, 32, 32)


def test_stride_two_at_the_entry_below_level_4():
    for level, entry in {1: 2, 3: 2, 4: 1}.items():
        attack = FSHA(entry_stride="level", width=8, blocks=1)
        one = _Hijack(attack, torch.rand(2, 3, 32, 32), torch.zeros(2, *SENT[level]))
        assert one._discriminator.entry.stride == (entry, entry)
        side = SENT[level][1] // entry // 2
        assert parameter_count(one._discriminator.score) == 8 * side * side + 1
        assert one._discriminator(torch.zeros(3, *SENT[level])).shape == (3,)


def test_pilot_and_decoder_are_linear_but_for_the_last_function():
    torch.manual_seed(0)
    forth, back = pilot(1, 5, 3, 16), decoder(5, 1, 3, 16)[:-1]
    for network, shape in ((forth, (1, 16, 16)), (back, (5, 2, 2))):
        left, right = torch.randn(2, 1, *shape)
        apart = network(left) + network(right) - network(torch.zeros(1, *shape))
        torch.testing.assert_close(network(left + right), apart, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("halvings", [0, 1, 2, 3, 4, 5])
def test_any_number_of_halvings(halvings):
    image, features = torch.rand(2, 3, 32, 64), (2, 7, 32 >> halvings, 64 >> halvings)
    assert pilot(3, 7, halvings, 16)(image).shape == features
    assert decoder(7, 3, halvings, 16)(torch.rand(features)).shape == image.shape


@pytest.mark.parametrize("shape", [(8, 12, 12), (8, 24, 20), (5, 1, 1), (3, 40, 7), (16, 5, 5)])
@pytest.mark.parametrize("stride", ["one", "level"])
def test_any_shape_at_the_cut(shape, stride):
    wanted = [Row(Kind.PREDICT, 0, 0)]
    adversary = seat(FSHA(**TINY, entry_stride=stride), torch.rand(3, 1, 28, 28), wanted)
    reply = adversary(sent(Kind.TRAIN, torch.rand(5, *shape)), echo)
    assert reply["grad"].shape == (5, *shape)
    adversary(sent(Kind.PREDICT, torch.rand(1, *shape)), echo)
    inputs = adversary.infer()[0].tensors["inputs"]
    assert inputs.shape == (1, 1, 28, 28)
    assert 0 <= inputs.min() <= inputs.max() <= 1


@pytest.mark.parametrize("stride", [1, 2])
def test_the_slope_is_the_gradient_that_autograd_finds(stride):
    torch.manual_seed(0)
    judge = Discriminator((3, 7, 6), 5, 3, stride).double()
    features = torch.randn(4, 3, 7, 6, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(judge(features).sum(), features, create_graph=True)
    torch.testing.assert_close(judge.slope(features.detach()), expected)
    weights = [weight for name, weight in judge.named_parameters() if name.endswith("weight")]
    second = [
        torch.autograd.grad(slope.square().sum(), weights) for slope in (judge.slope(features.detach()), expected)
    ]
    torch.testing.assert_close(*second)


def test_each_pass_takes_every_public_image_once():
    one = _Hijack(FSHA(**TINY), torch.arange(10.0).view(10, 1, 1, 1).expand(10, 1, 4, 4) / 10, torch.zeros(1, 2, 2, 2))
    for _ in range(3):
        drawn = torch.cat([one._drawn(5)[:, 0, 0, 0] for _ in range(2)])
        torch.testing.assert_close(drawn.sort().values, torch.arange(10.0) / 5 - 1)


def test_fewer_public_images_than_a_batch():
    one = _Hijack(FSHA(**TINY), torch.rand(2, 1, 4, 4), torch.zeros(1, 2, 2, 2))
    assert one.step(torch.rand(5, 2, 2, 2)).shape == (5, 2, 2, 2)


def test_the_gradient_is_that_of_a_mean_over_the_batch():
    """A sample's own part shrinks with the batch, as that of the task does."""
    smashed, parts = torch.rand(1, 3, 4, 4), []
    for count in (1, 4):
        torch.manual_seed(0)
        one = _Hijack(FSHA(**TINY), torch.rand(8, 1, 8, 8), smashed)
        parts.append(one.step(smashed.expand(count, -1, -1, -1))[0] * count)
    torch.testing.assert_close(*parts)


@pytest.mark.parametrize("rate", ["learning_rate", "discriminator_rate"])
def test_what_diverges_ends_with_the_honest_gradient(rate):
    wanted = [Row(Kind.PREDICT, 0, 0)]
    adversary = seat(FSHA(**TINY, **{rate: 1e30}), torch.rand(8, 1, 8, 8), wanted)
    for step in range(4):
        smashed = torch.rand(4, 3, 4, 4)
        reply = adversary(sent(Kind.TRAIN, smashed, step), echo)
        assert reply["grad"].isfinite().all()
    assert torch.equal(reply["grad"], smashed)
    adversary(sent(Kind.PREDICT, smashed), echo)
    assert adversary.infer()[0].tensors["inputs"].isfinite().all()
    assert "the honest gradient was returned from then on" in adversary.view.notes["diverged"]
    kept = [value for note in adversary.view.notes.values() if isinstance(note, list) for value in note]
    assert all(math.isfinite(value) for value in kept)


@pytest.mark.parametrize(
    ("smashed", "public", "named"),
    [((4, 120), (8, 1, 8, 8), r"\[120\]"), ((4, 3, 4, 4), (8, 30), r"\[30\]")],
)
def test_what_are_not_images_does_not_apply(smashed, public, named):
    adversary = seat(FSHA(), torch.rand(public), [])
    with pytest.raises(NotOfferedError, match=named):
        adversary(sent(Kind.TRAIN, torch.rand(smashed)), echo)


def test_nothing_to_hijack():
    attack = FSHA()
    with pytest.raises(NotOfferedError, match="the server's own"):
        attack.begin(View(attack.threat, {Knows.AUX_INPUTS: lambda: None}, (), layout_of("label_only")))
    adversary = seat(FSHA(), torch.rand(8, 1, 8, 8), [Row(Kind.PREDICT, 0, 0)])
    adversary(sent(Kind.PREDICT, torch.rand(1, 3, 4, 4)), echo)
    with pytest.raises(NotOfferedError, match="there was no training step"):
        adversary.infer()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 5}, "level = 5: there is none such; 1, 2, 3, 4, or 0"),
        ({"width": 0}, "width = 0: it takes at least 1"),
        ({"blocks": 0}, "blocks = 0: it takes at least 1"),
        ({"learning_rate": -1.0}, "learning_rate = -1.0: it takes at least 0"),
        ({"gp_weight": -1.0}, "gp_weight = -1.0"),
        ({"task_weight": 1.5}, "task_weight = 1.5: it is a share, from 0 to 1"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        FSHA(**options)


def test_as_published():
    attack = FSHA()
    assert (attack.learning_rate, attack.discriminator_rate, attack.gp_weight) == (1e-5, 1e-4, 500)
    assert (attack.width, attack.blocks, attack.task_weight) == (256, 6, 0)
    assert attack.threat.tampers
    assert attack.work(10, 1000) == 0
