"""A recording attacked later gives the guess of a live attack, and holds nothing but what its party saw."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from safetensors.torch import load_file

from cutlayer.attack import Guess, TamperingAttack
from cutlayer.auditing.audit import run_cell
from cutlayer.exchange.tape import RecordingError, Tape
from cutlayer.experiment import ExperimentError
from cutlayer.isolated.isolation import ProcessHost
from cutlayer.isolated.process import IsolatedError
from cutlayer.judging.judge import Judgement
from cutlayer.record import DONE, NOT_APPLICABLE, Record
from cutlayer.recordings import replay as module
from cutlayer.recordings.archive import Recording, Segment, open_recording, truth_kept
from cutlayer.recordings.recorder import record, shape_of
from cutlayer.recordings.replay import LIVE, refusal, replay_cell
from cutlayer.scene.scene import Scene
from cutlayer.threat import Seat
from tests import trials
from tests.cells import quiet
from tests.scenes import made, scene_of

__all__ = ["made"]
ROOM = 1 << 28
CUTS = {"vanilla": "1", "u_shaped": "1:4", "label_only": "4"}
CASES = [case for case in trials.cases() if not refusal(trials.attack_of(case))]
PLAIN = trials.plain(CASES)
# All four are asked for their inputs once, in the end, and note what their proxy was trained on.
LIKE_FGSM = {"pgd", "ssa", "vmi_fgsm"}
QUICK = [
    # Every attack in its own protocol, and one of them in all.
    *(c for c in PLAIN if c.protocol == trials.attack_of(c).setting.protocol and c.attack not in LIKE_FGSM),
    *(case for case in PLAIN if case.attack == "unsplit"),
]


def recorded(case: trials.Case) -> Recording:
    """One recording for all attacks in a protocol that want as many targets: the deployment is the same."""
    return _recorded(*_deployment(case))


@cache
def _recorded(*deployment: Any) -> Recording:
    alike = next(trials.scene_of(case) for case in CASES if _deployment(case) == deployment)
    return record(alike, trials._folder() / f"recorded-{alike.experiment.targets}", ROOM, True, quiet)


def _deployment(case: trials.Case) -> tuple[Any, ...]:
    experiment = trials.scene_of(case).experiment
    return experiment.protocol, experiment.targets, experiment.when


UNSPLIT = next(case for case in CASES if (case.attack, case.protocol) == ("unsplit", "vanilla"))


def replayed(scene: Scene, recording: Recording) -> tuple[Record, list[Guess]]:
    """The record of a replay that is offered all that its attack declares, and the guesses."""
    guesses: list[Guess] = []

    def noted(found: Sequence[Guess], *others: Any) -> list[Judgement]:
        guesses.extend(found)
        return []

    told = lambda s, attack: trials.told_of(s, s.attack.threat.knows, attack)  # noqa: E731
    with patch.object(module, "judge_all", noted), patch.object(module, "brief", told):
        return replay_cell(scene, recording, quiet).record, guesses


def same(ones: Any, others: Any) -> bool:
    return len(ones) == len(others) > 0 and all(
        (one.goal, one.rows, one.part, one.name, one.tensors.keys())
        == (other.goal, other.rows, other.part, other.name, other.tensors.keys())
        and all(torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items())
        for one, other in zip(ones, others, strict=True)
    )


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case in QUICK else pytest.mark.slow, id=str(case)) for case in CASES]
)
def test_a_replayed_guess_is_the_live_one(case: trials.Case) -> None:
    live = trials.trial(case)
    found, guesses = replayed(trials.scene_of(case), recorded(case))
    assert found.status == live.record.status, found.reason
    if live.record.status == DONE:
        assert same(guesses, live.guesses)
        assert found.threat.used == live.record.threat.used
        assert found.recording == recorded(case).folder.name


def test_every_protocol_and_several_attacks_were_replayed() -> None:
    assert {case.attack for case in QUICK} >= {"unsplit", "label_inference", "inversion_query_free"}
    assert {case.protocol for case in QUICK} == {"vanilla", "u_shaped", "label_only"}


def test_another_process_replays_the_same() -> None:
    _, here = replayed(trials.scene_of(UNSPLIT), recorded(UNSPLIT))
    _, there = replayed(trials.scene_of(UNSPLIT, isolate=True), recorded(UNSPLIT))
    assert same(here, there)


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("defense", ["none", pytest.param("int8_quantization", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("protocol", "when"),
    [
        *((protocol, "after") for protocol in CUTS),
        ("vanilla", "before"),
        *(pytest.param(protocol, "before", marks=pytest.mark.slow) for protocol in ("u_shaped", "label_only")),
    ],
)
def test_an_attack_that_watches_the_training_is_shown_all_of_it(
    protocol: str, when: str, defense: str, tmp_path: Path
) -> None:
    """The spy draws random numbers for each message it is shown: one more or less, and its guess differs."""
    values = {"protocol": protocol, "cut": CUTS[protocol], "when": when, "defense": defense, "isolate": False}
    scene = scene_of(attack="spy", clients=2, handover="server", **values)
    live, guesses = run_cell(scene, tmp_path, quiet).record, []
    infer = type(scene.attack).infer

    def noted(attack: Any) -> Any:
        guesses.append(infer(attack))
        return guesses[-1]

    recording = record(scene, tmp_path, ROOM, True, quiet)
    with patch.object(type(scene.attack), "infer", noted):
        run_cell(scene, tmp_path, quiet)
        again = replay_cell(scene, recording, quiet).record
    assert same(*guesses)
    assert again.attack.notes == live.attack.notes
    assert (again.scores, again.verdict) == (live.scores, live.verdict)
    assert again.traffic == live.traffic
    if when == "after":
        assert (again.training, again.utility) == (live.training, live.utility)
    else:
        assert live.training
        assert again.utility is None, "a recording from before the training is of no other network"


@pytest.mark.parametrize(
    ("attack", "options", "why"),
    [
        ("fsha", {}, "tampers"),
        ("inversion_black_box", {}, "cannot hold peer_queries"),
        ("inversion_white_box", {}, "cannot hold peer_weights"),
        ("label_inference", {"observes": "weights"}, "cannot hold peer_gradients"),
        ("client_backdoor", {}, "at the client's seat"),
    ],
)
def test_what_needs_more_than_a_recording_does_not_apply(attack: str, options: dict[str, Any], why: str) -> None:
    case = trials.Case(attack, "vanilla", tuple(options.items()))
    scene = trials.scene_of(case)
    found = replay_cell(scene, recorded(UNSPLIT), quiet).record
    assert found.status == NOT_APPLICABLE
    assert why in found.reason
    assert isinstance(scene.attack, TamperingAttack) or scene.attack.threat.knows & {*LIVE} or "seat" in why


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("attack", "targets", "there", "why"),
    [
        (
            "unsplit",
            3,
            ("training", "attended-predict-4-by-4", "predict-4-by-4", "train-4-by-1", "predict-1-by-1"),
            "this recording has 4 targets in one message and 4 targets in training steps of 1 each and 1 target in one "
            "message; unsplit needs 3 targets in one message: leave targets out, or record again with targets=3",
        ),
        (
            "unsplit",
            4,
            ("training", "train-4-by-4"),
            "this recording has 4 targets in one training step; unsplit needs 4 targets in one message: "
            "record again with attack=unsplit",
        ),
        (
            "spy",
            1,
            ("training", "attended-predict-4-by-2", "predict-1-by-1"),
            "this recording has 4 targets in messages of 2 each; spy needs 1 target in one message: "
            "leave targets out, or record again with targets=1",
        ),
        ("spy", 4, (), "no training was recorded, and spy watches it: record again without --no-training"),
    ],
)
def test_what_was_not_recorded_is_told_in_words(attack: str, targets: int, there: tuple[str, ...], why: str) -> None:
    scene = scene_of(attack=attack, protocol="vanilla", cut="1", isolate=False, targets=targets)
    recording = dataclasses.replace(recorded(UNSPLIT), segments=dict.fromkeys(there, Segment(1, 1, True)))
    found = replay_cell(scene, recording, quiet).record
    assert (found.status, found.reason) == (NOT_APPLICABLE, why)


def test_targets_that_a_network_cannot_be_sent_are_told_in_words() -> None:
    scene = trials.scene_of(UNSPLIT)
    recording = dataclasses.replace(recorded(UNSPLIT), segments={}, left_out={shape_of(scene).name: "too few samples"})
    assert replay_cell(scene, recording, quiet).record.reason == (
        "unsplit needs 4 targets in one message, which could not be sent when this was recorded: too few samples"
    )


@pytest.mark.usefixtures("made")
def test_a_recording_that_was_full_says_so(tmp_path: Path) -> None:
    scene = scene_of(attack="spy", protocol="vanilla", cut="1", isolate=False, epochs=4)
    recording = record(scene, tmp_path, 180_000, True, quiet)
    training = recording.segments["training"]
    assert not training.complete
    assert 0 < training.bytes <= 162_000
    assert training.bytes == recording.file("training").stat().st_size
    assert sum(segment.bytes for segment in recording.segments.values()) <= 180_000
    assert recording.segments[shape_of(scene).name].complete
    found = replay_cell(scene, recording, quiet).record
    assert (found.status, found.reason.partition(",")[0]) == (
        NOT_APPLICABLE, "the recording of the training stopped at its limit"
    )  # fmt: skip


@pytest.mark.usefixtures("made")
def test_a_recording_holds_what_its_party_saw_and_nothing_else(tmp_path: Path) -> None:
    """In u_shaped a server sees neither inputs nor labels nor logits; row numbers are the judge's."""
    scene = scene_of(attack="spy", protocol="u_shaped", cut="1:4", clients=2, isolate=False)
    recording = record(scene, tmp_path, ROOM, True, quiet)
    names = {
        name
        for segment in recording.segments
        for exchange in Tape(recording.file(segment))
        for message in (exchange.request, exchange.reply)
        for name in message
    }
    assert names == {"smashed", "features", "features_grad", "grad"}
    client = scene.protocol.deal(scene.model, scene.cuts)[Seat.CLIENT]
    own = {tuple(w.shape) for part in client for w in part.parameters()}
    for path in recording.folder.glob("*.safetensors"):
        kept = load_file(path)
        assert not own & {tuple(t.shape) for name, t in kept.items() if name.startswith("weights.")}
    told = (recording.folder / "recording.json").read_text()
    assert f'"seed": {scene.experiment.seed}' not in told
    assert {path.suffix for path in recording.folder.iterdir()} == {".wire", ".safetensors", ".json"}
    shutil.rmtree(recording.truth)
    with pytest.raises(RecordingError, match="is not there"):
        truth_kept(open_recording(recording.folder))


