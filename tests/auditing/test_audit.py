"""Whole cells: what their records hold, what is looked up, what fails alone, what does not apply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cutlayer.auditing.audit import run_cell
from cutlayer.experiment import ExperimentError, make
from cutlayer.record import DONE, NOT_APPLICABLE
from cutlayer.report import write_report
from cutlayer.scene.settle import settle
from cutlayer.sweeping.folder import cell_folder, run_folder
from tests.cells import GREY, LABELS, STOCHASTIC, UNSPLIT, attacks, cell, metrics, quiet, sweep
from tests.scenes import made, scene_of

__all__ = ["made"]


@pytest.mark.usefixtures("made")
def test_a_cell_of_unsplit_leaves_everything_behind(tmp_path: Path) -> None:
    scene = scene_of(isolate=False, **UNSPLIT, seed=3)
    (record,) = sweep([scene], tmp_path)
    kept = json.loads((cell_folder(scene, tmp_path) / "record.json").read_text())
    assert kept["status"] == "done"
    assert kept["cell"] == {
        "protocol": "vanilla", "dataset": "digits", "model": "stochastic", "cut": "0", "attack": "unsplit",
        "defenses": [], "seed": 3, "clients": 1, "when": "after", "steps": "quick", "pixels": "",
    }  # fmt: skip
    assert [epoch["epoch"] for epoch in kept["training"]] == [1, 2]
    assert kept["utility"] == kept["training"][-1]["accuracy"]
    assert metrics(record) == [
        ("inputs", "", "mse"), ("inputs", "", "psnr"), ("inputs", "", "mse_published"),
        ("model", "", "accuracy"), ("model", "", "agreement"),
    ]  # fmt: skip
    for score in kept["scores"]:
        if score["metric"] == "psnr" or score["best"] is None:
            assert score["advantage"] is None
        else:
            gained = (score["value"] - score["blind"]) / (score["best"] - score["blind"])
            assert score["advantage"] == pytest.approx(gained)
    assert kept["verdict"] in {"leak", "partial leak", "no leak"}
    assert kept["thresholds"] == {"leak": 0.25, "partial": 0.1}
    threat = kept["threat"]
    assert (threat["seat"], threat["goals"], threat["tampers"]) == ("server", ["inputs", "model"], False)
    assert threat["declared"] == ["peer_architecture"]
    assert set(threat["declared"]) <= set(threat["offered"])
    assert threat["used"] == {"peer_architecture": 1}
    assert "Erdogan" in threat["paper"]
    assert kept["isolated"] is False
    assert kept["client_parameters"] == 3 * 9 + 3
    assert kept["parameters"] == 30 + 6 + 1308 + 24 + 52
    assert kept["client_flops"] == 2 * 36 * 27
    assert kept["flops"] > kept["client_flops"]
    assert kept["bytes_up"] > kept["bytes_down"] > 0
    assert kept["bytes_per_sample"] > 2 * 4 * 3 * 36
    assert kept["seconds"] >= kept["attack_seconds"] > 0
    assert (kept["attack"]["steps"], kept["attack"]["published_steps"]) == (4 * 4, 4 * 200_000)
    assert kept["attack"]["fraction"] == pytest.approx(2e-5)
    assert kept["attack"]["options"]["rounds"] == 1
    assert len(kept["attack"]["curves"]["matching_loss"]) == 1
    assert set(kept["code"]) == {"version", "commit", "dirty"}
    assert {"python", "torch", "cpu", "device", "precision", "threads"} <= set(kept["environment"])
    assert kept["experiment"]["seed"] == 3
    assert kept["command"] == "cutlayer audit"
    pictures = load_file(cell_folder(scene, tmp_path) / "pictures.safetensors")
    assert {"truth", "guess", "blind"} <= set(pictures)
    assert all(tensor.shape == (4, 1, 8, 8) for tensor in pictures.values())
    assert kept["pictures"]["labels"] == ["a", "b", "c", "d"]


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(("protocol", "cut"), [("u_shaped", "1"), ("label_only", "3")])
def test_a_cell_of_label_inference(tmp_path: Path, protocol: str, cut: str) -> None:
    record = cell(tmp_path, **{**LABELS, "cut": cut}, protocol=protocol)
    assert record.status == DONE
    assert record.cell.when == "before"
    assert record.cell.cut == ("1:6" if protocol == "u_shaped" else "3")
    assert ("labels", "", "accuracy") in metrics(record)
    assert record.confusion is not None
    assert sum(map(sum, record.confusion.counts)) == 8
    assert record.threat.used["peer_gradients"] == 2
    assert record.attack.fraction is None
    assert record.pictures is None


@pytest.mark.usefixtures("made")
def test_an_attack_without_a_guess_gets_no_verdict(tmp_path: Path) -> None:
    plugins = attacks(tmp_path / "own", silent="return []")
    record = cell(tmp_path, plugins=plugins, model=STOCHASTIC, attack="silent", protocol="vanilla", cut="1")
    assert (record.status, record.verdict) == (DONE, NOT_APPLICABLE)
    assert "nothing was guessed" in record.reason


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("protocol", ["vanilla", "u_shaped"])
def test_an_attack_of_ones_own_can_watch_the_training(
    tmp_path: Path, protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plugins = attacks(tmp_path / "own", watcher=GREY)
    values = {"plugins": plugins, "model": STOCHASTIC, "attack": "watcher", "protocol": protocol, "cut": "1"}
    record = cell(tmp_path, **values, epochs=3)
    steps = 3 * 6 if protocol == "vanilla" else 0  # u_shaped sends its activations in forward messages
    assert record.attack.notes["steps seen"] == steps
    assert [epoch.epoch for epoch in record.training] == [1, 2, 3]
    assert record.utility == record.training[-1].accuracy
    before = cell(tmp_path, **values, when="before")
    assert before.attack.notes["steps seen"] == 0
    assert "prints" in capsys.readouterr().out


@pytest.mark.usefixtures("made")
def test_before_the_training_is_on_the_network_as_drawn(tmp_path: Path) -> None:
    values = {"attack": "unsplit", "protocol": "vanilla", "cut": "0", "options": {"unsplit": {"rounds": 1}}}
    after, before = cell(tmp_path, **values), cell(tmp_path, **values, when="before")
    assert after.utility == before.utility
    assert after.training == before.training
    ssim = [[s.value for s in record.scores if s.metric == "mse"] for record in (after, before)]
    assert ssim[0] != ssim[1]
    agreement = [s for s in before.scores if s.metric == "accuracy"]
    assert agreement[0].advantage is None


@pytest.mark.usefixtures("made")
def test_seeds_clients_and_a_handover_through_the_server(tmp_path: Path) -> None:
    values = {**UNSPLIT, "clients": 3, "turn": 2, "skew": 0.5, "handover": "server", "optimizer_state": "carried"}
    scenes = [scene_of(isolate=False, **values, seed=seed) for seed in (1, 2)]
    records = sweep(scenes, tmp_path)
    assert [record.status for record in records] == [DONE, DONE]
    assert [(record.cell.seed, record.cell.clients) for record in records] == [(1, 3), (2, 3)]
    assert all("peer_weights" in record.threat.offered for record in records)
    assert records[0].scores != records[1].scores
    alone = cell(tmp_path, **UNSPLIT)
    assert "peer_weights" not in alone.threat.offered


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("attack", "when", "epochs"),
    # What has no training to watch is measured once, as it is given.
    [(UNSPLIT, "after", [0]), (UNSPLIT, "before", [0]), ({"attack": "watcher"}, "after", [])],
)
def test_given_weights_are_audited_without_training(
    tmp_path: Path, attack: dict[str, Any], when: str, epochs: list[int]
) -> None:
    plugins = attacks(tmp_path / "own", watcher=GREY)
    trained = scene_of(attack="unsplit", cut="0", model=STOCHASTIC, seed=9).model
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    values = {"protocol": "vanilla", "cut": "0", "model": STOCHASTIC, "plugins": plugins, **attack, "when": when}
    values |= {"weights": str(tmp_path / "w.safetensors"), "isolate": False, "epochs": 5}
    scene = scene_of(**values)
    rows = scene.samples.test_rows
    with torch.no_grad():
        hits = trained.eval()(scene.samples.inputs(rows)).argmax(1) == scene.samples.labels(rows)
    record = run_cell(scene, tmp_path, quiet).record
    assert record.utility == hits.double().mean().item()
    labels = scene.samples.labels(scene.samples.test_rows).tolist()
    assert record.usual == max(map(labels.count, labels)) / len(labels)
    assert [epoch.epoch for epoch in record.training] == epochs
    assert record.bytes_up == 0
    for name, tensor in trained.state_dict().items():
        assert torch.equal(tensor, scene.model.state_dict()[name])
    save_file({name: t * 2 for name, t in trained.state_dict().items()}, tmp_path / "w.safetensors")
    assert cell_folder(scene_of(**values), tmp_path) != cell_folder(scene, tmp_path)


@pytest.mark.usefixtures("made")
def test_a_defense_is_in_the_record_and_costs_accuracy(tmp_path: Path) -> None:
    values = {**UNSPLIT, "epochs": 6, "learning_rate": 0.02}
    plain = cell(tmp_path, **values)
    noise = {**UNSPLIT["options"], "gaussian_noise": {"sigma": 20.0}}  # type: ignore[dict-item]
    noisy = cell(tmp_path, **{**values, "options": noise}, defense="gaussian_noise")
    assert noisy.cell.defenses == ("gaussian_noise",)
    assert plain.utility is not None
    assert noisy.utility is not None
    assert plain.utility > noisy.utility + 0.2


@pytest.mark.usefixtures("made")
def test_bytes_are_those_of_the_training(tmp_path: Path) -> None:
    """44 rows in batches of 8: what is sent of a sample is its activations and gradients, a batch adds a header."""
    one, other = (cell(tmp_path, **{**UNSPLIT, "cut": cut}) for cut in ("0", "4"))
    assert one.bytes_up is not None
    assert other.bytes_up is not None
    assert one.bytes_up - other.bytes_up == 44 * 4 * (3 * 36 - 12)
    twice = cell(tmp_path, **UNSPLIT, epochs=2)
    assert twice.bytes_up == 2 * one.bytes_up
    carried = cell(tmp_path, **UNSPLIT, carrier="loopback")
    assert (carried.bytes_up, carried.bytes_down) == (one.bytes_up, one.bytes_down)
    driven = cell(tmp_path, **LABELS, protocol="label_only")
    assert driven.bytes_down is not None
    assert driven.bytes_up is not None
    assert driven.bytes_down > driven.bytes_up > 0


def test_a_table_from_end_to_end(tmp_path: Path) -> None:
    options = {"unsplit": {"rounds": 2, "input_steps": 20, "model_steps": 20}}
    experiment = {"dataset": "breast_cancer", "attack": "unsplit", "options": options, "cut": "1", "isolate": False}
    (scene,) = settle(make({**experiment, "epochs": 4, "out": tmp_path}))
    assert scene.experiment.model == "dense"
    (record,) = sweep([scene], run_folder([scene]))
    assert record.status == DONE
    assert record.utility is not None
    assert record.utility > 0.85
    assert metrics(record) == [("inputs", "", "mse"), ("model", "", "accuracy"), ("model", "", "agreement")]
    assert record.features is not None
    assert record.features[0].name == "mean radius"
    assert len(record.features) == 30
    assert record.pictures is None
    assert write_report(run_folder([scene])).is_file()
    assert run_folder([scene]) == tmp_path / "breast_cancer-dense-unsplit"


@pytest.mark.usefixtures("made")
def test_cuts_by_name_are_cuts_by_index() -> None:
    for protocol, names, indices in (
        ("vanilla", "drop", "3"),
        ("u_shaped", "norm:middle", "1:4"),
        ("u_shaped", "norm", "1:6"),
    ):
        one, other = (scene_of(protocol=protocol, cut=cut) for cut in (names, indices))
        assert one.experiment == other.experiment
        assert one.experiment.cut == indices


@pytest.mark.usefixtures("made")
def test_a_row_of_targets_can_be_asked_for(tmp_path: Path) -> None:
    record = cell(tmp_path, attack="spy", protocol="vanilla", cut="1", targets=6, target_batch=4)
    assert record.pictures is not None
    assert record.pictures.labels == ("a", "b", "c", "d", "a", "b")
    assert len(cell(tmp_path, attack="spy", protocol="vanilla", cut="1", targets=99).pictures.labels) == 16  # type: ignore[union-attr]


def test_a_wrong_weights_file_is_found_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"no")
    with pytest.raises(ExperimentError, match="is not a safetensors file"):
        settle(make({"weights": str(tmp_path / "w.safetensors")}))


def test_an_attack_that_can_be_asked_at_any_time_is_judged_after_every_epoch(tmp_path: Path) -> None:
    values = {"attack": "well_informed", "protocol": "vanilla", "cut": "1", "aux": "train", "train_rows": 80}
    record = cell(tmp_path, **values, offers=("aux_inputs", "aux_labels"), epochs=2)
    assert record.status == "done", record.reason
    steps = [part.step for part in record.course]
    assert [part.epoch for part in record.course] == [1]
    assert steps == [10]
    (early,) = [score.value for score in record.course[0].scores if score.metric == "mse"]
    (late,) = [score.value for score in record.scores if score.metric == "mse"]
    assert early != late
    assert record.threat.used == {"aux_inputs": 2, "aux_labels": 2}
    unoffered = cell(tmp_path, **values)
    assert (unoffered.status, unoffered.course) == ("not applicable", ())
    assert "does not offer aux_inputs, aux_labels (key offers; an aux of another dataset has" in unoffered.reason
    assert unoffered.reason.endswith(": offers=aux_inputs,aux_labels")


@pytest.mark.usefixtures("made")
def test_a_client_without_weights_trains_and_is_inverted(tmp_path: Path) -> None:
    file = tmp_path / "flat.py"
    file.write_text(
        "from collections import OrderedDict\nfrom torch import nn\n\n\ndef build(classes):\n"
        "    return nn.Sequential(OrderedDict(flat=nn.Flatten(), out=nn.Linear(64, classes)))\n"
    )
    record = cell(tmp_path, model=f"{file}:build", epochs=5, **UNSPLIT)
    assert record.status == DONE, record.reason
    assert record.utility is not None
    assert record.utility > 0.5
    assert {score.goal for score in record.scores} == {"inputs", "model"}
