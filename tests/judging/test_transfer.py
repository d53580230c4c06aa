"""A network whose last layer with weights does not give its outputs is taken over to no other data."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from cutlayer.experiment import ExperimentError
from cutlayer.network import Scaling
from cutlayer.scene.scene import Scene
from cutlayer.scene.transfer import check_transfer
from tests.scenes import made_dataset, scene_of

BACKDOOR = {"attack": "client_backdoor", "options": {"client_backdoor": {"size": 3}}, "protocol": "vanilla", "cut": "0"}


class Twice(nn.Linear):
    """A layer in two places of one block."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = Twice(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.layer(self.layer(inputs))
        return found


class Crossed(nn.Module):
    """What is named first is used last."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.hidden = nn.Linear(8, 4), nn.Linear(4, 8)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.out(self.hidden(inputs))
        return found


class Remembering(nn.LSTM):
    """A layer that gives more than one tensor."""

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return inputs, inputs


class First(nn.Module):
    def forward(self, both: tuple[Tensor, Tensor]) -> Tensor:
        return both[0]


def ending(*tail: nn.Module) -> nn.Sequential:
    blocks = [nn.Flatten(), nn.Linear(64, 4), *tail]
    return nn.Sequential(OrderedDict((f"block{number}", block) for number, block in enumerate(blocks)))


@pytest.mark.parametrize(
    "tail",
    [
        (nn.ReLU(),),
        (nn.ReLU(inplace=True),),
        (nn.Softmax(1),),
        (nn.Hardtanh(-100, 100),),
        (Recurrent(),),
        (Crossed(),),
        (Remembering(4, 4), First()),
    ],
)
def test_what_stands_behind_the_last_layer_is_found(tail: tuple[nn.Module, ...]) -> None:
    other = replace(made_dataset(), name="other")
    with pytest.raises(
        ExperimentError, match="transfer = 'other': the network's last layer with weights does not give"
    ):
        check_transfer(ending(*tail), made_dataset(), other, Scaling())


@pytest.mark.parametrize("tail", [(), (nn.Identity(),), (nn.Dropout(0.5),), (nn.ReLU(), nn.Linear(4, 4))])
def test_what_changes_no_outputs_may_stand_there(tail: tuple[nn.Module, ...]) -> None:
    model = ending(*tail).train()
    before = torch.get_rng_state()
    check_transfer(model, made_dataset(), made_dataset(), Scaling())
    assert model.training
    assert torch.equal(before, torch.get_rng_state())
    assert not any(module._forward_hooks for module in model.modules()), "the network itself is left as it is"


@pytest.mark.parametrize("mode", ["evaluation", "training"])
def test_it_is_found_before_anything_is_trained(
    mode: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cutlayer.scene.settle.load_dataset", lambda experiment, name="": made_dataset())
    file = tmp_path_factory.mktemp("own") / "net.py"
    file.write_text(
        "from torch import nn\n\n\ndef build(classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes), nn.LogSoftmax(1))\n"
    )

    def settled(**values: str) -> Scene:
        return scene_of(**BACKDOOR, model=f"{file}:build", transfer_mode=mode, **values)

    with pytest.raises(ExperimentError, match="its outputs, and no other one is trained anew"):
        settled(transfer="made_too")
    assert settled().transfer is None
