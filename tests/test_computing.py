"""In which type and memory layout parties compute."""

from __future__ import annotations

import copy
import os
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cutlayer.auditing.victim import train
from cutlayer.computing import LARGE, Computing, suited
from cutlayer.simulation.assembly import assemble, honest_host
from tests.auditing.test_victim import plain, quiet, same
from tests.parties import adam, batches, pair, unsplit_training
from tests.scenes import made, scene_of
from tests.splitting import SHAPE, data

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
        session = assemble(scene, honest_host(scene))
        client = session.clients[0]
        outputs.append(client.forward(scene.samples.inputs(scene.samples.train_rows[:4])))
    assert [output.is_contiguous(memory_format=torch.channels_last) for output in outputs] == [False, True]
    plainly, laid = (train(scene, tmp_path / scene.experiment.memory_format, quiet).model for scene in scenes)
    for name, weight in plainly.state_dict().items():
        assert torch.allclose(weight, laid.state_dict()[name], atol=1e-4), name


def test_what_is_brought_is_laid_out_as_the_layers_are_however_it_comes() -> None:
    images = torch.rand(2, 3, 4, 4)
    for computing in (Computing(), Computing(channels_last=True)):
        for form in (torch.contiguous_format, torch.channels_last):
            brought = computing.bring(images.contiguous(memory_format=form))
            assert brought.is_contiguous(memory_format=torch.channels_last) == computing.channels_last
            assert brought.is_contiguous() != computing.channels_last
            assert torch.equal(brought, images)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_carriers_end_in_the_same_bits_however_images_lie_in_memory(tmp_path: Path, precision: str) -> None:
    """Copies keep their channels innermost, bytes have none: what is trained and measured does not show it."""
    values = {"protocol": "u_shaped", "cut": "1:2", "model": plain(tmp_path), "plugins": None, "attack": "unsplit"}
    values |= {"memory_format": "channels_last", "precision": precision}
    direct, bytewise = (train(scene_of(carrier=c, **values), tmp_path / c, quiet) for c in ("direct", "loopback"))
    assert same(direct, bytewise)
    assert direct.history == bytewise.history
    assert direct.history[-1].gradient_norm


def test_the_memory_format_is_settled_by_the_precision() -> None:
    formats = [scene_of(protocol="vanilla", cut="1", precision=p).experiment.memory_format for p in ("fp32", "bf16")]
    assert formats == ["contiguous", "channels_last"]


def test_only_a_large_network_gets_all_cores_and_bf16_only_where_that_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    for units, instructions in product((True, False), repeat=2):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda units=units: units)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda some=instructions: some)
        fast = "bf16" if units or instructions else "fp32"
        assert suited(LARGE - 1, "cpu") == (1, "fp32", "contiguous")
        assert suited(LARGE, "cpu")[:2] == (6, fast)
    assert suited(1, "cpu", "bf16") == (1, "bf16", "channels_last")


class _Added(nn.Module):
    """What it is given, and a convolution of that: float32 stays float32 there."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, inputs: Tensor) -> Tensor:
        added: Tensor = inputs + self.convolution(inputs)
        return added


@pytest.mark.parametrize(("name", "cuts"), [("vanilla", (0,)), ("u_shaped", (0, 2)), ("label_only", (0,))])
def test_split_training_in_bf16_is_that_of_the_whole_network(name: str, cuts: tuple[int, ...]) -> None:
    """Float32 crosses, yet no number and no type differs on either side: the same weights to the last bit."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(2, 4, 3), _Added(), _Added(), nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)))
    model, (inputs, labels) = nn.Sequential(*layers), data()
    run = batches(inputs, labels, 8)
    victim = pair(name, model, cuts, SHAPE, labels, computing=Computing("cpu", "bfloat16"))
    whole, _ = unsplit_training(victim, copy.deepcopy(model), cuts, run, adam)
    victim.train(run)
    weights = {key: value for part in whole for key, value in part.state_dict().items()}
    assert [key for key, value in weights.items() if not torch.equal(value, victim.weights()[key])] == []


def test_what_has_more_digits_than_the_type_stays_float32() -> None:
    """Noise of a defense, say, is not rounded away."""
    computing = Computing("cpu", "bfloat16")
    rounded = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).bfloat16().float()
    assert computing.received(rounded).dtype == torch.bfloat16
    assert computing.received(rounded + 1e-6).dtype == torch.float32
    assert Computing().received(rounded).dtype == torch.float32


@pytest.mark.parametrize("shape", [(3, 2, 300, 300), (300, 2, 40, 40), (5,), (0, 3), (2, 0)], ids=str)
@pytest.mark.parametrize("place", [0, -1])
def test_one_value_anywhere_that_has_more_digits_is_found(shape: tuple[int, ...], place: int) -> None:
    """Of large batches, which are compared some samples at a time, too."""
    computing = Computing("cpu", "bfloat16", channels_last=True)
    sent = torch.ones(shape)
    assert computing.received(sent).dtype == torch.bfloat16
    if sent.numel():
        sent.view(-1)[place] += 1e-6
        assert computing.received(sent).dtype == torch.float32
