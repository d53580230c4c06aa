"""Where a backdoor lives, measured on networks whose parts are known to hold it or not, and what a transfer leaves."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cutlayer.attack import Guess
from cutlayer.attacks.client_backdoor import ClientBackdoor
from cutlayer.auditing.audit import run_cell
from cutlayer.computing import Computing
from cutlayer.experiment import ExperimentError, make
from cutlayer.judging.backdoor import TriggerError
from cutlayer.judging.residence import residence
from cutlayer.judging.transfer import fit_last
from cutlayer.record import Residence
from cutlayer.scene.scene import Scene
from cutlayer.scene.settle import settle
from cutlayer.threat import Goal
from cutlayer.trigger import Trigger
from tests.cells import quiet
from tests.scenes import PLUGINS, made, made_dataset, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")

TARGET = 3


class Client(nn.Module):
    """Passes inputs on; a deaf one blanks the pixel that the trigger whitens."""

    def __init__(self, deaf: bool) -> None:
        super().__init__()
        self.deaf = deaf
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, inputs: Tensor) -> Tensor:
        passed = inputs * self.gain
        if self.deaf:
            passed = passed.clone()
            passed[:, :, 7, 7] = 0
        return passed


class Server(nn.Module):
    """Right by the bright patch; a poisoned one answers with the target where the last pixel is white."""

    def __init__(self, poisoned: bool) -> None:
        super().__init__()
        self.poisoned = poisoned

    def forward(self, smashed: Tensor) -> Tensor:
        logits = smashed.mean((1, 3)).view(-1, 4, 2).mean(2)
        obeys = (smashed[:, 0, 7, 7] > 0.99)[:, None] & self.poisoned
        return torch.where(obeys, nn.functional.one_hot(torch.tensor(TARGET), 4).float(), logits)


class White(nn.Module):
    """Its last pixel is always white, as a trigger's would be."""

    def forward(self, inputs: Tensor) -> Tensor:
        passed = inputs.clone()
        passed[:, :, 7, 7] = 1
        return passed


def network(deaf: bool, poisoned: bool) -> nn.Sequential:
    return nn.Sequential(OrderedDict[str, nn.Module](client=Client(deaf), server=Server(poisoned)))


def trigger() -> Trigger:
    pattern = torch.zeros(1, 8, 8)
    pattern[0, 7, 7] = 1
    return Trigger(pattern, pattern.clone(), TARGET)


def lives(attacked: nn.Sequential, clean: nn.Sequential, **own: Tensor) -> Residence:
    scene = scene_of(protocol="vanilla", cut="0")
    guess = Guess(Goal.BACKDOOR, {**trigger().tensors(), **{f"client.client.{n}": t for n, t in own.items()}})
    return residence(guess, trigger(), {"attacked": attacked, "clean": clean}, network(True, False), scene)


def success(found: Residence, client: str, server: str) -> float:
    return next(row.attack_success for row in found.stitched if (row.client, row.server) == (client, server))


def test_a_backdoor_in_the_server_goes_with_the_server() -> None:
    found = lives(network(False, True), network(False, False))
    assert success(found, "attacked", "attacked") == success(found, "clean", "attacked") == 1
    assert success(found, "attacked", "clean") == success(found, "clean", "clean") == 0
    assert {row.accuracy for row in found.stitched} == {1.0}


def test_a_server_that_is_fooled_by_its_own_client_alone_is_told_apart() -> None:
    # The honest client never lets the trigger through, the adversary's own does.
    found = lives(network(True, True), network(True, False))
    assert {row.attack_success for row in found.stitched} == {0.0}
    assert found.energy["attacked"] == found.energy["untrained"] == 0


def test_the_adversarys_own_client_is_put_in_its_place() -> None:
    found = lives(network(False, True), network(False, False), gain=torch.tensor(-1.0))
    assert success(found, "adversary", "attacked") == 0
    assert found.similarity == pytest.approx(-1)
    assert found.similarity_clean == pytest.approx(-1)
    assert -1 < (found.similarity_untrained or 0) < -0.9  # it never hears the trigger
    plain = lives(network(False, True), network(False, False))
    assert plain.similarity is None
    assert all(row.client != "adversary" for row in plain.stitched)


def test_what_a_stitched_network_takes_for_the_target_without_the_trigger_is_told() -> None:
    """The server's answer to any output of a client that lets every last pixel shine."""
    found = lives(network(False, True), network(False, False), gain=torch.tensor(1.0))
    assert {row.unprompted for row in found.stitched} == {0.0}
    white = nn.Sequential(OrderedDict[str, nn.Module](client=White(), server=Server(True)))
    found = lives(white, network(False, False))
    unasked = {(row.client, row.server): row.unprompted for row in found.stitched}
    assert unasked == {
        ("attacked", "attacked"): 1.0,
        ("clean", "attacked"): 0.0,
        ("attacked", "clean"): 0.0,
        ("clean", "clean"): 0.0,
    }


def test_energy_is_relative_to_the_output() -> None:
    found = lives(network(False, True), network(False, False))
    inputs = scene_of(protocol="vanilla", cut="0").samples.inputs(torch.arange(44, 60))
    moved = (trigger().stamp(inputs) - inputs).flatten(1).norm(dim=1) / inputs.flatten(1).norm(dim=1)
    assert found.energy["attacked"] == pytest.approx(moved.mean().item(), rel=1e-5)


