"""What one attack's tampering leaves for another: the same bits wherever they come from, honest ones at alpha 0."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

from cutlayer.auditing import attacked, audit
from cutlayer.auditing.attacked import attacked_key, deployed, deployed_key, seated, train_under_attack
from cutlayer.auditing.audit import leaves, run_cell, shared
from cutlayer.auditing.grants import Outside
from cutlayer.auditing.outline import outline
from cutlayer.auditing.victim import Victim, key, train
from cutlayer.experiment import ExperimentError, make
from cutlayer.isolated.grpc_process import GrpcProcess
from cutlayer.isolated.process import IsolatedError
from cutlayer.judging.judge import Truth
from cutlayer.judging.truth import truth_of
from cutlayer.model import join
from cutlayer.record import DONE, Epoch
from cutlayer.scene.scene import Scene
from cutlayer.scene.settle import settle
from cutlayer.scene.shortfall import shortfalls
from cutlayer.simulation.session import DivergedError
from cutlayer.sweeping import estimate

OFFERS = ("natural_inputs", "aux_inputs", "aux_labels", "peer_architecture")


def scene_of(attack: str, **values: Any) -> Scene:
    given = {"train_rows": 120, "test_rows": 40, "targets": 10, "epochs": 1, "batch_size": 16, "isolate": False}
    given |= {"model": "lenet", "protocol": "u_shaped", "cut": "1", "offers": OFFERS, "clients": 2, "aux": "share"}
    own = {"sladv": {"alpha": 2.0}, "fgsm": {"epochs": 1}, "client_backdoor": {"size": 3}}
    options = {name: own[name] for name in (attack, values.get("under")) if name in own}
    return settle(make({"attack": attack, "options": options, **given, **values}))[0]


def quiet(what: str, done: int, total: int) -> None:
    pass


def test_a_later_attack_meets_what_an_earlier_cell_has_left(tmp_path: Path) -> None:
    record = run_cell(scene_of("sladv"), tmp_path, quiet).record
    assert record.status == DONE
    later = scene_of("fgsm", under="sladv")
    with patch.object(attacked, "assemble", side_effect=AssertionError("trained again")):
        left = deployed(later, tmp_path, quiet)
    assert left.accuracy == record.utility
    found = run_cell(later, tmp_path, quiet).record
    assert (found.status, found.utility, found.training) == (DONE, record.utility, record.training)
    own = train_under_attack(scene_of("sladv"), tmp_path / "elsewhere", quiet)
    for name, tensor in own.model.state_dict().items():
        assert torch.equal(tensor, left.model.state_dict()[name]), name
    honest = train(scene_of("fgsm"), tmp_path, quiet)
    assert not torch.equal(honest.model.state_dict()["conv1.weight"], own.model.state_dict()["conv1.weight"])


def test_a_training_that_diverges_under_attack_is_not_blamed_on_its_own_rate_alone(tmp_path: Path) -> None:
    said = (
        r"^under attack by sladv, whose options may be why, the training diverged in step 1: .*; a lower learning_rate"
    )
    with pytest.raises(DivergedError, match=said):
        run_cell(scene_of("sladv", options={"sladv": {"alpha": 1e38}}), tmp_path, quiet)
    with pytest.raises(DivergedError, match=r"^the training diverged in step 1"):
        run_cell(scene_of("sladv", optimizer="sgd", learning_rate=1e20), tmp_path, quiet)


def test_a_process_that_does_not_start_leaves_no_keys_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = []

    class Killed(GrpcProcess):
        def __init__(self) -> None:
            super().__init__()
            held.extend(tmp_path.glob("*/*.pem"))
            self.process.kill()

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(attacked, "GrpcProcess", Killed)
    scene = scene_of("sladv", isolate=True, carrier="grpc")
    with pytest.raises(IsolatedError, match="ended with"), seated(scene, Outside(), quiet):
        pass
    assert len(held) == 3, "there have been some"
    assert not list(tmp_path.glob("*/*.pem"))


def always(scene: Scene, label: int) -> Victim:
    """A network that takes everything for ``label``."""
    model = join([scene.model])
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
        model[-1].bias[label] = 1
    return Victim(model, (Epoch(epoch=1, accuracy=0.0),))


@pytest.mark.parametrize("under", ["", "sladv"])
def test_what_tampering_has_left_is_compared_with_honest_training(under: str, tmp_path: Path) -> None:
    scene = scene_of("fgsm" if under else "sladv", under=under)
    shares = torch.bincount(scene.samples.labels(scene.target_rows), minlength=10) / scene.experiment.targets
    few, many = int(shares.argmin()), int(shares.argmax())
    assert shares[few] < shares[many]
    values = set()
    for label in (few, many):
        with patch.object(audit, "train", return_value=always(scene, label)):
            run = tmp_path / str(label)
            found = {score.metric: score for score in run_cell(scene, run, quiet).record.scores if not score.guess}
        assert found["natural_accuracy"].blind == pytest.approx(shares[label].item())
        assert found["accuracy_drop"].blind == pytest.approx(0), "noise changes nothing there"
        values.add(found["natural_accuracy"].value)
    assert len(values) == 1


def test_what_nothing_has_tampered_with_needs_no_other_training(tmp_path: Path) -> None:
    scene = scene_of("fgsm")
    with patch.object(audit, "train", side_effect=AssertionError("trained")):
        scores = run_cell(scene, tmp_path, quiet).record.scores
    for metric in ("natural_accuracy", "random_signs_drop"):
        assert all(score.value == score.blind for score in scores if score.metric == metric)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_what_only_watched_a_training_has_opened_nothing(alpha: float, tmp_path: Path) -> None:
    """Two honest trainings may differ in what noise takes from them: that is nobody's doing."""
    held: list[Truth] = []

    def noted(*given: Any) -> Truth:
        held.append(truth_of(*given))
        return held[-1]

    with patch.object(audit, "truth_of", noted):
        run_cell(scene_of("sladv", options={"sladv": {"alpha": alpha}}), tmp_path, quiet)
    (truth,) = held
    assert truth.evasion is not None
    assert truth.evasion.honest is not None
    assert truth.evasion.tampered is (alpha > 0)


