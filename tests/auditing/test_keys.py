"""What finished cells and victims are looked up by: the data themselves, and not what they are called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from cutlayer.auditing.attacked import attacked_key, deployed_key
from cutlayer.auditing.outline import fingerprint
from cutlayer.auditing.victim import _TRAINED_BY, key
from cutlayer.data import content
from cutlayer.dataset import Dataset, Split
from cutlayer.experiment import Experiment, make
from cutlayer.scene.scene import Scene
from cutlayer.scene.settle import settle
from tests.cells import STOCHASTIC
from tests.scenes import made_dataset

OTHER_KEYS = {
    "where it is kept and what is said of it": ("name", "out", "link", "leak", "partial"),
    "what happens to it once it is trained": (
        *("when", "targets", "target_batch", "offers", "aux_rows", "aux_adapt", "budget", "budget_unit"),
        *("pixel_budgets", "transfer", "transfer_epochs", "transfer_mode", "transfer_mean", "transfer_std"),
    ),
    "who attends the training, and leaves a victim with a key of its own": ("attack", "under", "steps", "malicious"),
    "which way its messages go: they arrive as they are": ("carrier", "isolate"),
    "what the key is told in another form: how many rows nobody trains on": ("aux", "share"),
    "the same: the data's values": ("data_dir",),
    "the same: the code, and the options of what the training uses": ("plugins", "options"),
    "the same: where a cut changes a bit": ("protocol", "cut"),
}
"""What an experiment says beside what a victim is trained by, by the reason why it is not named there."""


def edited(dataset: Dataset, split: str) -> Dataset:
    """One value of one image is another."""
    old: Split = getattr(dataset, split)
    inputs = old.inputs.clone()
    inputs[3, 0, 0, 0] += 1
    return replace(dataset, **{split: Split(inputs, old.labels)})


def scenes(files: dict[str, Dataset], **values: Any) -> list[Scene]:
    def load(experiment: object, name: str = "") -> Dataset:
        return files[name or "own"]

    given = {"model": STOCHASTIC, "cut": "1", "protocol": "vanilla", "offers": ("aux_inputs", "aux_labels"), **values}
    with patch("cutlayer.scene.settle.load_dataset", load):
        return settle(make({**given, "options": {"surrogate_client": {"size": 2}} if values else {}}))


def keys(files: dict[str, Dataset], **values: Any) -> list[str]:
    """Of the cell, of the honest victim and of the one that the attack before leaves."""
    (scene,) = scenes(files, **values)
    return [found(scene) for found in (fingerprint, key, deployed_key)]


@pytest.mark.parametrize(
    ("changed", "others"),
    [
        ("own.train", [True, True, True]),
        ("own.test", [True, True, True]),
        ("mnist.train", [True, False, True]),
        # Of another dataset only the training split is an adversary's.
        ("mnist.test", [False, False, False]),
    ],
)
def test_data_that_change_behind_their_name_are_other_data(changed: str, others: list[bool]) -> None:
    files = {"own": made_dataset(), "mnist": replace(made_dataset(), name="mnist")}
    name, split = changed.split(".")
    asked = {"attack": "unsplit", "under": "surrogate_client", "aux": "mnist", "epochs": 1}
    before, same = keys(files, **asked), keys({**files, "own": made_dataset()}, **asked)
    assert before == same
    after = keys({**files, name: edited(files[name], split)}, **asked)
    assert [one != other for one, other in zip(before, after, strict=True)] == others


def test_the_same_data_are_the_same_wherever_they_lie() -> None:
    files = {"own": made_dataset(), "mnist": replace(made_dataset(), name="mnist")}
    asked = {"attack": "unsplit", "under": "surrogate_client", "aux": "mnist", "epochs": 1}
    assert keys(files, **asked, data_dir="data") == keys(files, **asked, data_dir="../elsewhere/data")


def test_a_table_is_the_same_in_either_folder(tmp_path: Path) -> None:
    found = []
    for folder in (tmp_path / "here", tmp_path / "there"):
        folder.mkdir()
        for half in ("train", "test"):
            (folder / f"{half}.csv").write_text("age,ill\n" + "".join(f"{n},{n % 2}\n" for n in range(40)))
        (scene,) = settle(
            make(
                {
                    "dataset": "table",
                    "data_dir": folder,
                    "options": {"table": {"label": "ill"}},
                    "attack": "unsplit",
                    "protocol": "vanilla",
                    "model": "dense",
                    "cut": "1",
                    "epochs": 1,
                }
            )
        )
        found.append((fingerprint(scene), key(scene)))
    assert found[0] == found[1]


@pytest.mark.parametrize("split", ["train", "test"])
def test_data_of_a_transfer_that_change_behind_their_name_are_other_data(split: str) -> None:
    files = {"own": made_dataset(), "mnist": replace(made_dataset(), name="mnist")}
    asked = {"attack": "surrogate_client", "transfer": "mnist", "aux": "share", "epochs": 1}
    before, after = keys(files, **asked), keys({**files, "mnist": edited(files["mnist"], split)}, **asked)
    assert [one != other for one, other in zip(before, after, strict=True)] == [True, False, False]


def test_every_key_of_an_experiment_is_one_a_victim_is_trained_by_or_is_none_for_a_reason() -> None:
    """Or a victim that was trained otherwise would be looked up for one with another value of a new key."""
    named = [*_TRAINED_BY, *(name for names in OTHER_KEYS.values() for name in names)]
    assert sorted(named) == sorted(Experiment.model_fields), "each once"


def test_an_attack_is_known_by_its_own_data() -> None:
    """A cell that leaves a victim behind keeps it where others look for it."""
    files = {"own": made_dataset(), "mnist": made_dataset()}
    asked = {"aux": "mnist", "epochs": 1}
    (alone,), (under,) = (
        scenes(files, **asked, attack=attack, under=before)
        for attack, before in (("surrogate_client", ""), ("unsplit", "surrogate_client"))
    )
    assert attacked_key(alone) == deployed_key(under)


def test_each_split_is_read_once_whatever_the_number_of_cells() -> None:
    files = {"own": made_dataset(), "mnist": made_dataset()}
    asked = {"attack": "unsplit", "under": "surrogate_client", "aux": "mnist", "epochs": 1}
    read: list[int] = []
    taken = content.digest

    def counted(*tensors: Any) -> str:
        read.append(len(tensors))
        return taken(*tensors)

    with patch.object(content, "digest", counted):
        cells = [scene for seed in (1, 2) for scene in scenes(files, **asked, seed=seed)]
        for scene in cells:
            fingerprint(scene), fingerprint(scene), deployed_key(scene)
    assert len(read) == 3, "both of the victim's, and what is the adversary's of the other"


def test_a_worker_looks_where_its_caller_does() -> None:
    """It is told the settled experiment alone, and loads the data again."""

    def files() -> dict[str, Dataset]:
        return {"own": made_dataset(), "mnist": made_dataset()}

    asked = {"attack": "unsplit", "under": "surrogate_client", "aux": "mnist", "epochs": 1}
    (scene,) = scenes(files(), **asked)
    told = scene.experiment.model_dump(mode="json")
    with patch("cutlayer.scene.settle.load_dataset", lambda experiment, name="": files()[name or "own"]):
        (again,) = settle(make(told))
    assert [found(again) for found in (fingerprint, key, deployed_key)] == keys(files(), **asked)
