from __future__ import annotations

from pathlib import Path

import pytest

from cutlayer.datasets import fashion_mnist


def test_the_hub_is_asked_for_the_right_id(write, hub, tmp_path: Path) -> None:
    write("hub", "train", [0, 1], (28, 28), ["T-shirt/top", "Trouser"])
    write("hub", "test", [1], (28, 28), ["T-shirt/top", "Trouser"])
    calls = hub(tmp_path / "hub")
    dataset = fashion_mnist.load()
    assert [call["path"] for call in calls] == ["zalando-datasets/fashion_mnist"]
    assert dataset.input_shape == (1, 28, 28)
    assert dataset.classes == ("T-shirt/top", "Trouser")


@pytest.mark.slow
def test_the_real_files(real: Path) -> None:
    dataset = fashion_mnist.load(real)
    assert dataset.train.labels.bincount().tolist() == [6000] * 10
    assert dataset.test.labels.bincount().tolist() == [1000] * 10
    pixels = dataset.train.inputs.double() / 255
    assert round(pixels.mean().item(), 4) == 0.2860
    assert round(pixels.std().item(), 4) == 0.3530
    assert dataset.classes[9] == "Ankle boot"