def test_at_alpha_0_it_is_the_honest_one(tmp_path: Path) -> None:
    left = train_under_attack(scene_of("sladv", options={"sladv": {"alpha": 0.0}}), tmp_path, quiet)
    honest = train(scene_of("fgsm"), tmp_path, quiet).model.state_dict()
    assert [name for name, tensor in left.model.state_dict().items() if not torch.equal(tensor, honest[name])] == []


def test_malicious_clients_take_part_in_what_is_attacked_afterwards(tmp_path: Path) -> None:
    left = train_under_attack(scene_of("client_backdoor"), tmp_path, quiet)
    record = run_cell(scene_of("client_backdoor"), tmp_path / "alone", quiet).record
    assert left.history == record.training
    assert left.history != record.untampered
    later = scene_of("fgsm", under="client_backdoor", isolate=True)
    assert deployed_key(later) == attacked_key(scene_of("client_backdoor"))
    assert outline(later).isolated is False, "clients hold the truth"
    assert deployed_key(scene_of("fgsm", under="client_backdoor", malicious=2)) != deployed_key(later)
    assert not shortfalls(scene_of("fgsm", under="client_backdoor", malicious=2))
    assert shortfalls(scene_of("fgsm", under="sladv", malicious=2))


def test_who_tampered_is_kept_from_the_truth_as_the_attack_behind_it_is(tmp_path: Path) -> None:
    """A victim whose attack could have read the truth is none for a cell that says that it could not."""
    scene = scene_of("sladv", isolate=True)
    with (
        patch.object(attacked, "ProcessHost", side_effect=ConnectionError("another process")),
        pytest.raises(ConnectionError, match="another process"),
    ):
        train_under_attack(scene, tmp_path, quiet)
    assert attacked_key(scene) != attacked_key(scene_of("sladv", isolate=False))
    assert outline(scene_of("fgsm", under="sladv", isolate=True)).isolated is True


