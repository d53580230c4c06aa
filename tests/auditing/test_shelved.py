"""Attacks that need the same proxy, or inputs made on it, make it once in a run: what each had made by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from cutlayer.attacks.vmi_fgsm import VMIFGSM
from cutlayer.auditing.audit import run_cell
from cutlayer.auditing.shelved import FolderShelf, shelf_of
from cutlayer.budget import Budget
from cutlayer.checksum import pack_checked
from cutlayer.experiment import ExperimentError, make
from cutlayer.methods.fitting import Fitting
from cutlayer.record import Record
from cutlayer.scene.scene import Scene
from cutlayer.scene.settle import settle
from cutlayer.state import as_bytes, as_tensor

SIZE = {"train_rows": 120, "test_rows": 40, "targets": 20, "epochs": 1, "batch_size": 16, "isolate": False}
FIXED = {"model": "lenet", "protocol": "u_shaped", "cut": "1", "aux": "share"}
OFFERS = ("natural_inputs", "aux_inputs", "aux_labels", "peer_architecture")


def scene_of(attack: str, epochs: int = 2, **also: Any) -> Scene:
    options = {attack: {"epochs": epochs, **({} if attack == "fgsm" else {"iterations": 2})}}
    return settle(make({**SIZE, **FIXED, "offers": OFFERS, "attack": attack, "options": options, **also}))[0]


def told_scene(**also: Any) -> Scene:
    """Of VMI-FGSM that is told the labels of what it perturbs."""
    options = {"vmi_fgsm": {"epochs": 1, "iterations": 2, "labels": "true"}}
    return scene_of("vmi_fgsm", options=options, offers=(*OFFERS, "natural_labels"), **also)


def run(scene: Scene, folder: Path) -> Record:
    return run_cell(scene, folder, lambda what, done, total: None).record


def proxies(folder: Path) -> list[Path]:
    """Where proxies lie, beside the inputs that were made on them."""
    return [file for file in folder.rglob("*.safetensors") if "made.inputs" not in load_file(file)]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What has been fitted."""
    fitted: list[str] = []
    fit = Fitting.fit

    def counted(self: Fitting, *arguments: Any) -> None:
        fitted.append(arguments[-1])
        fit(self, *arguments)

    monkeypatch.setattr(Fitting, "fit", counted)
    return fitted


def test_one_proxy_serves_all_attacks_that_would_train_it(tmp_path: Path, trained: list[str]) -> None:
    first = run(scene_of("fgsm"), tmp_path / "run")
    second = run(scene_of("ssa"), tmp_path / "run")
    assert trained == ["proxy"]
    alone = run(scene_of("ssa"), tmp_path / "other")
    assert len(trained) == 2
    assert second.outcome == alone.outcome
    assert (second.attack.notes, second.attack.curves) == (alone.attack.notes, alone.attack.curves)
    assert first.attack.curves["proxy_loss"] == second.attack.curves["proxy_loss"]


def test_what_is_taken_counts_as_the_time_it_took(tmp_path: Path) -> None:
    """Else the attack that comes second would be told to be the cheaper one."""
    run(scene_of("fgsm"), tmp_path)
    (file,) = proxies(tmp_path / "shelf")
    held = load_file(file)
    told = {**json.loads(as_bytes(held["told"])), "seconds": 1000.0}
    file.write_bytes(pack_checked({**held, "told": as_tensor(json.dumps(told).encode())}))
    assert (run(scene_of("ssa"), tmp_path).attack_seconds or 0) > 1000


