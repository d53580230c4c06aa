"""What a cell says it will not do of what it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cutlayer.experiment import ExperimentError
from cutlayer.scene.shortfall import shortfalls
from tests.scenes import made, scene_of

__all__ = ["made"]


@pytest.mark.usefixtures("made")
def test_it_says_where_there_are_fewer_samples_than_asked_for() -> None:
    asked = scene_of(cut="1", protocol="vanilla", train_rows=45, test_rows=16, targets=17)
    assert shortfalls(asked) == [
        "train_rows = 45: there are only 44, all are taken",
        "targets = 17: there are only 16, all are taken",
    ]
    assert not shortfalls(scene_of(cut="1", protocol="vanilla"))


@pytest.mark.usefixtures("made")
def test_it_says_what_is_asked_for_in_vain() -> None:
    asked = scene_of(cut="1", protocol="vanilla", budget=0.1, pixel_budgets=(8,), malicious=1)
    assert shortfalls(asked) == [
        "budget = 0.1 changes nothing: spy perturbs no inputs",
        "pixel_budgets = (8.0,) changes nothing: spy perturbs no inputs",
    ]


def test_keys_of_a_transfer_that_is_not_asked_for_and_of_files_that_nobody_reads_are_named() -> None:
    planted = {"attack": "surrogate_client", "plugins": None, "model": "lenet", "offers": ("aux_inputs", "aux_labels")}
    values = {**planted, "cut": "1", "protocol": "vanilla", "data_dir": Path("here")}
    values |= {"transfer_mean": (0.5,), "transfer_std": (0.5,)}
    assert shortfalls(scene_of(**values)) == [
        "data_dir = here changes nothing: digits is embedded",
        "transfer_mean = (0.5,) changes nothing: no transfer is asked for",
        "transfer_std = (0.5,) changes nothing: no transfer is asked for",
    ]
    assert shortfalls(scene_of(**values, transfer="digits")) == []


def told(**values: Any) -> list[str]:
    return shortfalls(scene_of(**{"cut": "1", "protocol": "vanilla", **values}))


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"aux": "train"}, ["aux = 'train' changes nothing: spy has no data of its own"]),
        ({"aux": "digits"}, ["aux = 'digits' changes nothing: spy has no data of its own"]),
        ({"aux_rows": 3}, ["aux_rows = 3 changes nothing: spy has no data of its own"]),
        ({"aux_adapt": True}, ["aux_adapt = True changes nothing: spy has no data of its own"]),
        ({"aux": "test"}, []),
        # No client holds it, whether anybody else does or not.
        ({"aux": "share", "share": 0.2}, []),
        ({"attack": "fgsm", "protocol": "u_shaped", "cut": "1:4", "targets": 2, "aux": "train", "aux_rows": 12}, []),
        ({"budget_unit": "pixel"}, ["budget_unit = 'pixel' changes nothing: spy perturbs no inputs"]),
        ({"skew": 0.5}, ["skew = 0.5 changes nothing: there is one client"]),
        ({"handover": "server"}, ["handover = 'server' changes nothing: there is one client"]),
        ({"optimizer_state": "reset"}, ["optimizer_state = 'reset' changes nothing: there is one client"]),
        ({"skew": 0.5, "handover": "server", "optimizer_state": "reset", "clients": 2}, []),
        ({"momentum": 0.9}, ["momentum = 0.9 changes nothing: the optimizer is adam"]),
        ({"momentum": 0.9, "optimizer": "sgd"}, []),
        ({"amsgrad": False, "optimizer": "sgd"}, ["amsgrad = False changes nothing: the optimizer is sgd"]),
        ({"epsilon": 0.1, "optimizer": "sgd"}, ["epsilon = 0.1 changes nothing: the optimizer is sgd"]),
        ({"amsgrad": False, "epsilon": 0.1}, []),
        ({"milestones": (1, 2, 7)}, ["milestones = (2, 7) changes nothing: no epoch comes after"]),
        ({"milestones": (1,), "decay": 0.5}, []),
        ({"decay": 0.5}, ["decay = 0.5 changes nothing: there are no milestones"]),
        # Its targets pass through training steps, behind the last epoch.
        ({"attack": "label_inference", "targets": 4, "milestones": (2,)}, []),
    ],
)
def test_keys_that_have_no_effect_beside_the_others_are_named(values: dict[str, Any], said: list[str]) -> None:
    assert told(**values) == said


@pytest.mark.usefixtures("made")
def test_data_of_ones_own_that_nobody_has_must_exist_all_the_same() -> None:
    with pytest.raises(ExperimentError, match="unknown dataset 'bogus'; one of breast_cancer, "):
        told(aux="bogus")


PROXY = {"epochs": 2, "batch_size": 8, "learning_rate": 0.1, "least_steps": 9}
OPTIONS: list[tuple[str, dict[str, Any], list[str], str]] = [
    ("surrogate_client", {"darkest": 0.3, "values": "white"}, ["darkest"], "the trigger is white"),
    ("surrogate_client", {"darkest": 0.3, "alpha_steps": (5,), "later_alphas": (0.2,)}, [], ""),
    ("surrogate_client", {"alpha_steps": (5,)}, ["alpha_steps"], "there are no later_alphas"),
    ("injector_autoencoder", {"brightest": 0.5, "values": "white"}, ["brightest"], "the trigger is white"),
    (
        "client_backdoor",
        {"ratio": 0.5, "amplitude": 0.2, "frequency": 2.0, "size": 3},
        ["ratio", "amplitude", "frequency"],
        "the trigger is patch",
    ),
    (
        "client_backdoor",
        {"trigger": "sinusoidal", "size": 3, "row": 1, "column": 2, "amplitude": 0.2, "frequency": 2.0},
        ["size", "row", "column"],
        "the trigger is sinusoidal",
    ),
    ("client_backdoor", {"trigger": "blended", "values": "white", "ratio": 0.5}, ["values"], "the trigger is blended"),
    # As they are by default: nobody who says so expects anything else.
    ("client_backdoor", {"ratio": 0.2, "frequency": 6.0}, [], ""),
    ("label_inference", {"restarts": 3, "match": "first"}, ["restarts"], "it observes weights"),
    ("label_inference", {"match": "first", "observes": "activations"}, ["match"], "it observes activations"),
    ("inversion_query_free", {"noise": 50}, ["noise"], "the shadow is trained on data = labeled"),
    (
        "inversion_query_free",
        {"noise": 50, "epochs": 2, "data": "none"},
        ["noise", "epochs"],
        "the shadow is trained on data = none",
    ),
    ("inversion_query_free", {"noise": 50, "epochs": 2, "data": "noise"}, [], ""),
    *(
        (
            "pgd",
            {"network": "victim", "objective": objective, "start": 0.1, **PROXY},
            [*PROXY],
            "it perturbs on the deployment itself, and trains no proxy",
        )
        for objective in ("label", "similarity")
    ),
    # As reproductions give it.
    ("pgd", {"network": "victim", "epochs": 60}, [], ""),
    ("pgd", PROXY, [], ""),
]


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(("attack", "given", "idle", "why"), OPTIONS)
def test_it_says_which_options_of_the_attack_have_no_effect(
    attack: str, given: dict[str, Any], idle: list[str], why: str
) -> None:
    scene = scene_of(attack=attack, protocol="vanilla", cut="1", targets=4, options={attack: given})
    assert set(shortfalls(scene)) == {f"{attack}.{name} = {given[name]!r} changes nothing: {why}" for name in idle}


@pytest.mark.usefixtures("made")
def test_options_of_the_attack_before_are_told_of_too() -> None:
    options = {"client_backdoor": {"ratio": 0.5}}
    scene = scene_of(attack="unsplit", under="client_backdoor", protocol="vanilla", cut="1", options=options)
    assert shortfalls(scene) == ["client_backdoor.ratio = 0.5 changes nothing: the trigger is patch"]