@pytest.mark.parametrize("targets", [None, 10])
@pytest.mark.parametrize("attack", ["unsplit", "fgsm"])
def test_what_is_judged_is_nothing_that_tampering_was_done_with(attack: str, targets: int | None) -> None:
    scene = scene_of(attack, under="fsha", aux="test", test_rows=200, targets=targets)
    assert scene.under is not None
    given = scene.under.auxiliary
    assert given is not None
    first = len(scene.dataset.train)
    given_rows = {first + row for row in given.rows.tolist()}
    assert not given_rows & {*scene.target_rows.tolist(), *scene.under.target_rows.tolist()}
    assert len(given_rows) == 200 - len({*scene.target_rows.tolist(), *scene.under.target_rows.tolist()})


def test_victims_are_told_apart_by_what_their_attack_was_given() -> None:
    """As many targets of other rows leave other rows to the attack before."""
    ten = [scene_of("unsplit", under="fsha", aux="test", test_rows=200, targets=targets) for targets in (None, 10)]
    assert len({len(scene.target_rows) for scene in ten}) == 1
    assert len({deployed_key(scene) for scene in ten}) == 2


def test_victims_are_told_apart_by_what_trained_them() -> None:
    plain, under = scene_of("fgsm"), scene_of("fgsm", under="sladv")
    assert deployed_key(plain) == key(plain)
    assert deployed_key(under) == attacked_key(scene_of("sladv"))
    others: list[dict[str, Any]] = [
        {"options": {"sladv": {"alpha": 3.0}}}, {"aux_rows": 15}, {"seed": 2}, {"aux": "test"},
        {"aux": "test", "targets": 11}, {"epochs": 2}, {"cut": "2"},
    ]  # fmt: skip
    keys = [deployed_key(scene_of("fgsm", under="sladv", **values)) for values in others]
    assert len({deployed_key(under), *keys}) == len(others) + 1
    # Neither more targets nor another attack behind it make another training of it.
    assert deployed_key(scene_of("fgsm", under="sladv", targets=11)) == deployed_key(under)
    assert deployed_key(scene_of("pgd", under="sladv")) == deployed_key(under)


def test_honest_training_beside_an_attacked_one_is_trained_once_and_estimated(tmp_path: Path) -> None:
    plain, under, sladv = scene_of("fgsm"), scene_of("fgsm", under="sladv"), scene_of("sladv")
    assert shared(plain) == (key(plain),)
    assert shared(under) == (attacked_key(sladv), key(plain))
    assert shared(sladv) == (key(plain),), "the one that it attends it trains in any case"
    assert leaves(sladv) == (attacked_key(sladv),)
    assert leaves(plain) == leaves(scene_of("sladv", when="before")) == ()
    cells = [sladv, scene_of("sladv", options={"sladv": {"alpha": 3.0}})]
    with patch.object(estimate, "training_seconds", return_value=1000.0):
        assert [seconds > 1000 for seconds in estimate.estimates(cells, tmp_path)] == [True, False]


@pytest.mark.parametrize(
    ("attack", "under", "said"),
    [
        ("fgsm", "pgd", "under = 'pgd': it tampers with no training"),
        ("sladv", "fsha", "under = 'fsha': sladv tampers with the training itself"),
        ("fgsm", "sladw", r"unknown attack 'sladw' \(did you mean 'sladv'\?\)"),
    ],
)
def test_what_cannot_be(attack: str, under: str, said: str) -> None:
    with pytest.raises(ExperimentError, match=said):
        scene_of(attack, under=under)
