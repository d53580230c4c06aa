"""Gaussian noise: where it goes, how much, and from which stream."""

from __future__ import annotations

import hmac
from dataclasses import replace

import pytest
import torch
from torch import nn

from cutlayer import registry
from cutlayer.defenses.gaussian_noise import GaussianNoise
from cutlayer.experiment import make
from cutlayer.message import Kind, Message
from cutlayer.scene.defending import make_defenses
from cutlayer.scene.shortfall import shortfalls
from cutlayer.tap import wrap
from cutlayer.threat import Seat
from tests.parties import batches, pair
from tests.scenes import made, scene_of

__all__ = ["made"]

MESSAGE = Message(Kind.TRAIN, "client", 3, {"smashed": torch.zeros(100, 200), "labels": torch.arange(100)})


def test_adds_noise_of_the_given_size_and_nothing_else():
    guarded = GaussianNoise(sigma=0.5, seed=1).guard(MESSAGE)
    assert guarded["smashed"].mean().abs() < 0.02
    assert guarded["smashed"].std() == pytest.approx(0.5, rel=0.02)
    assert guarded["labels"] is MESSAGE["labels"]
    assert (guarded.kind, guarded.sender, guarded.step) == (MESSAGE.kind, MESSAGE.sender, MESSAGE.step)


def test_keeps_the_dtype_and_cuts_the_graph():
    smashed = torch.zeros(3, 4, dtype=torch.bfloat16, requires_grad=True)
    guarded = GaussianNoise().guard(Message(Kind.TRAIN, "client", 0, {"smashed": smashed * 1}))
    assert guarded["smashed"].dtype == torch.bfloat16
    assert not guarded["smashed"].requires_grad


def test_sigma_zero_changes_nothing():
    assert GaussianNoise(sigma=0).guard(MESSAGE)["smashed"] is MESSAGE["smashed"]


def noise_on(data: torch.Tensor, seed: int = 1, **of: object) -> torch.Tensor:
    message = replace(MESSAGE, tensors={"smashed": data}, **of)
    return GaussianNoise(seed=seed).guard(message)["smashed"] - data


def test_the_same_data_carry_the_same_noise_whatever_is_said_of_the_step():
    data = torch.rand(64, 3, 5, 5)
    noise = noise_on(data)
    torch.rand(5)
    for of in ({}, {"step": 4}, {"kind": Kind.PREDICT}, {"sender": "other"}):
        assert torch.equal(noise_on(data.clone(), **of), noise)
    assert torch.equal(noise_on(data.to(memory_format=torch.channels_last)), noise)


def test_no_other_data_carry_the_same_noise():
    data = torch.rand(100, 200)
    noise, bit = noise_on(data), data.clone()
    bit[7, 11] = bit[7, 11].nextafter(torch.tensor(1.0))
    for other in (noise_on(bit), noise_on(data.flip(0)), noise_on(data[:50]), noise_on(data, seed=2)):
        pair = torch.stack([noise.flatten()[: other.numel()], other.flatten()])
        assert torch.corrcoef(pair)[0, 1].abs() < 0.05
        assert other.std() == pytest.approx(0.1, rel=0.05)


def test_the_noise_depends_on_each_of_128_bits_of_its_key(monkeypatch):
    """Torch's generator starts from 32 of them, which can all be tried out."""
    noises = set()
    for bit in range(128):
        monkeypatch.setattr(hmac, "digest", lambda *what, bit=bit: (1 << bit + 128).to_bytes(32, "big"))
        noises.add(tuple(noise_on(torch.zeros(2, 3)).flatten().tolist()))
    assert len(noises) == 128


def test_two_clients_and_two_of_a_clients_defenses_draw_noise_of_their_own():
    experiment = make({"defense": "gaussian_noise+gaussian_noise", "clients": 2})
    drawn = [defense.guard(MESSAGE)["smashed"] for number in (0, 1) for defense in make_defenses(experiment, number)]
    assert len({tuple(noise.flatten().tolist()) for noise in drawn}) == 4


