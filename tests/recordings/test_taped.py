"""A recording that is broken off ends, taken up again, as if it had not been: in the same files, its tape too."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cutlayer.auditing import begun, training
from cutlayer.exchange.tape import Recorder
from cutlayer.recordings.archive import TRAINING
from cutlayer.recordings.recorder import record, recording_folder, steps_to_train
from cutlayer.scene.scene import Scene
from cutlayer.threat import Progress
from tests.cells import quiet
from tests.scenes import CUTS, made, scene_of
from tests.trainings import interrupted_at

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")
ROOM = 1 << 28
EPOCH, STEPS = 6, 12
"""Training steps of an epoch, and of all."""
AT_ONCE, BY_EPOCH = 0.0, training.EVERY
FULL = 61_000
"""A limit that the second exchange of the second epoch reaches, while the third one, which is smaller, would fit."""


def to_record(**values: Any) -> Scene:
    return scene_of(**{"protocol": "vanilla", "cut": "1", "clients": 2, "targets": 3, "isolate": False, **values})


def files(run: Path) -> dict[str, bytes]:
    """Everything that lies there, hidden or not."""
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def of_training(progress: Progress) -> Progress:
    return lambda what, done, total: progress(what, done, total) if what.startswith("training") else None


def in_targets(what: str, done: int, total: int) -> None:
    """Ctrl-C once the training is over."""
    if what.startswith("targets"):
        raise KeyboardInterrupt


def broken_off(scene: Scene, run: Path, where: int | Progress, limit: int = ROOM, whole: bool = True) -> None:
    progress = of_training(interrupted_at(where)) if isinstance(where, int) else where
    with pytest.raises(KeyboardInterrupt):
        record(scene, run, limit, whole, progress)


def resumed(scene: Scene, run: Path, limit: int = ROOM, whole: bool = True) -> list[int]:
    """The training steps that were made again."""
    steps: list[int] = []
    record(scene, run, limit, whole, of_training(lambda what, done, total: steps.append(done)))
    return steps


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, bytes]]:
    """What there is in the end where nothing is broken off."""

    @cache
    def found(limit: int = ROOM, whole: bool = True, **values: Any) -> dict[str, bytes]:
        run = tmp_path_factory.mktemp("through")
        record(to_record(**values), run, limit, whole, quiet)
        return files(run)

    return found


IN_LABEL_ONLY = {"protocol": "label_only", "cut": CUTS["label_only"], "turn": 1, "pipelined": True}


@pytest.mark.parametrize(
    ("values", "every", "where", "kept"),
    [
        pytest.param({}, AT_ONCE, EPOCH + 3, EPOCH + 2, id="kept in the middle of an epoch"),
        pytest.param({"pipelined": True}, AT_ONCE, EPOCH + 3, EPOCH + 2, id="pipelined"),
        pytest.param(IN_LABEL_ONLY, AT_ONCE, EPOCH + 3, EPOCH + 2, id="in label_only"),
        pytest.param({"handover": "server"}, AT_ONCE, EPOCH + 4, EPOCH + 3, id="between turns"),
        pytest.param({}, BY_EPOCH, EPOCH + 3, EPOCH, id="in the middle of an epoch"),
        pytest.param({}, BY_EPOCH, EPOCH + 1, EPOCH, id="at the end of an epoch"),
        pytest.param({}, BY_EPOCH, 2, 0, id="before anything was kept"),
        pytest.param({}, BY_EPOCH, in_targets, STEPS, id="behind the training"),
    ],
)
def test_it_ends_as_if_it_had_not_been_broken_off(
    values: dict[str, Any],
    every: float,
    where: int | Progress,
    kept: int,
    tmp_path: Path,
    through: Callable[..., dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "EVERY", every)
    scene = to_record(**values)
    broken_off(scene, tmp_path, where)
    # Computed once more they can differ in their last bits.
    Recorder(recording_folder(scene, tmp_path).wire(TRAINING), ROOM).keep(b"other", b"bits")
    assert steps_to_train(scene, tmp_path) == STEPS - kept
    assert resumed(scene, tmp_path) == list(range(kept + 1, STEPS + 1))
    assert files(tmp_path) == through(**values)
    assert not list((tmp_path / "begun").iterdir())


@pytest.mark.parametrize(
    ("every", "again"), [(AT_ONCE, EPOCH + 3), (BY_EPOCH, EPOCH + 1)], ids=["before what is kept", "behind it"]
)
def test_a_limit_that_was_reached_before_ends_the_tape_at_the_same_exchange(
    every: float,
    again: int,
    tmp_path: Path,
    through: Callable[..., dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "EVERY", every)
    scene = to_record()
    broken_off(scene, tmp_path, EPOCH + 3, FULL)
    wire = recording_folder(scene, tmp_path).wire(TRAINING)
    assert wire.read_bytes() == through(FULL)[str(wire.relative_to(tmp_path))], "it was full by then"
    assert resumed(scene, tmp_path, FULL)[0] == again
    assert files(tmp_path) == through(FULL)
    assert files(tmp_path).keys() > through().keys(), "it says that it is full"


def test_patience_ends_it_where_it_would_have_ended(tmp_path: Path, through: Callable[..., dict[str, bytes]]) -> None:
    values = {"epochs": 12, "learning_rate": 0.3, "validation_rows": 8, "patience": 2}
    scene = to_record(**values)
    for where in (EPOCH + 3, in_targets):
        broken_off(scene, tmp_path, where)
    assert 0 < steps_to_train(scene, tmp_path) < 10 * EPOCH
    assert resumed(scene, tmp_path) == []
    assert files(tmp_path) == through(**values)


def flipped(wire: Path) -> None:
    content = bytearray(wire.read_bytes())
    content[len(content) // 3] ^= 1
    wire.write_bytes(content)


@pytest.mark.parametrize("damage", [flipped, Path.unlink], ids=["a flipped bit", "gone"])
def test_without_its_tape_a_training_begins_anew(
    damage: Callable[[Path], None],
    tmp_path: Path,
    through: Callable[..., dict[str, bytes]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = to_record()
    broken_off(scene, tmp_path, EPOCH + 1)
    damage(recording_folder(scene, tmp_path).wire(TRAINING))
    with caplog.at_level(logging.WARNING):
        broken_off(scene, tmp_path, 2)
    assert steps_to_train(scene, tmp_path) == STEPS
    assert resumed(scene, tmp_path)[0] == 1
    said = r"training.wire: \d+ of \d+ bytes that were recorded are whole exchanges: the training is recorded anew"
    assert re.search(said, caplog.text)
    assert files(tmp_path) == through()


@pytest.mark.parametrize(
    ("first", "limit", "again"),
    [
        pytest.param(FULL, ROOM, 1, id="more, once it was full"),
        pytest.param(ROOM, FULL, 1, id="less than there is"),
        pytest.param(ROOM, 2 * FULL, 2 * EPOCH - 1, id="as much as there is"),
    ],
)
def test_under_another_limit_only_what_that_changes_is_recorded_anew(
    first: int,
    limit: int,
    again: int,
    tmp_path: Path,
    through: Callable[..., dict[str, bytes]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "EVERY", AT_ONCE)
    scene = to_record()
    broken_off(scene, tmp_path, 2 * EPOCH - 1, first)
    caplog.clear()
    assert resumed(scene, tmp_path, limit)[0] == again
    assert ("recorded with another limit: the training is recorded anew" in caplog.text) == (again == 1)
    assert files(tmp_path) == through(limit)


@pytest.mark.parametrize(("whole", "again"), [(True, 1), (False, EPOCH + 1)])
def test_a_training_that_was_not_recorded_is_not_taken_up_for_a_recording(
    whole: bool, again: int, tmp_path: Path, through: Callable[..., dict[str, bytes]]
) -> None:
    """The other way round it is."""
    scene = to_record()
    broken_off(scene, tmp_path, EPOCH + 1, whole=not whole)
    assert resumed(scene, tmp_path, whole=whole)[0] == again
    assert files(tmp_path) == through(whole=whole)


def test_the_tape_is_on_the_disk_before_what_is_kept_tells_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def noted(name: str, real: Callable[..., None]) -> Callable[..., None]:
        def called(*arguments: object) -> None:
            calls.append(name)
            real(*arguments)

        return called

    monkeypatch.setattr(Recorder, "close", noted("tape", Recorder.close))
    monkeypatch.setattr(begun, "write_through", noted("kept", begun.write_through))
    broken_off(to_record(), tmp_path, EPOCH + 1)
    assert calls[:2] == ["tape", "kept"]
