"""A dataset of one's own that cannot be loaded is told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cutlayer.dataset import DatasetError
from cutlayer.experiment import ExperimentError, make
from cutlayer.scene.loading import load_dataset
from cutlayer.scene.settle import settle


def experiment_on(folder: Path, body: str) -> dict[str, str]:
    """An experiment on a dataset whose ``load`` has this ``body``."""
    (folder / "datasets").mkdir()
    (folder / "datasets" / "broken.py").write_text(f"def load(data_dir=None):\n    {body}\n")
    return {"dataset": "broken", "plugins": str(folder)}


def test_the_plug_in_is_named_and_what_it_raised(tmp_path: Path) -> None:
    asked = experiment_on(tmp_path, "return {}['rows']")
    with pytest.raises(ExperimentError, match=r"^dataset 'broken' cannot be loaded: KeyError: 'rows'$"):
        settle(make(asked))


def test_what_a_dataset_refuses_itself_is_said_as_it_is(tmp_path: Path) -> None:
    body = "from cutlayer.dataset import DatasetError; raise DatasetError('no rows.csv in it')"
    asked = make(experiment_on(tmp_path, body))
    with pytest.raises(DatasetError, match=r"^no rows.csv in it$"):
        load_dataset(asked)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError])
def test_what_is_no_fault_of_the_plug_in_passes(tmp_path: Path, kind: type[BaseException]) -> None:
    asked = make(experiment_on(tmp_path, f"raise {kind.__name__}"))
    with pytest.raises(kind):
        settle(asked)


WHOLE = """
import torch
from cutlayer.dataset import Dataset, Split

def load(data_dir=None):
    split = Split(torch.full((4, 1, 8, 8), {value}, dtype=torch.uint8), torch.arange(4) % 2)
    return Dataset("flat", split, split, ("a", "b"))
"""


def test_one_that_was_edited_is_loaded_anew(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    file, asked = tmp_path / "datasets" / "flat.py", {"dataset": "flat", "plugins": str(tmp_path), "attack": "unsplit"}
    found = []
    for value in (3, 3, 4):
        file.write_text(WHOLE.format(value=value))
        (scene, *_) = settle(make({**asked, "model": "dense"}))
        found.append(scene)
    assert [int(scene.dataset.train.inputs.max()) for scene in found] == [3, 3, 4]
    assert load_dataset(found[-1].experiment).train is found[-1].dataset.train
