"""`cutlayer record` and `replay` as they are typed."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from safetensors.torch import load_file

from cutlayer.auditing.victim import key
from cutlayer.commands import course
from cutlayer.commands import record as module
from cutlayer.commands.display import Display
from cutlayer.commands.record import record_all, replay_all
from cutlayer.commands.train import deployments
from cutlayer.exchange.tape import bytes_of
from cutlayer.experiment import ExperimentError, make
from cutlayer.layout import RunFolder
from cutlayer.record import DONE, NOT_APPLICABLE, read_record
from cutlayer.recordings.archive import TRAINING, Recording, open_recording
from cutlayer.recordings.recorder import record
from cutlayer.sweeping import audit
from cutlayer.sweeping.estimate import training_seconds
from tests.cells import UNSPLIT, quiet
from tests.scenes import PLUGINS, made, scene_of

__all__ = ["made"]

SMALL = ("train_rows=64", "test_rows=40", "epochs=1", "isolate=false", "cut=1", "protocol=vanilla")
SHORT = ("unsplit.rounds=1", "unsplit.input_steps=2", "unsplit.model_steps=2", "unsplit.restarts=1")


NET = """
from torch import nn
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, {0}), nn.ReLU(), nn.Linear({0}, 10))
"""


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_what_tampers_with_a_training_is_not_left_out_in_silence(tmp_path: Path) -> None:
    asked = ["protocol=u_shaped", "targets=5", "attack=pgd", "under=sladv", "offers=aux_inputs,peer_queries"]
    with pytest.raises(ExperimentError, match="under = 'sladv': only an honest server's deployment is recorded"):
        list(record_all(None, [*SMALL, *asked, f"out={tmp_path}"], "50MB", True, console()))
    assert not list(tmp_path.iterdir())


def test_what_is_recorded_is_replayed_with_the_scores_of_an_audit(tmp_path: Path) -> None:
    (live,) = audit(*SMALL, *SHORT, "attack=unsplit", f"out={tmp_path}", "name=live")
    told = console()
    (recording,) = record_all(
        None, [*SMALL, *SHORT, "attack=unsplit", f"out={tmp_path}", "name=mine"], "50MB", True, told
    )
    assert isinstance(told.file, io.StringIO)
    assert "training: 1 exchanges" in told.file.getvalue()
    said = console()
    records, report = replay_all(recording.folder, [*SHORT, "attack=unsplit,fsha", "link=dsl"], "typed", said)
    assert [one.status for one in records] == [DONE, NOT_APPLICABLE]
    assert records[0].scores == live.scores
    assert (records[0].recording, records[0].command, records[0].link) == (recording.folder.name, "typed", "dsl")
    assert records[0].link_seconds is not None
    assert report == tmp_path / "mine" / "replays" / recording.folder.name / "report.html"
    assert len([read_record(path) for path in (report.parent / "cells").iterdir()]) == 2
    assert isinstance(said.file, io.StringIO)
    assert "it tampers with messages: a recording answers nobody" in said.file.getvalue()
    with pytest.raises(ExperimentError, match="cut was settled when this was recorded; a replay takes attack, steps"):
        replay_all(recording.folder, ["cut=3"], "typed", said)
    with pytest.raises(ExperimentError, match="model was settled when this was recorded"):
        replay_all(recording.folder, ["model=lenet"], "typed", said)
    with pytest.raises(ExperimentError, match="did you mean 'attack'"):
        replay_all(recording.folder, ["atack=unsplit"], "typed", said)
    with pytest.raises(ExperimentError, match="options are given for 'unsplit', which the experiment does not use"):
        replay_all(recording.folder, ["attack=fsha", "unsplit.rounds=2"], "typed", said)
    with pytest.raises(ExperimentError, match="holds no recording"):
        replay_all(tmp_path, [], "typed", said)


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({"attack": "fsha"}, [{}]),
        ({"unsplit.rounds": 2}, [{"unsplit": {"rounds": 2}}]),
        ({"attack": "fsha", "unsplit.rounds": 2}, [{"unsplit": {"rounds": 2}}]),
        ({"attack": ["unsplit", "fsha"], "fsha.width": 8}, [{"unsplit": {"rounds": 1}}, {"fsha": {"width": 8}}]),
    ],
)
def test_options_go_to_the_replays_that_use_them(given: dict[str, Any], left: list[dict[str, Any]]) -> None:
    """What no cell uses stays where it was typed, and is refused there; what is no attack's stays everywhere."""
    also = {"sladv": {"alpha": 1}, "digits": {"side": 8}}
    base = make({"attack": "unsplit", "under": "sladv", "options": {"unsplit": {"rounds": 1}, **also}})
    assert [one.options for one in module._experiments(base, given)] == [{**also, **own} for own in left]


