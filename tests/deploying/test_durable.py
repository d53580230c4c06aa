"""A step is applied once, whatever is repeated, and a party stands where its disk says."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from cutlayer.channel import Channel
from cutlayer.codec import decode, encode
from cutlayer.deploying import checkpoint
from cutlayer.deploying.durable import Durable
from cutlayer.deploying.place import Batches
from cutlayer.deploying.terms import Plan
from cutlayer.deploying.turn import Turn, common_step
from cutlayer.experiment import ExperimentError
from cutlayer.message import Kind
from cutlayer.party import Party
from cutlayer.threat import Seat
from cutlayer.wire import WireError
from tests.deployments import CUTS, Deployment, made_here, plan_of, same
from tests.disks import flip_a_bit
from tests.scenes import made

__all__ = ["made", "made_here"]
pytestmark = pytest.mark.usefixtures("made", "made_here")
WAYS = [*CUTS, *(f"{protocol} pipelined" for protocol in CUTS)]
# A first step, one amid it and a last one.
TURN = Turn(1, epoch=1, client=0, first=0, count=3, start=0, epoch_steps=5)


class Cut(ConnectionError):
    """The wire breaks."""


class Wire(Channel):
    """To a party that answers; it can be cut before a frame arrives, or before its answer does."""

    def __init__(self, answerer: Callable[[], Durable]) -> None:
        super().__init__()
        self.answerer, self.frames, self.answered = answerer, 0, b""
        self.cuts: set[tuple[int, str]] = set()

    def carry(self, frame: bytes) -> bytes:
        number, self.frames = self.frames, self.frames + 1
        if (number, "before") in self.cuts:
            raise Cut
        self.answered = self.answerer().answer(frame)
        if (number, "after") in self.cuts:
            raise Cut
        return self.answered


@cache
def plan_for(way: str) -> Plan:
    """Of a protocol, and "pipelined" after it where it is."""
    protocol, _, pipelined = way.partition(" ")
    return plan_of(protocol=protocol, pipelined=bool(pipelined))


class Pair:
    """Both sides of one turn, each with a folder; either can be lost and rebuilt from it."""

    def __init__(self, folder: Path, way: str, checkpoint_every: int = 3) -> None:
        self._deployed = Deployment(plan_for(way), folder, settings={"checkpoint_every": checkpoint_every})
        self._names = ("server", "c0") if way.startswith("label_only") else ("c0", "server")
        self.lose("driver")
        self.lose("answerer")
        for durable in (self.driver, self.answerer):
            durable.begin(TURN)
        self.wire = Wire(lambda: self.answerer)

    def lose(self, who: str) -> None:
        """As after kill -9: a new process finds what is on the disk."""
        place = self._deployed.place(self._names[who == "answerer"])
        if place.seat is Seat.SERVER and isinstance(place.durable.batch, Batches):
            place.durable.batch.rows[0] = torch.arange(44)
        if place.durable.shelf.marks():
            place.durable.recover()
        if who == "driver":
            self.driver = place.durable
        else:
            self.answerer = place.durable

    def train(self) -> None:
        """To the end of the turn, whatever is cut on the way: the sides meet and go on."""
        while self.driver.party.step < TURN.end:
            self.meet()
            try:
                self.driver.drive(self.wire, lambda: self.wire.answered)
            except Cut:
                self.driver.mend()

    def meet(self) -> None:
        """What a server does when a client comes back."""
        reaches = (self.driver.reach, self.answerer.reach)
        step = common_step(self.driver.party.step, self.answerer.party.step, reaches, TURN.start)
        for durable in (self.driver, self.answerer):
            if step is not None and durable.party.step > step:
                durable.back(step)

    def state(self) -> dict[str, torch.Tensor]:
        """Weights, optimizers and counts, and what the driver has measured on its way."""
        sides = (("driver", self.driver), ("answerer", self.answerer))
        parties = {f"{who}.{name}": t for who, durable in sides for name, t in durable.party.checkpoint().items()}
        return parties | {f"measured.{name}": t for name, t in self.driver.scrutiny.checkpoint().items()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    found = {}

    def state(protocol):
        if protocol not in found:
            pair = Pair(tmp_path_factory.mktemp(protocol), protocol)
            pair.train()
            found[protocol] = pair.state()
        return found[protocol]

    return state


def drive_on(pair: Pair) -> None:
    while True:
        pair.driver.drive(pair.wire, lambda: pair.wire.answered)


@pytest.mark.parametrize(
    ("way", "lost"),
    [
        ("u_shaped pipelined", ()),
        *((way, ("driver", "answerer")) for way in CUTS),
        # The party that answers does nothing ahead.
        *((way, ("driver",)) for way in WAYS[len(CUTS) :]),
        *(pytest.param(way, (), marks=pytest.mark.slow) for way in WAYS if way != "u_shaped pipelined"),
        *(pytest.param(way, lost, marks=pytest.mark.slow) for way in CUTS for lost in (("driver",), ("answerer",))),
    ],
)
def test_a_cut_at_any_message_and_the_loss_of_any_process_change_no_bit(tmp_path, undisturbed, way, lost):
    expected = undisturbed(way)
    exchanges = TURN.count * (2 if way.startswith("u_shaped") else 1)
    for number in range(exchanges):
        for where in ("before", "after"):
            # A cut is before a checkpoint amid the turn, or behind it.
            pair = Pair(tmp_path / f"{number}{where}", way, checkpoint_every=2)
            pair.wire.cuts = {(number, where)}
            with pytest.raises(Cut):
                drive_on(pair)
            for who in lost:
                pair.lose(who)
            pair.train()
            same(pair.state(), expected)


@pytest.mark.parametrize("way", WAYS)
def test_a_journal_that_lost_its_end_is_made_good_by_the_other_side(tmp_path, undisturbed, way):
    expected = undisturbed(way)
    for who in ("driver", "answerer"):
        for share in (0.3, 0.99):
            pair = Pair(tmp_path / f"{who}{share}", way)
            for _ in range(2):
                pair.driver.drive(pair.wire, lambda pair=pair: pair.wire.answered)
            folder = (pair.driver if who == "driver" else pair.answerer).shelf.folder
            journal = max(folder.glob("*.journal"))
            content = journal.read_bytes()
            journal.write_bytes(content[: int(len(content) * share)])
            pair.lose(who)
            pair.train()
            same(pair.state(), expected)


def test_a_flipped_bit_in_a_journal_ends_it_there(tmp_path):
    pair = Pair(tmp_path, "vanilla")
    for _ in range(2):
        pair.driver.drive(pair.wire, lambda: pair.wire.answered)
    journal = max(pair.answerer.shelf.folder.glob("*.journal"))
    content = bytearray(journal.read_bytes())
    content[len(content) * 3 // 4] ^= 1
    journal.write_bytes(content)
    pair.lose("answerer")
    assert pair.answerer.party.step == 1


def recorded(pair: Pair, steps: int) -> list[bytes]:
    """The requests of the first steps."""
    frames: list[bytes] = []
    real = pair.answerer.answer

    def answer(frame: bytes, *args: object) -> bytes:
        frames.append(frame)
        return real(frame)

    pair.answerer.answer = answer  # type: ignore[assignment,method-assign]
    for _ in range(steps):
        pair.driver.drive(pair.wire, lambda: pair.wire.answered)
    pair.answerer.answer = real  # type: ignore[method-assign]
    return frames


def test_a_forward_that_comes_again_moves_no_statistics(tmp_path):
    pair = Pair(tmp_path, "u_shaped")
    forward = recorded(pair, 1)[0]
    assert decode(forward).kind is Kind.FORWARD
    other = Pair(tmp_path / "other", "u_shaped")
    first = other.answerer.answer(forward)
    once = other.answerer.party.weights()
    assert other.answerer.answer(forward) == first
    same(other.answerer.party.weights(), once)
    assert "0.middle.2.running_mean" in once
    other.lose("answerer")
    assert other.answerer.answer(forward) == first
    same(other.answerer.party.weights(), once)


@pytest.mark.parametrize("protocol", CUTS)
def test_another_request_for_a_step_that_is_done_is_refused_and_changes_nothing(tmp_path, protocol):
    pair = Pair(tmp_path, protocol)
    frames = recorded(pair, 2)
    before = pair.answerer.party.checkpoint()
    last = decode(frames[-1])
    name = next(name for name, tensor in last.tensors.items() if tensor.is_floating_point())
    with pytest.raises(WireError, match="has had another one"):
        pair.answerer.answer(encode(last.replace(**{name: last[name] + 1})))
    with pytest.raises(WireError, match="wrong step 0"):
        pair.answerer.answer(frames[0])
    same(pair.answerer.party.checkpoint(), before)


@pytest.mark.parametrize("way", WAYS)
def test_a_party_goes_back_to_every_step_it_says_it_reaches(tmp_path, way):
    pair = Pair(tmp_path, way)
    states = [pair.state()]
    for _ in range(TURN.count):
        pair.driver.drive(pair.wire, lambda: pair.wire.answered)
        states.append(pair.state())
    for who, durable in (("driver", pair.driver), ("answerer", pair.answerer)):
        for step in (*range(TURN.count, durable.reach - 1, -1), TURN.start):
            durable.back(step)
            found = {f"{who}.{name}": tensor for name, tensor in durable.party.checkpoint().items()}
            same(found, {name: tensor for name, tensor in states[step].items() if name.startswith(who)})


@pytest.mark.parametrize("protocol", CUTS)
def test_the_next_pass_is_made_while_the_last_exchange_is_under_way(tmp_path, monkeypatch, undisturbed, protocol):
    """Once for every step but the turn's first, within the wait; replies that come from the journal wait for nobody."""
    pair = Pair(tmp_path, f"{protocol} pipelined")
    made, look_ahead = [], Party.look_ahead

    class Waiting(Wire):
        def carry_while(self, frame, meanwhile):
            before = len(made)
            assert decode(frame).kind is (Kind.BACKWARD if protocol == "u_shaped" else Kind.TRAIN)
            meanwhile()
            assert made[before:] == [decode(frame).step]
            return self.carry(frame)

    def noting(party, inputs):
        made.append(party.step)
        look_ahead(party, inputs)

    monkeypatch.setattr(Party, "look_ahead", noting)
    pair.wire = Waiting(lambda: pair.answerer)
    pair.train()
    assert made == list(range(TURN.count - 1))
    same(pair.state(), undisturbed(f"{protocol} pipelined"))
    with pytest.raises(AssertionError):
        same(pair.state(), undisturbed(protocol))