def test_inputs_made_on_a_proxy_meet_every_victim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They depend on no victim: whoever has made them, they are what the attack by itself would have made."""
    made: list[tuple[int, ...]] = []
    perturb = VMIFGSM.perturb

    def counted(self: VMIFGSM, proxy: nn.Module, natural: torch.Tensor, *how: Any) -> torch.Tensor:
        made.append(tuple(natural.shape))
        return perturb(self, proxy, natural, *how)

    monkeypatch.setattr(VMIFGSM, "perturb", counted)
    honest, attacked = scene_of("vmi_fgsm", pixel_budgets=(8,)), scene_of("vmi_fgsm", pixel_budgets=(8,), under="sladv")
    run(honest, tmp_path / "run")
    assert len(made) == 2
    second = run(attacked, tmp_path / "run")
    assert len(made) == 2
    alone = run(attacked, tmp_path / "other")
    assert len(made) == 4
    assert (second.outcome, second.scores) == (alone.outcome, alone.scores)
    run(scene_of("vmi_fgsm", options={"vmi_fgsm": {"epochs": 2, "iterations": 2, "beta": 1.0}}), tmp_path / "run")
    assert len(made) == 5, "another option"
    run(scene_of("vmi_fgsm", budget=0.05), tmp_path / "run")
    assert len(made) == 6, "another budget"
    run(scene_of("vmi_fgsm", targets=10), tmp_path / "run")
    assert len(made) == 7, "other inputs"
    for images in (15, 20):
        run(told_scene(aux_rows=images), tmp_path / "run")
    assert len(made) == 9, "another proxy, and the same labels"


def test_an_attack_interrupted_among_its_inputs_goes_on_behind_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = scene_of("vmi_fgsm", pixel_budgets=(8, 16))
    uninterrupted = run(scene, tmp_path / "other")
    made: list[Budget] = []
    perturb, stops = VMIFGSM.perturb, iter([False, True])

    def stopped(self: VMIFGSM, *what: Any) -> torch.Tensor:
        if next(stops, False):
            raise KeyboardInterrupt
        made.append(what[-1])
        return perturb(self, *what)

    monkeypatch.setattr(VMIFGSM, "perturb", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(scene, tmp_path / "run")
    assert run(scene, tmp_path / "run").outcome == uninterrupted.outcome
    assert [budget.name for budget in made] == ["", "8/255", "16/255"]


@pytest.mark.parametrize("also", [{"epochs": 3}, {"seed": 2}, {"aux_rows": 15}, {"train_rows": 119}])
def test_another_training_is_another_proxy(also: dict[str, Any], tmp_path: Path, trained: list[str]) -> None:
    run(scene_of("fgsm"), tmp_path)
    run(scene_of("ssa", **also), tmp_path)
    assert len(trained) == 2


def test_no_isolated_attack_takes_what_another_one_has_left(tmp_path: Path, trained: list[str]) -> None:
    """Beside the truth it could have written anything down; the isolated ones share among themselves."""
    beside = run(scene_of("fgsm"), tmp_path)
    isolated = [run(scene_of(attack, isolate=True), tmp_path) for attack in ("fgsm", "ssa")]
    shelves = [shelf_of(scene_of("fgsm", isolate=alone), tmp_path) for alone in (True, False)]
    assert [len(proxies(shelf.folder)) for shelf in shelves if shelf] == [1, 1]
    assert beside.outcome == isolated[0].outcome
    assert isolated[1].outcome == run(scene_of("ssa"), tmp_path).outcome
    assert trained == ["proxy"], "in this process"


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path)
    assert shelf.take("a") is None
    shelf.put("a", {"x": torch.ones(2)})
    assert torch.equal((shelf.take("a") or {})["x"], torch.ones(2))
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"half")
    with pytest.raises(ExperimentError, match=rf"{file.name} is damaged: remove it"):
        shelf.take("a")


@pytest.mark.parametrize(
    "way", ["../victims/honest/model", "{folder}/victims/honest/model", "../victims/honest/model\0"]
)
def test_a_key_leads_nowhere_else(way: str, tmp_path: Path) -> None:
    victim = tmp_path / "victims" / "honest" / "model.safetensors"
    victim.parent.mkdir(parents=True)
    victim.write_bytes(pack_checked({"weight": torch.ones(2)}))
    before, shelf, key = victim.read_bytes(), FolderShelf(tmp_path / "shelf"), way.format(folder=tmp_path)
    assert shelf.take(key) is None
    shelf.put(key, {"weight": torch.zeros(2)})
    assert victim.read_bytes() == before
    assert [file.parent for file in tmp_path.rglob("*.safetensors")].count(tmp_path / "shelf") == 1


def test_what_computes_otherwise_shares_nothing(tmp_path: Path) -> None:
    usual = shelf_of(scene_of("fgsm"), tmp_path)
    others = [
        {"precision": "bf16"},
        {"memory_format": "channels_last"},
        {"threads": 2},
        {"input_mean": (0.5,), "input_std": (0.5,)},
    ]
    for other in others:
        assert shelf_of(scene_of("fgsm", **other), tmp_path) != usual, other
    assert shelf_of(scene_of("ssa"), tmp_path) == usual


def test_code_of_the_user_s_own_shares_nothing(tmp_path: Path) -> None:
    """What it could lay down for an attack that is told less is not known."""
    (tmp_path / "plugins" / "attacks").mkdir(parents=True)
    model = tmp_path / "mine.py"
    model.write_text("from cutlayer.models.lenet import build\n")
    assert shelf_of(scene_of("fgsm"), tmp_path)
    assert shelf_of(scene_of("fgsm", plugins=tmp_path / "plugins"), tmp_path) is None
    assert shelf_of(scene_of("fgsm", model=f"{model}:build"), tmp_path) is None
