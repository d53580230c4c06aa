from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cutlayer.dataset import DatasetError
from cutlayer.datasets import emnist_letters


def stored(folder: Path) -> torch.Tensor:
    return torch.from_numpy(np.load(folder / "train-00000-of-00001.npy")).unsqueeze(1)


def test_images_of_the_hub_are_turned_upright(write, hub, tmp_path: Path) -> None:
    write("hub", "train", [0, 1], (28, 28), ["A", "B"])
    write("hub", "test", [1], (28, 28), ["A", "B"])
    calls = hub(tmp_path / "hub")
    dataset = emnist_letters.load()
    assert [call["path"] for call in calls] == ["tanganke/emnist_letters"]
    assert dataset.train.inputs.equal(stored(tmp_path / "hub").transpose(2, 3))


def test_a_to_j_is_upright_already_and_has_its_own_name(write, tmp_path: Path) -> None:
    write("emnist_letters_aj", "train", [0, 1], (28, 28), ["A", "B"])
    data = write("emnist_letters_aj", "test", [1], (28, 28), ["A", "B"])
    dataset = emnist_letters.load(data, letters="a-j")
    assert dataset.name == "emnist_letters_aj"
    assert dataset.train.inputs.equal(stored(tmp_path / "emnist_letters_aj"))
    with pytest.raises(DatasetError, match=r"A to J only: ask for them with emnist_letters\.letters=a-j"):
        emnist_letters.load(data)


def test_a_to_j_is_not_on_the_hub() -> None:
    with pytest.raises(DatasetError, match="letters=a-j needs data_dir"):
        emnist_letters.load(letters="a-j")


@pytest.mark.slow
def test_the_real_files(real: Path) -> None:
    dataset = emnist_letters.load(real, letters="a-j")
    assert dataset.classes == tuple("ABCDEFGHIJ")
    assert dataset.train.labels.bincount().tolist() == [4800] * 10
    assert dataset.test.labels.bincount().tolist() == [800] * 10
    assert dataset.input_shape == (1, 28, 28)
    # An upright I is taller than wide: its ink spreads more over rows than over columns.
    letter = (dataset.train.inputs[dataset.train.labels == 8].double() / 255).mean((0, 1))
    middle = torch.arange(28.0).double() - 13.5
    assert (letter.sum(1) * middle**2).sum() > 1.5 * (letter.sum(0) * middle**2).sum()
