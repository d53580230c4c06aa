"""What a scene says of the experiment behind it."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cutlayer.experiment import ExperimentError, make
from cutlayer.settle import settle
from cutlayer.sweeping.folder import run_folder
from tests.scenes import made, scene_of

__all__ = ["made"]


@pytest.mark.usefixtures("made")
def test_it_says_where_there_are_fewer_samples_than_asked_for() -> None:
    asked = scene_of(cut="1", protocol="vanilla", train_rows=45, test_rows=16, targets=17)
    assert asked.shortfalls == [
        "train_rows = 45: there are only 44, all are taken",
        "targets = 17: there are only 16, all are taken",
    ]
    assert not scene_of(cut="1", protocol="vanilla").shortfalls


@pytest.mark.usefixtures("made")
def test_it_says_what_is_asked_for_in_vain() -> None:
    asked = scene_of(cut="1", protocol="vanilla", budget=0.1, pixel_budgets=(8,), malicious=1)
    assert asked.shortfalls == [
        "budget = 0.1 changes nothing: spy perturbs no inputs",
        "pixel_budgets = (8.0,) changes nothing: spy perturbs no inputs",
    ]


def test_keys_of_a_transfer_that_is_not_asked_for_and_of_files_that_nobody_reads_are_named() -> None:
    planted = {"attack": "surrogate_client", "plugins": None, "model": "lenet", "offers": ("aux_inputs", "aux_labels")}
    values = {**planted, "cut": "1", "protocol": "vanilla", "data_dir": Path("here")}
    values |= {"transfer_mean": (0.5,), "transfer_std": (0.5,)}
    assert scene_of(**values).shortfalls == [
        "transfer_mean = (0.5,) changes nothing: no transfer is asked for",
        "transfer_std = (0.5,) changes nothing: no transfer is asked for",
        "data_dir = here changes nothing: digits is embedded",
    ]
    assert scene_of(**values, transfer="digits").shortfalls == []


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


@pytest.mark.usefixtures("made")
def test_a_file_where_the_runs_folder_would_be_is_one_line_that_helps(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    asked = {"cut": "1", "protocol": "vanilla"}
    for place in ({"out": tmp_path, "name": "taken"}, {"out": tmp_path / "taken", "name": "run"}):
        with pytest.raises(ExperimentError, match=r"taken is a file; keys name and out"):
            run_folder([scene_of(**asked, **place)])
    assert run_folder([scene_of(**asked, out=tmp_path, name="free")]) == tmp_path / "free"


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