def test_leaves_the_other_streams_alone():
    before = torch.get_rng_state()
    GaussianNoise().guard(MESSAGE)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("sigma", [-0.1, float("nan"), float("inf")])
def test_refuses_a_sigma_that_is_no_standard_deviation(sigma):
    with pytest.raises(ValueError, match=r"sigma = .* finite number, 0 or greater"):
        GaussianNoise(sigma=sigma)


def test_refuses_a_tensor_that_a_client_never_sends():
    with pytest.raises(registry.PluginError, match=r"gaussian_noise\.tensors"):
        registry.make(GaussianNoise, {"tensors": ["smahsed"]}, "gaussian_noise")
    assert registry.make(GaussianNoise, {"tensors": ["features_grad"]}, "gaussian_noise").tensors == ("features_grad",)


@pytest.mark.parametrize(
    ("name", "cuts", "noisy"),
    [
        ("vanilla", (0,), {"smashed"}),
        ("u_shaped", (0, 1), {"smashed", "features_grad"}),
        ("label_only", (0,), {"grad"}),
    ],
)
def test_reaches_what_the_client_sends_at_the_cut(name, cuts, noisy):
    model = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 3))
    (batch,) = batches(torch.rand(6, 4), torch.arange(6) % 3, 6)
    victim = pair(name, model, cuts, (4,), labels=batch.labels)
    drives = victim.protocol.driver is Seat.CLIENT
    left, arrived = {}, {}

    def note(into, requests):
        def around(request, handler):
            reply = handler(request)
            into.update((request if requests else reply).copy().tensors)
            return reply

        return around

    # From the client outwards: what it made, the defense, what leaves.
    order = [note(arrived, drives), GaussianNoise(seed=1).tap(drives), note(left, drives)]
    if drives:
        peer = victim.protocol.handler(victim.answerer, victim.agreement)
        peer = victim.protocol.checked(victim.carrier(peer), victim.agreement)
        for tap in order:
            peer = wrap(peer, tap)
    else:
        peer = victim.protocol.handler(victim.answerer, victim.agreement)
        for tap in reversed(order):
            peer = wrap(peer, tap)
        peer = victim.protocol.checked(victim.carrier(peer), victim.agreement)
    victim.protocol.train(victim.driver, peer, batch)
    assert {key for key in left if not torch.equal(left[key], arrived[key])} == noisy


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("values", "tensors", "said"),
    [
        ({}, ["grad"], ["tensors = grad changes nothing: in vanilla a client sends smashed, labels"]),
        ({}, ["smashed", "features_grad"], ["tensors = features_grad changes nothing"]),
        ({}, ["smashed"], []),
        (
            {"protocol": "label_only", "cut": "4"},
            ["smashed"],
            ["tensors = smashed changes nothing: in label_only a cli"],
        ),
        ({"protocol": "u_shaped", "cut": "1:4"}, ["smashed", "features_grad"], []),
        ({}, None, []),
    ],
)
def test_it_says_which_of_the_tensors_asked_for_are_never_sent(values, tensors, said):
    options = {"gaussian_noise": {"tensors": tensors}} if tensors else {}
    scene = scene_of(**{"protocol": "vanilla", "cut": "1", "defense": "gaussian_noise", "options": options, **values})
    assert [line[: len(f"gaussian_noise.{told}")] for line, told in zip(shortfalls(scene), said, strict=True)] == [
        f"gaussian_noise.{told}" for told in said
    ]


@pytest.mark.usefixtures("made")
def test_it_says_what_an_attack_is_granted_past_the_defenses():
    values = {"protocol": "u_shaped", "cut": "1:4", "attack": "label_inference"}
    told = "label_inference is granted peer_gradients, which no defense touches"
    for observes, defense in (("weights", "gaussian_noise"), ("activations", "gaussian_noise"), ("weights", "none")):
        options = {"label_inference": {"observes": observes}}
        found = shortfalls(scene_of(**values, defense=defense, options=options))
        assert (told in found) == ((observes, defense) == ("weights", "gaussian_noise"))
