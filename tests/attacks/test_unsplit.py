"""UnSplit: the published effect on real digits, and its limits."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, mse_loss

from cutlayer.adversary import Adversary
from cutlayer.attack import Guess
from cutlayer.attacks.unsplit import CURVE, UnSplit
from cutlayer.message import Kind, Message
from cutlayer.model import split
from cutlayer.models import dense, unsplit_cifar, unsplit_mnist
from cutlayer.stream import Stream, derive
from cutlayer.threat import Architecture, Knows, Row, Seat, View
from tests.handwriting import handwriting
from tests.parties import Pair, batches, pair

SHAPE, SMALL = (1, 28, 28), (1, 8, 8)
CUTS: dict[str, tuple[int | str, ...]] = {"vanilla": ("relu1",), "u_shaped": ("relu1", "relu4")}
# Means over three seeds, fixed on others: there the mean image correlates .76 with the targets, the guesses .95 to .97;
# the stolen part is .34 to .62 more accurate than parts with new weights.
SEEDS = (31, 32, 33)
CORRELATION, STOLEN = 0.9, 0.25
SHORT = {"rounds": 10, "order": "joint"}


@functools.cache
def digits() -> tuple[Tensor, Tensor]:
    images, labels = handwriting()
    return interpolate(images, SHAPE[1:], mode="bilinear"), labels


def held_out() -> tuple[Tensor, Tensor]:
    inputs, labels = digits()
    return inputs[:300], labels[:300]


@functools.cache
def targets() -> Tensor:
    """The first held-out digit of each class."""
    inputs, labels = held_out()
    return inputs[torch.stack([(labels == label).nonzero()[0, 0] for label in range(10)])]


@functools.cache
def trained(seed: int, protocol: str = "vanilla") -> Pair:
    torch.manual_seed(seed)
    inputs, labels = digits()
    victim = pair(protocol, unsplit_mnist.build(), CUTS[protocol], SHAPE, seed=seed)
    for _ in range(2):
        victim.train(batches(inputs[300:], labels[300:], 16))
    return victim


def client_part(victim: Pair) -> nn.Module:
    return victim.parties[Seat.CLIENT].parts[0]


def fresh(number: int) -> nn.Sequential:
    assert number == 0
    return split(unsplit_mnist.build(), ["relu1"])[0]


def seat(attack: UnSplit, wanted: list[Row], seed: int = 0, **view) -> Adversary:
    architecture = Architecture(fresh, (SHAPE,), 10)
    adversary = Adversary(
        attack,
        View(attack.threat, {Knows.PEER_ARCHITECTURE: lambda: architecture}, wanted, **view),
        Stream(derive(seed, "attack")),
    )
    adversary.begin()
    return adversary


def attacked(victim: Pair, attack: UnSplit, seed: int = 0, size: int = 10) -> tuple[Sequence[Guess], View]:
    """The guesses about the targets, ``size`` in a message; which they are is announced after they were sent."""
    wanted: list[Row] = []
    adversary = seat(attack, wanted, seed)
    client = victim.parties[Seat.CLIENT]
    watched = replace(victim, tap=adversary)
    for batch in batches(targets(), torch.zeros(10, dtype=torch.int64), size):
        step = client.queries
        watched.predict(batch)
        wanted.extend(Row(Kind.PREDICT, step, row) for row in range(len(batch.rows)))
    return adversary.infer(), adversary.view


def zeroed(victim: Pair) -> Pair:
    """The victim with a client part whose outputs are all zero."""
    silent = copy.deepcopy(victim)
    for parameter in client_part(silent).parameters():
        parameter.data.zero_()
    return silent


def inputs_of(guesses: Sequence[Guess]) -> Tensor:
    return guesses[0].tensors["inputs"].clamp(0, 1)


def correlation(guess: Tensor, truth: Tensor) -> float:
    """Mean over images; unlike the error it does not depend on contrast, which nothing the server sees determines."""
    pairs = zip(guess.flatten(1), truth.flatten(1), strict=True)
    return sum(torch.corrcoef(torch.stack(pair))[0, 1].item() for pair in pairs) / len(truth)


def accuracy(victim: Pair, stolen: nn.Module) -> float:
    inputs, labels = held_out()
    with torch.no_grad():
        value = stolen.eval()(inputs)
        value = victim.parties[Seat.SERVER].parts[0].eval()(value)
        for part in victim.parties[Seat.CLIENT].parts[1:]:
            value = part.eval()(value)
    return (value.argmax(1) == labels).float().mean().item()


def mean_image() -> Tensor:
    """What one would guess of each target without looking at the wire."""
    return digits()[0][300:].mean(0).expand_as(targets())


def untrained(victim: Pair, seed: int) -> float:
    torch.manual_seed(seed + 100)
    return sum(accuracy(victim, fresh(0)) for _ in range(8)) / 8


def loaded(guesses: Sequence[Guess]) -> nn.Module:
    part = fresh(guesses[1].part)
    part.load_state_dict(dict(guesses[1].tensors))
    return part


@pytest.mark.parametrize("seeds", [SEEDS[:1], pytest.param(SEEDS, marks=pytest.mark.slow)])
def test_inputs_and_the_client_part_are_found(seeds):
    found, gained = [], []
    for seed in seeds:
        victim = trained(seed)
        guesses, view = attacked(victim, UnSplit(**SHORT), seed)
        found.append(correlation(inputs_of(guesses), targets()))
        gained.append(accuracy(victim, loaded(guesses)) - untrained(victim, seed))
        assert view.used == {Knows.PEER_ARCHITECTURE: 1}
    assert correlation(mean_image(), targets()) < CORRELATION < sum(found) / len(seeds)
    assert sum(gained) / len(seeds) > STOLEN


@pytest.mark.slow
def test_inputs_are_found_in_u_shaped():
    victim = trained(SEEDS[0], "u_shaped")
    guesses, _ = attacked(victim, UnSplit(**SHORT), SEEDS[0], size=4)
    assert correlation(inputs_of(guesses), targets()) > CORRELATION


@pytest.mark.slow
def test_a_client_that_sends_zeros_gives_nothing_away():
    gained = []
    for seed in SEEDS:
        victim = trained(seed)
        guesses, _ = attacked(zeroed(victim), UnSplit(rounds=2, order="joint"), seed)
        inputs = inputs_of(guesses)
        torch.testing.assert_close(inputs, inputs[:1].expand_as(inputs), rtol=0, atol=1e-3)
        assert mse_loss(inputs, targets()) > mse_loss(mean_image(), targets())
        gained.append(accuracy(victim, loaded(guesses)) - untrained(victim, seed))
    assert sum(gained) / len(SEEDS) < STOLEN / 2


def test_the_same_seed_gives_the_same_guess():
    victim, attack = trained(SEEDS[0]), {"rounds": 1, "order": "joint"}
    (one, *_), (other, *_), (third, *_) = (attacked(victim, UnSplit(**attack), seed)[0] for seed in (5, 5, 6))
    assert torch.equal(one.tensors["inputs"], other.tensors["inputs"])
    assert not torch.equal(one.tensors["inputs"], third.tensors["inputs"])


def test_only_targets_are_guessed_each_by_its_own_row():
    victim = trained(SEEDS[0])
    adversary = seat(UnSplit(rounds=2, order="independent"), wanted := [])
    watched, before = replace(victim, tap=adversary), victim.parties[Seat.CLIENT].queries
    for batch in batches(targets(), torch.zeros(10, dtype=torch.int64), 4):
        watched.predict(batch)
    wanted += [Row(Kind.PREDICT, before + 2, 1), Row(Kind.PREDICT, before, 3)]
    guess, _ = adversary.infer()
    assert guess.rows == tuple(wanted)
    with torch.no_grad():
        smashed = client_part(victim)(targets()[[9, 3]])
    alone = seat(UnSplit(rounds=2, order="independent"), wanted)
    for row, activation in zip(wanted, smashed, strict=True):
        padded = torch.zeros(row.row + 1, *activation.shape).index_copy(0, torch.tensor([row.row]), activation[None])
        alone.attack.observe(Message(Kind.PREDICT, "client", row.step, {"smashed": padded}))
    assert torch.equal(alone.infer()[0].tensors["inputs"], guess.tensors["inputs"])


def test_replies_and_unseen_targets_are_no_targets():
    reply = Message(Kind.PREDICT, "server", 7, {"logits": torch.zeros(1, 10)})
    sent = Message(Kind.PREDICT, "client", 0, {"smashed": torch.zeros(1, 8, 24, 24)})
    for messages, rows in (([reply], []), ([reply, sent], [(Row(Kind.PREDICT, 0, 0),), ()])):
        adversary = seat(UnSplit(rounds=1), [Row(Kind.PREDICT, 0, 0), Row(Kind.PREDICT, 7, 0)])
        for message in messages:
            adversary.attack.observe(message)
        assert [guess.rows for guess in adversary.infer()] == rows


@pytest.mark.parametrize("order", ["sequential", "joint", "independent"])
def test_what_diverges_is_reported_with_what_was_finite(order):
    guesses, view = attacked(
        trained(SEEDS[0]), UnSplit(rounds=3, order=order, input_learning_rate=1e30, model_learning_rate=1e30)
    )
    assert all(tensor.isfinite().all() for guess in guesses for tensor in guess.tensors.values())
    assert (guesses[0].tensors["inputs"] == 0.5).all()
    assert "the guess is what was finite last" in view.notes["diverged"]


def test_one_that_diverges_does_not_stop_the_others():
    smashed = torch.rand(2, 8, 24, 24)
    smashed[1] *= 1e30
    adversary = seat(UnSplit(rounds=2, order="independent"), [Row(Kind.PREDICT, 0, 0), Row(Kind.PREDICT, 0, 1)])
    adversary.attack.observe(Message(Kind.PREDICT, "client", 0, {"smashed": smashed}))
    inputs = adversary.infer()[0].tensors["inputs"]
    assert adversary.view.notes["diverged"].startswith("1 of 2")
    assert (inputs[0] != 0.5).any()
    assert (inputs[1] == 0.5).all()


def test_progress_and_the_matching_loss():
    seen = []
    attack = UnSplit(rounds=3, input_steps=20, model_steps=20)
    adversary = seat(
        attack, [Row(Kind.PREDICT, 0, row) for row in range(2)], progress=lambda *report: seen.append(report)
    )
    adversary.attack.observe(Message(Kind.PREDICT, "client", 0, {"smashed": torch.rand(2, 8, 24, 24)}))
    adversary.infer()
    assert seen[0][1:] == (0, 6)
    assert seen[-1][1:] == (6, 6)
    curve = adversary.view.notes["matching_loss"]
    assert len(curve) == 3
    assert curve[0] > curve[1] > curve[2] > 0


def test_the_curve_stays_short():
    attack = UnSplit(rounds=2 * CURVE + 1, input_steps=1, model_steps=1, order="joint")
    adversary = seat(attack, [Row(Kind.PREDICT, 0, 0)])
    adversary.attack.observe(Message(Kind.PREDICT, "client", 0, {"smashed": torch.rand(1, 8, 24, 24)}))
    adversary.infer()
    curve = adversary.view.notes["matching_loss"]
    assert len(curve) <= CURVE
    assert all(value > 0 for value in curve)


@pytest.mark.parametrize("cut", [1, 5])
def test_tables_have_inputs_too(cut):
    torch.manual_seed(0)
    part = split(dense.build((30,), 2), [cut])[0].eval()
    architecture = Architecture(lambda number: split(dense.build((30,), 2), [cut])[0], ((30,),), 2)
    attack = UnSplit(rounds=2, input_steps=5, model_steps=5)
    attack.begin(View(attack.threat, {Knows.PEER_ARCHITECTURE: lambda: architecture}, [Row(Kind.PREDICT, 0, 0)]))
    with torch.no_grad():
        attack.observe(Message(Kind.PREDICT, "client", 0, {"smashed": part(torch.rand(1, 30))}))
    inputs, model = attack.infer()
    assert inputs.tensors["inputs"].shape == (1, 30)
    part.load_state_dict(dict(model.tensors))


@pytest.mark.parametrize("cut", [1, 4])
def test_color_images(cut):
    part = split(unsplit_cifar.build(), [cut])[0].eval()
    architecture = Architecture(lambda number: split(unsplit_cifar.build(), [cut])[0], ((3, 32, 32),), 10)
    attack = UnSplit(rounds=1, input_steps=2, model_steps=2, order="joint")
    wanted = [Row(Kind.PREDICT, 0, 0), Row(Kind.PREDICT, 0, 1)]
    attack.begin(View(attack.threat, {Knows.PEER_ARCHITECTURE: lambda: architecture}, wanted))
    with torch.no_grad():
        attack.observe(Message(Kind.PREDICT, "client", 0, {"smashed": part(torch.rand(2, 3, 32, 32))}))
    assert attack.infer()[0].tensors["inputs"].shape == (2, 3, 32, 32)
