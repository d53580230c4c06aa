"""Small made data and scenes on it, for the tests of sessions and of everything above them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cutlayer.dataset import Dataset, Split
from cutlayer.experiment import make
from cutlayer.scene import settle as settling
from cutlayer.scene.scene import Scene
from cutlayer.scene.settle import settle

PLUGINS = Path(__file__).parent / "plugins"
CUTS = {"vanilla": "1", "u_shaped": "1:4", "label_only": "4"}
"""Of the model ``stochastic``, for every protocol there is."""


def made_dataset(train: int = 44, test: int = 16, classes: int = 4) -> Dataset:
    """Images with a bright patch whose place tells the class, and noise."""
    draw = torch.Generator().manual_seed(5)

    def split(size: int) -> Split:
        labels = torch.arange(size) % classes
        images = torch.randint(0, 60, (size, 1, 8, 8), generator=draw, dtype=torch.uint8)
        for number, label in enumerate(labels.tolist()):
            images[number, :, 2 * label : 2 * label + 2] += 150
        return Split(images, labels)

    return Dataset("made", split(train), split(test), tuple("abcd"[:classes]), source="made")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every scene of the test runs on the made data, which are loaded once, as real ones are."""
    dataset = made_dataset()
    monkeypatch.setattr(settling, "load_dataset", lambda experiment: dataset)


def scenes_of(**values: Any) -> list[Scene]:
    defaults = {"model": "stochastic", "plugins": PLUGINS, "epochs": 2, "batch_size": 8, "attack": "spy"}
    return settle(make({**defaults, **values}))


def scene_of(**values: Any) -> Scene:
    return scenes_of(**values)[0]