@pytest.mark.usefixtures("made")
def test_a_recording_is_expected_to_train_anew_whatever_is_trained_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"protocol": "vanilla", "cut": "1", "out": tmp_path, "name": "mine"}
    scene = scene_of(**values)
    there = RunFolder(tmp_path / "mine").victim(key(scene)).history
    there.parent.mkdir(parents=True)
    there.touch()
    assert training_seconds(scene, tmp_path / "mine", {}) == 0.0

    def shown(console: Console, names: list[str], seconds: list[float]) -> Display:
        raise RuntimeError(f"{len(seconds)} cells, {sum(second > 0 for second in seconds)} to train")

    monkeypatch.setattr(course, "Display", shown)
    monkeypatch.setattr(module, "deployments", lambda file, overrides, apart: [scene])
    with pytest.raises(RuntimeError, match="1 cells, 1 to train"):
        list(record_all(None, [], "50MB", True, console()))


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        (["attack=unsplit", "protocol=vanilla", "cut=1,2"], ["vanilla-cut1-after", "vanilla-cut2-after"]),
        (["attack=unsplit", "protocol=vanilla,u_shaped", "cut=1"], ["vanilla-cut1-after", "u_shaped-cut1_9-after"]),
        (
            ["attack=unsplit", "protocol=vanilla", "cut=1", "when=after,before"],
            ["vanilla-cut1-after", "vanilla-cut1-before"],
        ),
        (["attack=unsplit,label_inference", "protocol=vanilla", "cut=1", "when=after"], ["vanilla-cut1-after"]),
    ],
)
def test_deployments_whose_messages_differ_are_recorded_each(asked: list[str], left: list[str], tmp_path: Path) -> None:
    """Also where all of them train to the same weights."""
    found = record_all(None, [*SMALL[:-2], *asked, "name=mine", f"out={tmp_path}"], "50MB", False, console())
    names = [recording.folder.name.replace("-digits-unsplit_mnist", "") for recording in found]
    assert [name.rpartition("-seed")[0] for name in names] == left
    assert len(list((tmp_path / "mine" / "recordings").glob("*/recording.json"))) == len(left)


def test_targets_that_one_recording_cannot_hold_are_not_left_out_in_silence(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"targets=5.*targets=6.*: one recording holds targets of one kind"):
        list(record_all(None, [*SMALL, "attack=unsplit", "targets=5,6", f"out={tmp_path}"], "50MB", False, console()))
    assert not list(tmp_path.iterdir())


def of_own_network(folder: Path) -> Recording:
    """A recording of the network in ``folder``/net.py."""
    (folder / "net.py").write_text(NET.format(8))
    typed = [f"model={folder / 'net.py'}:build", "attack=unsplit", f"out={folder}", "name=mine"]
    return next(record_all(None, [*SMALL, *typed], "50MB", True, console()))


def unjudged(recording: Recording) -> Path:
    """Messages of the same deployment as a party of one has them: without a truth."""
    folder = recording.folder.parents[2] / "party" / "recording"
    folder.mkdir(parents=True)
    sent = next(name for name in recording.segments if name.startswith("predict"))
    shutil.copy(recording.file(sent), folder / "session.wire")
    told = json.loads((recording.folder / "recording.json").read_text()) | {"segments": {"session": None}}
    (folder / "recording.json").write_text(json.dumps(told))
    return folder


def renamed(file: Path, within: str, model: str, plugins: str) -> None:
    """What whoever sends a recording can write into it."""
    told = json.loads(file.read_text())
    told[within] |= {"model": model, "plugins": plugins}
    file.write_text(json.dumps(told))


def test_a_recording_runs_no_code_of_whoever_sent_it(tmp_path: Path) -> None:
    recording = of_own_network(tmp_path)
    party, theirs = unjudged(recording), tmp_path / "theirs"
    (theirs / "models").mkdir(parents=True)
    for file in (tmp_path / "sent.py", theirs / "models" / "deep.py"):
        file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')" + NET.format(8))
    for model, plugins, why in (
        (f"{tmp_path / 'sent.py'}:build", "", f"type 'model={tmp_path / 'sent.py'}:build', or the path of your own"),
        ("deep", str(theirs), f"type 'plugins={theirs}', or the path of your own"),
    ):
        renamed(recording.truth / "truth.json", "experiment", model, plugins)
        renamed(party / "recording.json", "brief", model, plugins)
        for folder in (recording.folder, party):
            with pytest.raises(ExperimentError, match=why):
                replay_all(folder, ["attack=unsplit", *SHORT], "typed", console())
    assert not (tmp_path / "ran").exists()


def test_a_network_of_ones_own_is_replayed_where_its_file_is_named_and_is_the_recorded_one(tmp_path: Path) -> None:
    recording = of_own_network(tmp_path)
    assert str(tmp_path) not in (recording.folder / "recording.json").read_text()
    own, party = tmp_path / "elsewhere.py", unjudged(recording)
    (tmp_path / "net.py").rename(own)
    given = ["attack=unsplit", *SHORT, f"model={own}:build"]
    (live,) = audit(*SMALL, *given, f"out={tmp_path}", "name=live")
    (found,), _ = replay_all(recording.folder, given, "typed", console())
    assert found.scores == live.scores
    assert list(replay_all(party, given, "typed", console())[1].glob("unsplit-*.safetensors"))
    other = tmp_path / "other.py"
    other.write_text(NET.format(7))
    for folder in (recording.folder, party):
        with pytest.raises(ExperimentError, match=f"model = '{other}:build'(: .*agreed| is not the recorded network)"):
            replay_all(folder, [*given[:-1], f"model={other}:build"], "typed", console())


