"""What a scene says of the experiment behind it."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cutlayer.auditing.victim import key
from cutlayer.experiment import ExperimentError, make
from cutlayer.layout import RunFolder
from cutlayer.scene.loading import load_dataset, own_files
from cutlayer.scene.settle import settle
from cutlayer.sweeping.folder import cell_folder, run_folder
from tests.scenes import made, scene_of

__all__ = ["made"]


@pytest.fixture
def datasets(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "datasets").mkdir()
    yield tmp_path / "datasets"
    for name in [name for name in sys.modules if name.startswith("cutlayer_plugins.datasets")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "source", "says"),
    [
        ("unable", "x = 1", r"unable\.py must define load\(data_dir\), which gives a Dataset"),
        ("other", "def load(data_dir):\n    return [1]", "'other': its load gives a list, it must give a Dataset"),
        ("bare", "def load(data_dir, *, size=1):\n    return size", "'bare': its load gives a float"),
    ],
)
def test_a_dataset_of_ones_own_that_is_none_is_one_line_that_helps(
    datasets: Path, name: str, source: str, says: str
) -> None:
    (datasets / f"{name}.py").write_text(source)
    options = {"bare": {"size": 0.5}} if name == "bare" else {}
    with pytest.raises(ExperimentError, match=says):
        settle(make({"plugins": datasets.parent, "dataset": name, "options": options}))


STRIPES = """
import torch
from cutlayer.dataset import Dataset, Split

def load(data_dir):
    labels = torch.arange(40) // 10
    split = Split(torch.arange(40, dtype=torch.uint8)[:, None, None, None].repeat(1, 1, 8, 8), labels)
    return Dataset("by_class", split, split, tuple("abcd"))
"""


def test_a_test_split_in_the_order_of_its_classes_gives_targets_of_several(datasets: Path) -> None:
    """Or an audit would guess one class, and its blind guess would always be right."""
    (datasets / "by_class.py").write_text(STRIPES)
    values = {"plugins": datasets.parent, "dataset": "by_class", "attack": "label_inference"}
    (scene, *_) = settle(make({**values, "targets": 10, "model": "dense"}))
    assert len(set(scene.samples.labels(scene.target_rows).tolist())) == 4
    fewer = load_dataset(scene.experiment.with_values(test_rows=8))
    assert fewer.test.inputs[:, 0, 0, 0].sort().values.tolist() == [0, 5, 10, 15, 20, 25, 30, 35], "spread as ever"
    filed = load_dataset(scene.experiment, mixed=False)
    assert filed.test.labels.equal(filed.train.labels)
    assert scene.dataset.train.labels.equal(filed.train.labels)


@pytest.mark.usefixtures("made")
def test_a_file_where_the_runs_folder_would_be_is_one_line_that_helps(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    asked = {"cut": "1", "protocol": "vanilla"}
    for place in ({"out": tmp_path, "name": "taken"}, {"out": tmp_path / "taken", "name": "run"}):
        with pytest.raises(ExperimentError, match=r"taken is a file; keys name and out"):
            run_folder([scene_of(**asked, **place)])
    assert run_folder([scene_of(**asked, out=tmp_path, name="free")]) == tmp_path / "free"


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("place", ["cells", "victims", "cells/cell", "victims/key"])
def test_a_file_where_a_folder_of_the_run_goes_is_told_before_any_training(place: str, tmp_path: Path) -> None:
    scene = scene_of(cut="1", protocol="vanilla", out=tmp_path, name="run")
    cell = cell_folder(scene, tmp_path / "run").name
    taken = tmp_path / "run" / place.replace("cells/cell", f"cells/{cell}").replace("key", key(scene))
    taken.parent.mkdir(parents=True)
    taken.touch()
    with pytest.raises(ExperimentError, match=f"^{re.escape(str(taken))} is a file, and a folder goes there"):
        run_folder([scene])


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("file", ["record.json", "model.safetensors", "history.json"])
def test_a_folder_where_a_file_of_the_run_goes_is_told_before_any_training(file: str, tmp_path: Path) -> None:
    scene, other = (scene_of(cut="1", protocol="vanilla", out=tmp_path, name="run", seed=seed) for seed in (1, 2))
    run = RunFolder(tmp_path / "run")
    folder = cell_folder(other, run.path) if file == "record.json" else run.victim(key(other)).path
    (folder / file).mkdir(parents=True)
    with pytest.raises(ExperimentError, match=f"{file} is a folder, and a file goes there: remove it"):
        run_folder([scene, other])
    (folder / file).rmdir()
    assert run_folder([scene, other]) == run.path


@pytest.mark.usefixtures("made")
def test_a_place_that_cannot_be_written_to_is_told_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(dir: Path) -> None:
        raise PermissionError(errno.EROFS, "Read-only file system", str(dir / "made"))

    monkeypatch.setattr("tempfile.TemporaryDirectory", refused)
    said = rf"{tmp_path} cannot be written to \(Read-only file system\); keys name and out"
    with pytest.raises(ExperimentError, match=said):
        run_folder([scene_of(cut="1", protocol="vanilla", out=tmp_path / "deep", name="run")])


def test_what_a_file_imports_from_its_folder_is_part_of_the_experiment(tmp_path: Path) -> None:
    """Or a record of the network as it was would stand for the network as it is."""
    (tmp_path / "attacks").mkdir()
    for folder, name in ((tmp_path, "net"), (tmp_path / "attacks", "mine")):
        (folder / f"{name}.py").write_text(f"from {name}_parts import Part")
    experiment = make({"model": f"{tmp_path}/net.py:build", "plugins": tmp_path})
    found = [own_files(experiment, "attacks")]
    for near in (tmp_path / "net_parts.py", tmp_path / "attacks" / "mine_parts" / "__init__.py"):
        near.parent.mkdir(exist_ok=True)
        for text in ("Part = 1", "Part = 11"):
            near.write_text(text)
            found.append(own_files(experiment, "attacks"))
    (tmp_path / "other.py").touch()
    assert own_files(experiment, "attacks") == found[-1]
    assert len(set(found)) == 5


def test_cuts_that_nobody_gave_lie_before_the_part_that_a_protocol_takes(tmp_path: Path) -> None:
    """The dense network suggests the place behind its last hidden layer, where the U-shape's last part begins."""
    rows = "".join(f"{number % 7},{number % 5},{number % 2}\n" for number in range(60))
    (tmp_path / "rows.csv").write_text("a,b,label\n" + rows)
    table = {"dataset": "table", "data_dir": tmp_path / "rows.csv", "options": {"table": {"label": "label"}}}
    cuts = {
        name: [scene.cuts for scene in settle(make({**table, "protocol": name}))] for name in ("vanilla", "u_shaped")
    }
    assert cuts == {"vanilla": [(1,), (3,), (5,)], "u_shaped": [(1, 5), (3, 5)]}
