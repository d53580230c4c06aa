"""A victim's folder that holds something else: told in one sentence, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from cutlayer.auditing.victim import key, train
from cutlayer.experiment import ExperimentError
from tests.cells import quiet
from tests.scenes import made, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")


@pytest.mark.parametrize("damage", ["cut off", "gone", "another network's", "history"])
def test_a_damaged_victim_is_told_in_one_sentence(tmp_path: Path, damage: str) -> None:
    scene = scene_of(epochs=1, cut="1", protocol="vanilla")
    train(scene, tmp_path, quiet)
    folder = tmp_path / "victims" / key(scene)
    weights = folder / "model.safetensors"
    if damage == "cut off":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "gone":
        weights.unlink()
    elif damage == "another network's":
        weights.write_bytes(save({"weight": torch.zeros(1)}))
    else:
        (folder / "history.json").write_text("{")
    name = "history.json" if damage == "history" else weights.name
    with pytest.raises(ExperimentError, match=f"{folder / name} is of another version, or damaged: remove {folder}$"):
        train(scene, tmp_path, quiet)
