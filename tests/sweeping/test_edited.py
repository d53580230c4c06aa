"""The user's own code, edited between two runs or while one lasts: no record names code that it did not run."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest.mock import patch

import pytest

from cutlayer.auditing.attacked import attacked_key
from cutlayer.auditing.outline import fingerprint
from cutlayer.auditing.victim import key
from cutlayer.isolated.isolation import ProcessHost
from cutlayer.record import DONE, FAILED, Record
from cutlayer.scene.scene import Scene
from cutlayer.sweeping.folder import finished
from cutlayer.sweeping.sweep import Sweep
from cutlayer.sweeping.watcher import Unwatched
from tests.cells import GREY, STOCHASTIC, attacks, sweep
from tests.scenes import PLUGINS, made, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")
SCALE = '''"""A client that scales what it sends."""
from dataclasses import dataclass
from cutlayer.defense import Defense


@dataclass
class Scale(Defense):
    def guard(self, message):
        return message.replace(smashed=message["smashed"] * {factor}) if "smashed" in message else message
'''


def cell_of(plugins: Path, **values: object) -> Scene:
    asked = {"plugins": plugins, "model": STOCHASTIC, "protocol": "vanilla", "cut": "1", "epochs": 1, "isolate": False}
    return scene_of(**{**asked, "attack": "grey", **values})


def edited(file: Path, old: str, new: str) -> None:
    """As long as it was, and at once."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def mse(record: Record) -> float | None:
    return next(score.value for score in record.scores if score.metric == "mse")


def test_what_is_asked_for_again_after_an_edit_runs_the_code_as_it_is(tmp_path: Path) -> None:
    plugins = attacks(tmp_path / "own", grey=GREY)
    (plugins / "defenses").mkdir()
    (plugins / "defenses" / "scale.py").write_text(SCALE.format(factor=1))
    found, keys = list[Record](), []

    def asked() -> None:
        scene = cell_of(plugins, defense="scale")
        found.extend(sweep([scene], tmp_path))
        keys.append(key(scene))

    asked()
    edited(plugins / "attacks" / "grey.py", "0.5", "0.9")
    asked()
    edited(plugins / "defenses" / "scale.py", "* 1", "* 9")
    asked()
    assert [record.status for record in found] == [DONE] * 3
    assert len({record.fingerprint for record in found}) == 3
    first, brighter, scaled = found
    assert mse(first) != mse(brighter) == mse(scaled)
    assert first.training == brighter.training, "the attack is no part of the victim"
    assert brighter.training[0].loss != scaled.training[0].loss
    assert keys[0] == keys[1] != keys[2]


def test_a_cell_in_progress_keeps_its_code_and_its_name(tmp_path: Path) -> None:
    plugins = attacks(tmp_path / "own", grey=GREY)
    scene = cell_of(plugins)
    names = [found(scene) for found in (fingerprint, key, attacked_key)]
    model = {name: tensor.clone() for name, tensor in scene.model.state_dict().items()}

    class Meanwhile(Unwatched):
        def begin(self, number: int) -> None:
            self.left = [("grey", "0.5", "0.9")]

        def progress(self, number: int, what: str, done: int, total: int) -> None:
            for name, old, new in self.left:
                edited(plugins / "attacks" / f"{name}.py", old, new)
            self.left.clear()

    found = dict(Sweep([scene], tmp_path, "").records(Meanwhile()))
    assert [found(scene) for found in (fingerprint, key, attacked_key)] == names
    assert all(tensor.equal(model[name]) for name, tensor in scene.model.state_dict().items())
    assert found[0].status == DONE
    (again,) = sweep([cell_of(plugins)], tmp_path)
    assert mse(found[0]) != mse(again)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_cell_that_begins_after_an_edit_is_refused(tmp_path: Path, jobs: int) -> None:
    """It would leave a record of the new code under the name of the old."""
    plugins = attacks(tmp_path / "own", grey=GREY, other=GREY, broken=GREY)
    shutil.copytree(PLUGINS / "datasets", plugins / "datasets")
    scenes = [cell_of(plugins, attack=attack, dataset="made", threads=1) for attack in ("grey", "other", "broken")]
    edited(plugins / "attacks" / "grey.py", "0.5", "0.9")
    edited(plugins / "attacks" / "broken.py", "return", "retrun")
    with patch("os.cpu_count", lambda: 2):
        found = dict(Sweep(scenes, tmp_path, "", jobs).records(Unwatched()))
    assert [found[number].status for number in range(3)] == [FAILED, DONE, FAILED]
    assert "grey.py has changed since this cell was settled: the same command runs it anew" in found[0].reason
    assert ("broken.py has changed" if jobs == 1 else "broken.py cannot be imported: SyntaxError") in found[2].reason
    assert found[0].fingerprint == fingerprint(scenes[0])
    assert finished(scenes[1], tmp_path)
    assert not finished(cell_of(plugins), tmp_path)


def test_what_another_process_reads_anew_must_be_what_was_settled(tmp_path: Path) -> None:
    plugins = attacks(tmp_path / "own", grey=GREY)
    scene, ready = cell_of(plugins, isolate=True), ProcessHost.ready

    def late(host: ProcessHost) -> None:
        edited(plugins / "attacks" / "grey.py", "0.5", "0.9")
        ready(host)

    with patch.object(ProcessHost, "ready", late):
        (record,) = sweep([scene], tmp_path)
    assert record.status == FAILED
    assert "grey.py has changed" in record.reason
    assert not (tmp_path / "victims").exists()
