"""Commands that are killed, and commands that train one victim at the same time: all end with it, to the bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cutlayer.auditing import begun, victim
from cutlayer.auditing.begun import Begun, Measured, States
from cutlayer.auditing.victim import all_steps, key, steps_to_train, train
from cutlayer.scene.scene import Scene
from tests.cells import quiet
from tests.scenes import made, scene_of
from tests.trainings import interrupted_at, same

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")


def scene(**values: Any) -> Scene:
    return scene_of(protocol="vanilla", cut="1", **values)


def victim_of(cell: Scene, run: Path) -> Path:
    return run / "victims" / key(cell)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def before_first(monkeypatch: pytest.MonkeyPatch, what: str, act: Callable[[], object]) -> None:
    """Let ``act`` happen right before the first call of the ``what`` of who keeps a training."""
    real, calls = getattr(begun, what), list[str]()

    def called(*arguments: Any) -> Any:
        calls.append(what)
        if len(calls) == 1:
            act()
        return real(*arguments)

    monkeypatch.setattr(begun, what, called)


def test_nothing_half_written_is_ever_taken_for_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = scene()
    through = train(cell, tmp_path / "through", quiet)

    def dies(path: Path, content: str | bytes) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(victim, "write_whole", dies)
    with pytest.raises(OSError, match="disk full"):
        train(cell, tmp_path / "cut", quiet)
    monkeypatch.undo()
    folder = victim_of(cell, tmp_path / "cut")
    assert names(folder / "vanilla-1") == [f"step-{all_steps(cell)}"]
    # What a kill in the middle of writing an epoch leaves behind.
    (folder / "vanilla-1" / ".draft-1").mkdir()
    (folder / "vanilla-1" / ".draft-1" / "server.safetensors").write_bytes(b"half")
    assert same(through, train(cell, tmp_path / "cut", quiet))
    assert names(folder) == ["history.json", "model.safetensors"]


@pytest.mark.parametrize(("where", "what"), [(Path, "rename"), (begun, "write_through")])
def test_what_cannot_be_kept_is_told_and_nothing_of_it_stays(
    where: object, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = scene()

    def dies(*arguments: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(where, what, dies)
    with pytest.raises(OSError, match="disk full"):
        train(cell, tmp_path, quiet)
    assert names(victim_of(cell, tmp_path) / "vanilla-1") == []


def test_epochs_of_who_is_ahead_are_neither_overwritten_nor_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = scene()
    alone = train(cell, tmp_path / "alone", quiet)
    keep, total = Begun.keep, all_steps(cell)

    def race(training: Begun, steps: int, states: States, measured: Measured) -> None:
        first, theirs = steps == total // 2, training.folder / f"step-{total}" / "theirs"
        if first:
            for ahead in (total // 2, total):
                (training.folder / f"step-{ahead}").mkdir(parents=True)
            theirs.touch()
        keep(training, steps, states, measured)
        assert theirs.is_file() or not first

    monkeypatch.setattr(Begun, "keep", race)
    assert same(alone, train(cell, tmp_path / "both", quiet))
    assert names(victim_of(cell, tmp_path / "both")) == ["history.json", "model.safetensors"]


@pytest.mark.parametrize("finished", [True, False])
def test_a_draft_that_is_taken_away_is_made_again_or_needed_no_more(
    finished: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another command takes the folder away while an epoch is written: it has finished the victim, or it was a user."""
    cell = scene()
    alone = train(cell, tmp_path / "alone", quiet)
    folder = victim_of(cell, tmp_path / "both")

    def end() -> None:
        if finished:
            for name in ("model.safetensors", "history.json"):
                shutil.copy(victim_of(cell, tmp_path / "alone") / name, folder)
        shutil.rmtree(folder / "vanilla-1")

    before_first(monkeypatch, "write_through", end)
    steps: list[int] = []
    assert same(alone, train(cell, tmp_path / "both", lambda what, done, total: steps.append(done)))
    assert len(steps) == all_steps(cell) // (2 if finished else 1)
    assert names(folder) == ["history.json", "model.safetensors"]


@pytest.mark.parametrize("ended", [True, False])
def test_an_epoch_that_is_taken_away_while_it_is_read_is_looked_for_again(
    ended: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another command has kept the next one meanwhile, or ended."""
    cell = scene(epochs=3)
    total = steps_to_train(cell, tmp_path)
    whole = train(cell, tmp_path / "whole", quiet)
    for run, epochs in (("both", 1), ("ahead", 2)):
        with pytest.raises(KeyboardInterrupt):
            train(cell, tmp_path / run, interrupted_at(epochs * total // 3 + 1))
    left = victim_of(cell, tmp_path / "both") / "vanilla-1"
    assert names(left) == [f"step-{total // 3}"]

    def meanwhile() -> None:
        if ended:
            shutil.copytree(victim_of(cell, tmp_path / "whole"), left.parent, dirs_exist_ok=True)
        else:
            shutil.copytree(victim_of(cell, tmp_path / "ahead") / "vanilla-1", left, dirs_exist_ok=True)
        shutil.rmtree(left if ended else left / f"step-{total // 3}")

    before_first(monkeypatch, "read_checked", meanwhile)
    seen: list[int] = []
    found = train(cell, tmp_path / "both", lambda what, done, total: seen.append(done))
    assert same(whole, found)
    assert found.history == whole.history
    assert seen == ([] if ended else list(range(2 * total // 3 + 1, total + 1)))
    assert names(left.parent) == ["history.json", "model.safetensors"]


def test_an_epoch_is_taken_away_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads it meanwhile must not find a part of it."""
    cell = scene()
    remove, seen = shutil.rmtree, list[str]()

    def watched(path: Path, *arguments: Any, **how: Any) -> None:
        seen.append(path.name)
        remove(path, *arguments, **how)

    monkeypatch.setattr(shutil, "rmtree", watched)
    train(cell, tmp_path, quiet)
    assert not [name for name in seen if not name.startswith((".draft-", ".gone-"))]