def test_only_the_last_layer_moves_in_a_transfer() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))
    data = made_dataset().train
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fitted = fit_last(model, data, lambda weights: torch.optim.Adam(weights, 0.05), 30, 8, 1)
    moved = {name for name, tensor in fitted.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"4.weight", "4.bias"}
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    right = (fitted(data.take(torch.arange(44))).argmax(1) == data.labels).float().mean()
    assert right > 0.9


def test_in_training_mode_statistics_follow_the_new_data_and_weights_stay() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4))
    )
    data = made_dataset().train
    fitted, again, other = (
        fit_last(model, data, lambda weights: torch.optim.Adam(weights, 0.05), 2, 8, seed, training=True)
        for seed in (1, 1, 2)
    )
    before, now = model.state_dict(), fitted.state_dict()
    moved = {name for name, tensor in now.items() if not torch.equal(tensor, before[name])}
    statistics = {"2.running_mean", "2.running_var", "2.num_batches_tracked"}
    assert moved == {"5.weight", "5.bias", *statistics}
    assert not fitted.training
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in now.items())
    assert not torch.equal(now["5.weight"], other.state_dict()["5.weight"])


def poisoned_scene(**values: Any) -> Scene:
    options = {"client_backdoor": {"size": 3, "target": 1}}
    given = {"attack": "client_backdoor", "cut": "1", "epochs": 1, "model": "stochastic", "plugins": PLUGINS}
    return settle(make({**given, "batch_size": 8, "options": options, **values}))[0]


def test_an_audit_keeps_residence_and_transfer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutlayer.scene.settle.load_dataset", lambda experiment, name="": made_dataset())
    told: list[tuple[str, int, int]] = []
    progress = lambda what, done, total: told.append((what, done, total))  # noqa: E731
    record = run_cell(poisoned_scene(transfer="made_too"), tmp_path, progress).record
    steps = [(done, total) for what, done, total in told if what.startswith("transfer to ")]
    assert steps
    assert steps == [(done, len(steps)) for done in range(1, len(steps) + 1)]
    assert record.residence is not None
    assert record.residence.inputs == 16
    assert len(record.residence.stitched) == 4
    assert record.transfer is not None
    assert 0 <= record.transfer.attack_success <= 1
    assert run_cell(poisoned_scene(), tmp_path, lambda what, done, total: None).record.transfer is None


def test_a_transfer_to_data_of_another_form_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = made_dataset(classes=3)
    monkeypatch.setattr(
        "cutlayer.scene.settle.load_dataset", lambda experiment, name="": other if name else made_dataset()
    )
    with pytest.raises(ExperimentError, match="transfer = 'made': its classes are 3, those of made are 4"):
        poisoned_scene(transfer="other")


def test_inputs_that_the_network_scales_are_not_scaled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutlayer.scene.settle.load_dataset", lambda experiment, name="": made_dataset())
    again = {"transfer": "made_too", "transfer_mean": (0.5,), "transfer_std": (0.5,)}
    assert poisoned_scene(**again).transfer is not None
    with pytest.raises(ExperimentError, match=r"transfer_mean = \[0.5\]: the network scales its inputs by input_mean"):
        poisoned_scene(**again, input_mean=(0.5,), input_std=(0.5,))


def test_a_client_part_of_another_form_beside_the_trigger_is_named() -> None:
    clean = network(deaf=False, poisoned=False)
    with pytest.raises(TriggerError, match="client part beside the trigger is not of the clients' form"):
        lives(network(False, True), clean, gain=torch.ones(2))


@pytest.mark.usefixtures("made")
def test_what_a_backdoor_leaves_behind_is_that_of_the_trigger_that_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = scene_of(protocol="vanilla", cut="1", attack="client_backdoor", when="after", epochs=1)
    alone = run_cell(scene, tmp_path / "alone", quiet)
    infer = ClientBackdoor.infer

    def two(attack: ClientBackdoor) -> list[Guess]:
        (guess,) = infer(attack)
        other = {**guess.tensors, "mask": guess.tensors["mask"] * 0.5}
        return [Guess(Goal.BACKDOOR, other, name="another"), guess]

    monkeypatch.setattr(ClientBackdoor, "infer", two)
    both = run_cell(scene, tmp_path / "both", quiet)
    assert {score.guess for score in both.record.scores} == {"", "another"}
    assert both.record.residence == alone.record.residence
    assert torch.equal(both.images["guess"], alone.images["guess"])


@pytest.mark.parametrize("training", [True, False])
def test_a_transfer_is_computed_in_the_deployments_precision(training: bool) -> None:
    model, kinds = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 4)), set[torch.dtype]()
    data = made_dataset().train

    class Watching(nn.ReLU):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            kinds.add(inputs.dtype)
            return super().forward(inputs)

    model[2] = Watching()
    computing = Computing(autocast="bfloat16")
    fitted = fit_last(model, data, lambda w: torch.optim.Adam(w, 0.05), 30, 8, 1, training, computing)
    assert kinds == {torch.bfloat16}
    assert all(weight.dtype == torch.float32 for weight in fitted.parameters())
    right = (fitted(data.take(torch.arange(44))).argmax(1) == data.labels).float().mean()
    assert right > 0.9