@pytest.mark.parametrize("harm", ["another version", "damaged", "its checksum does not hold"])
def test_a_checkpoint_that_cannot_be_taken_up_says_why_and_stays(tmp_path, monkeypatch, harm):
    pair = Pair(tmp_path, "vanilla")
    shelf = pair.driver.shelf
    kept = max(shelf.folder.glob("*.safetensors"))
    if harm == "damaged":
        kept.write_bytes(kept.read_bytes()[:-9])
    elif harm == "its checksum does not hold":
        flip_a_bit(kept)
    else:
        monkeypatch.setattr(checkpoint, "FORM", "of another version")
    held = kept.read_bytes()
    with pytest.raises(ExperimentError, match=f"{harm}.*remove"):
        pair.lose("driver")
    assert kept.read_bytes() == held


def test_a_turn_that_is_given_up_leaves_the_state_before_it(tmp_path):
    pair = Pair(tmp_path, "vanilla")
    before = pair.driver.party.checkpoint()
    for _ in range(3):
        pair.driver.drive(pair.wire, lambda: pair.wire.answered)
    pair.driver.before(TURN.number)
    same(pair.driver.party.checkpoint(), before)
    assert pair.driver.turn.number == 0
    pair.lose("driver")
    assert pair.driver.turn.number == 0
