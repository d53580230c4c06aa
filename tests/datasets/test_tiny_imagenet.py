from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cutlayer.datasets import tiny_imagenet


def test_the_hub_is_tested_on_valid(write, hub, tmp_path: Path) -> None:
    write("hub/data", "train", [0, 1], (64, 64, 3))
    write("hub/data", "valid", [1], (64, 64, 3))
    calls = hub(tmp_path / "hub")
    dataset = tiny_imagenet.load()
    assert [call["path"] for call in calls] == ["zh-plus/tiny-imagenet"]
    assert (len(dataset.train), len(dataset.test)) == (2, 1)


def test_grey_images_get_three_equal_channels(write, tmp_path: Path) -> None:
    write("tiny_imagenet", "train", [0, 1], (64, 64))
    data = write("tiny_imagenet", "test", [1], (64, 64, 3))
    dataset = tiny_imagenet.load(data)
    assert dataset.input_shape == (3, 64, 64)
    red, green, blue = dataset.train.inputs.unbind(1)
    assert red.equal(green)
    assert red.equal(blue)
    shutil.rmtree(tmp_path / "tiny_imagenet")


@pytest.mark.slow
def test_the_real_files(real: Path) -> None:
    dataset = tiny_imagenet.load(real)
    assert dataset.train.labels.bincount().tolist() == [50] * 200
    assert dataset.test.labels.bincount().tolist() == [10] * 200
    assert dataset.input_shape == (3, 64, 64)
    assert (dataset.pixels, dataset.classes[0]) == ("jpeg", "goldfish")
    red, green, blue = dataset.train.inputs.unbind(1)
    grey = ((red == green) & (red == blue)).flatten(1).all(1).sum().item()
    assert grey >= 199, "199 files of the training split are grey"