def test_a_finished_recording_is_not_overwritten(tmp_path: Path) -> None:
    typed = [*SMALL, "attack=unsplit", f"out={tmp_path}", "name=mine"]
    (recording,) = record_all(None, typed, "50MB", False, console())
    inside = {path: path.read_bytes() for path in recording.folder.parents[1].rglob("*") if path.is_file()}
    told = console()
    assert list(record_all(None, typed, "20MB", False, told)) == [recording]
    assert isinstance(told.file, io.StringIO)
    assert f"{recording.folder} is there already and is kept: choose another folder with name=" in told.file.getvalue()
    for training, more, lacking in ((True, [], "the training, .* that watch"), (False, ["targets=3"], "3 targets in")):
        with pytest.raises(ExperimentError, match=f"is there already, without {lacking}.* name= or out=, or remove it"):
            list(record_all(None, [*typed, *more], "50MB", training, console()))
    assert {path: path.read_bytes() for path in inside} == inside
    (recording.folder / "recording.json").unlink()
    (again,) = record_all(None, typed, "50MB", True, console())
    assert TRAINING in again.segments, "one that has no end is made again"
    assert list(record_all(None, typed, "50MB", False, console())) == [again]


def test_a_partys_recording_that_was_full_is_not_replayed_as_complete(tmp_path: Path) -> None:
    party = unjudged(of_own_network(tmp_path))
    given = [f"model={tmp_path / 'net.py'}:build", f"plugins={PLUGINS}"]
    replay_all(party, [*given, "attack=unsplit", *SHORT], "typed", said := console())
    replay_all(party, [*given, "attack=spy"], "typed", console())
    assert isinstance(said.file, io.StringIO)
    assert "limit" not in said.file.getvalue()
    (party / "session.wire.full").touch()
    assert not open_recording(party).segments["session"].complete
    replay_all(party, [*given, "attack=unsplit", *SHORT], "typed", said)
    assert "session: the recording stopped at its limit, after 1 exchanges" in said.file.getvalue()
    with pytest.raises(ExperimentError, match="spy watches the training: its recording stopped at its limit"):
        replay_all(party, [*given, "attack=spy"], "typed", console())


@pytest.mark.usefixtures("made")
def test_a_recording_of_a_wire_with_a_codec_is_replayed_without_it(tmp_path: Path) -> None:
    """It holds what the codec had unpacked already."""
    scene = scene_of(**UNSPLIT, defense="int8_quantization", epochs=0, targets=3)
    party = unjudged(record(scene, tmp_path / "mine", 1 << 24, False, quiet))
    given = ["attack=unsplit", f"plugins={PLUGINS}", *SHORT]
    _, guesses = replay_all(party, given, "typed", console())
    (inputs,) = guesses.glob("*inputs.safetensors")
    assert load_file(inputs)["inputs"].shape == (3, 1, 8, 8)


@pytest.mark.usefixtures("made")
def test_where_nobody_is_reached_over_grpc_messages_are_bytes_in_one_process(tmp_path: Path) -> None:
    """A file for audits over gRPC is no mistake there, nor is an attack that such an audit refuses."""
    own = f"plugins={PLUGINS}"
    typed = ["model=stochastic", own, "protocol=vanilla", "cut=1", "carrier=grpc", "isolate=false"]
    assert [scene.experiment.carrier for scene in deployments(None, typed, key)] == ["loopback"]
    scene = scene_of(protocol="vanilla", cut="1", carrier="grpc", epochs=0, targets=3)
    recording = record(scene, tmp_path / "mine", 1 << 24, False, quiet)
    (found,), _ = replay_all(recording.folder, [own, "attack=insider"], "typed", console())
    assert (found.status, found.experiment["carrier"]) == (NOT_APPLICABLE, "loopback")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500MB", 500_000_000),
        ("1.5 GB", 1_500_000_000),
        ("64kB", 64_000),
        ("20KB", 20_000),
        ("36", 36),
        (".5 GB", 500_000_000),
        ("1.GB", 1_000_000_000),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["5x", "", "MB", "-1MB", "0GB", "1TB"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ExperimentError, match="such as 500MB"):
        list(record_all(None, [], text, True, console()))


@pytest.mark.parametrize(("text", "size"), [("10", 10), ("35B", 35), (".001kB", 1)])
def test_a_size_without_room_for_a_message_is_refused(text: str, size: int) -> None:
    """With the smallest one that is not."""
    why = f"^--limit '{text}': no message fits into {size} bytes: .*, the smallest limit is 36B$"
    with pytest.raises(ExperimentError, match=why):
        list(record_all(None, [], text, True, console()))


def test_what_is_left_for_targets_is_never_less_than_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    typed = [*SMALL, "attack=unsplit", f"out={tmp_path}", "name=mine"]
    (recording,) = record_all(None, typed, "36B", True, console())
    assert not any(segment.complete for segment in recording.segments.values())
    assert "is full at its limit of 0 bytes" in caplog.text
    assert "limit of -" not in caplog.text
