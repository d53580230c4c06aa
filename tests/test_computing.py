"""In which type and memory layout parties compute."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cutlayer.auditing.victim import train
from cutlayer.deployment import assemble, honest_host
from cutlayer.handover import Keeper
from tests.auditing.test_victim import plain, quiet, same
from tests.scenes import made, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")


def test_bf16_trains_and_float32_crosses(tmp_path: Path) -> None:
    values = {"protocol": "u_shaped", "cut": "1:3", "epochs": 6, "learning_rate": 0.02}
    victims = [train(scene_of(precision=p, **values), tmp_path / p, quiet) for p in ("fp32", "bf16")]
    assert not same(*victims)
    accuracies = [victim.accuracy or 0.0 for victim in victims]
    assert min(accuracies) > 0.6
    assert all(tensor.dtype == torch.float32 for tensor in victims[1].model.parameters())


def test_channels_last_lays_out_memory_and_changes_rounding_alone(tmp_path: Path) -> None:
    values = {"protocol": "u_shaped", "cut": "1:2", "model": plain(tmp_path), "plugins": None, "attack": "unsplit"}
    scenes = [scene_of(memory_format=name, **values) for name in ("contiguous", "channels_last")]
    outputs = []
    for scene in scenes:
        session = assemble(scene, honest_host(scene), Keeper("trusted_party"))
        client = session.clients[0]
        outputs.append(client.forward(scene.samples.inputs(scene.samples.train_rows[:4])))
    assert [output.is_contiguous(memory_format=torch.channels_last) for output in outputs] == [False, True]
    plainly, laid = (train(scene, tmp_path / scene.experiment.memory_format, quiet).model for scene in scenes)
    for name, weight in plainly.state_dict().items():
        assert torch.allclose(weight, laid.state_dict()[name], atol=1e-4), name


def test_the_memory_format_is_settled_by_the_precision() -> None:
    formats = [scene_of(protocol="vanilla", cut="1", precision=p).experiment.memory_format for p in ("fp32", "bf16")]
    assert formats == ["contiguous", "channels_last"]