@pytest.mark.usefixtures("made")
def test_another_process_does_not_take_the_folder_of_a_recording_under_way(tmp_path: Path) -> None:
    class Stop(Exception):
        """A kill."""

    scene = scene_of(attack="spy", protocol="vanilla", cut="1", isolate=False)

    def meanwhile(what: str, done: int, total: int) -> None:
        there = [*tmp_path.rglob("*.wire")]
        with pytest.raises(ExperimentError, match=f"another .* works in {tmp_path}/recordings/.*or choose .* name= or"):
            record(scene, tmp_path, ROOM, True, quiet)
        assert [*tmp_path.rglob("*.wire")] == there != []
        raise Stop

    for _ in range(2):
        with pytest.raises(Stop):
            record(scene, tmp_path, ROOM, True, meanwhile)


def test_a_process_that_never_stands_to_replay_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = list[ProcessHost]()

    def fails(host: ProcessHost) -> None:
        hosts.append(host)
        raise IsolatedError("it does not stand")

    monkeypatch.setattr(ProcessHost, "ready", fails)
    with pytest.raises(IsolatedError, match="does not stand"):
        replay_cell(trials.scene_of(UNSPLIT, isolate=True), recorded(UNSPLIT), quiet)
    assert hosts[0]._other.process.returncode is not None


def test_a_folder_without_a_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds no recording"):
        open_recording(tmp_path)
    (tmp_path / "training.wire").write_bytes(b"cutlayer wire 1\n")
    with pytest.raises(RecordingError, match="it was broken off"):
        open_recording(tmp_path)
    (tmp_path / "recording.json").write_text('{"format": 1}')
    with pytest.raises(RecordingError, match="format = 1 is another version's: this cutlayer reads 2; replay with"):
        open_recording(tmp_path)
    (tmp_path / "recording.json").write_text("{}")
    with pytest.raises(RecordingError, match="is not of this version"):
        open_recording(tmp_path)
