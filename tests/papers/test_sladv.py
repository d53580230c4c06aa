"""SLADV's reproduction: cells that fit the networks, shadows that fit the cuts, tables of made records, absent data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from cutlayer.commands import reproduce as command
from cutlayer.commands.reproduce import Request, reproduce
from cutlayer.dataset import Dataset, DatasetError
from cutlayer.experiment import Experiment, ExperimentError
from cutlayer.methods.shadow import shadow
from cutlayer.model import blocks
from cutlayer.papers.sladv import PAPER, printed
from cutlayer.papers.sladv.setup import BLOCKS, LAST, MULTI
from cutlayer.record import AttackRun, Cell, Epoch, Record, Score, write_record
from cutlayer.registry import module
from cutlayer.reproduction.cell import SCALES
from cutlayer.reproduction.found import find
from cutlayer.reproduction.page import write_markdown
from cutlayer.reproduction.plan import experiments
from cutlayer.seat.making import make_attack
from tests.models.networks import SENT


def test_what_is_printed() -> None:
    assert printed.TABLE_1["128"] == {
        "svhn": 0.1407, "cifar10": 0.1631, "cifar100": 0.2031, "tiny_imagenet": pytest.approx(0.1547)
    }  # fmt: skip
    assert [len(table) for table in (printed.TABLE_1, printed.TABLE_3, printed.TABLE_4)] == [6, 6, 6]
    # What the tables share: 4,096 images, alpha 1, cut 1, ResNet18.
    for column in printed.COLUMNS:
        same = {printed.TABLE_1["4096"][column], printed.TABLE_3["1"][column], printed.TABLE_6[column]["resnet18"]}
        assert same == {printed.TABLE_5[form]["1"][column] for form in ("single", "multi")}
    assert all(printed.TABLE_2["sladv"][n] == printed.TABLE_1[str(n)]["cifar10"] for n in (1024, 2048, 4096))


@pytest.mark.parametrize("name", MULTI)
def test_cuts_and_shadows_are_those_of_the_network(name: str) -> None:
    found = module("models", name)
    assert BLOCKS[name] == found.CUTS
    with torch.device("meta"):
        assert blocks(found.build())[LAST[name]] == "pool"
    for shape, layers in zip(SENT[name][:-1], MULTI[name], strict=True):
        assert shadow("multi", (3, 32, 32), shape, layers)(torch.rand(2, 3, 32, 32)).shape == (2, *shape)


def test_every_cell_of_every_scale_is_an_experiment_with_options_that_exist() -> None:
    counts = {}
    for scale in SCALES:
        found = experiments("sladv", PAPER.exhibits, scale, 1, [])
        counts[scale] = len(found)
        assert {experiment.dataset for experiment in found} == {"digits" if scale == "smoke" else "cifar10"}
        assert all(set(experiment.options) <= {experiment.attack, experiment.under} for experiment in found)
        for name, options in {(n, str(o)): o for e in found for n, o in e.options.items()}.items():
            make_attack(name[0], options)
    assert counts["smoke"] < counts["quick"] < counts["paper"]
    # Half of the quick ones' columns need data that may be absent; "about 20 victims" train here, and narrow ones.
    here = [e for e in experiments("sladv", PAPER.exhibits, "quick", 1, []) if e.attack == "sladv"]
    whole = [e for e in here if e.model != "resnet18_narrow" and e.aux not in {"svhn", "cifar100"}]
    assert 18 <= len(whole) <= 26
    assert {e.epochs for e in here if e.model == "resnet18_narrow"} == {9}


def test_an_option_that_only_some_cells_have_chooses_those_and_changes_none() -> None:
    table = [exhibit for exhibit in PAPER.exhibits if exhibit.name == "narrow table 2"]

    def labels(*chosen: str) -> list[str]:
        found = experiments("sladv", table, "quick", 1, ["attack=vmi_fgsm", *chosen])
        return [experiment.options["vmi_fgsm"].get("labels", "auto") for experiment in found]

    true, auto = labels("vmi_fgsm.labels=true"), labels("vmi_fgsm.labels=auto")
    assert (set(true), set(auto)) == ({"true"}, {"auto"})
    assert sorted([*true, *auto]) == sorted(labels())
    # Of another attack that some cells have before theirs: the others have none, and stay.
    assert {e.under for e in experiments("sladv", table, "quick", 1, ["attack=ssa", "sladv.alpha=1"])} == {"", "sladv"}
    with pytest.raises(ExperimentError, match=r"vmi_fgsm\.labels=auto,true$"):
        experiments("sladv", table, "quick", 1, ["attack=vmi_fgsm", "vmi_fgsm.labels=predicted"])
    readings = [exhibit for exhibit in PAPER.exhibits if exhibit.name == "readings"]
    assert len(experiments("sladv", readings, "quick", 1, ["sladv.alpha=100"])) == 1, "as 100.0"


ABOUT_ALL = ("in short", "conclusions")
_USUAL = {"alpha": 1.0, "shadow": "two_conv", "align": "cut", "distance": "batch"}


def left(
    experiment: Experiment,
    folder: Path,
    drop: float,
    curves: Mapping[str, Sequence[float]] | None = None,
    accuracies: Sequence[float] = (),
    untampered: Sequence[float] = (),
    seed: int = 1,
    **others: tuple[float, float],
) -> None:
    """A record as the cell would leave it; ``others``: further scores, each with its blind value."""
    attack = make_attack(experiment.attack, experiment.options[experiment.attack])
    scores = {
        "accuracy_drop": (drop, 0.02), "random_signs_drop": (0.05, 0.02), "natural_accuracy": (0.8, 0.9), **others
    }  # fmt: skip
    training, honest = (tuple(Epoch(epoch=n, accuracy=a) for n, a in enumerate(of)) for of in (accuracies, untampered))
    usual = {"task_gradient_norm": [0.1, 0.3], "gradient_cosine": [1.0]}
    record = Record(
        cell=Cell(attack=experiment.attack, dataset="cifar10", model=experiment.model, seed=seed),
        utility=0.8,
        training=training,
        untampered=honest,
        scores=tuple(
            Score(goal="evasion", metric=metric, value=value, blind=blind, decides=metric == "accuracy_drop")
            for metric, (value, blind) in scores.items()
        ),
        attack=AttackRun(options=vars(attack), curves={**usual, **{k: list(v) for k, v in (curves or {}).items()}}),
        experiment={**experiment.model_dump(mode="json"), "budget_unit": "normalized"},
    )
    write_record(folder, record, {})


def test_records_find_their_places_and_absent_columns_are_told(tmp_path: Path) -> None:
    asked = experiments("sladv", PAPER.exhibits[2:3], "paper", 1, [])
    (one,) = (e for e in asked if (e.aux, e.aux_rows) == ("tiny_imagenet", 4096))
    left(one, tmp_path / "one", 0.3)
    (far,) = (e for e in asked if e.aux == "fashion_mnist")
    left(far, tmp_path / "far", 0.1)
    write_markdown(tmp_path / "page.md", PAPER, find([tmp_path]), "lead")
    text = (tmp_path / "page.md").read_text()
    first = text.partition("## Table 2")[0]
    assert "| 4096 | tiny_imagenet | as published | 1 | 30.0 % | 34.8 % | -4.8 pp | 2.0 % | 5.0 % | 80.0 % |" in first
    assert "| 4096 | fashion_mnist | as published | 1 | 10.0 % | - | - | 2.0 % | 5.0 % | 80.0 % |" in first
    assert "Not run: svhn, cifar10, cifar100." in first
    assert "| 1 | tiny_imagenet | as published | 1 | 80.0 % | - | 78.0 % | +2.0 pp |" in text
    assert "| 1 | tiny_imagenet | as published | 1 | 0.200 |" in text


def test_narrow_networks_stand_beside_the_printed_whole_one(tmp_path: Path) -> None:
    asked = experiments("sladv", PAPER.exhibits, "quick", 1, [])
    (narrow,) = (
        e
        for e in asked
        if (e.model, e.attack, e.cut, e.aux, e.aux_rows) == ("resnet18_narrow", "sladv", "0:10", "share", 4096)
        and {**_USUAL, **e.options["sladv"]} == {**e.options["sladv"], **_USUAL}
        and e.protocol == "u_shaped"
    )
    left(narrow, tmp_path / "narrow", 0.3)
    write_markdown(tmp_path / "page.md", PAPER, find([tmp_path]), "lead")
    text = (tmp_path / "page.md").read_text()
    before, _, behind = text.partition("## Narrow table 1")
    assert [title.partition(":")[0] for title in before.split("\n## ")[1:]] == ["In short", "Conclusions"]
    assert "| 4096 | cifar10 | targets=2000 | 1 | 30.0 % | 2.0 % | 5.0 % | 80.0 % | 29.9 % |" in behind
    assert "| SLADV | 4096 | attacked | targets=2000 | 1 | 30.0 % | 2.0 % | 5.0 % | 80.0 % | 29.9 % |" in behind
    assert "| 1 | cifar10 | targets=2000 | 1 | 80.0 % | - | 78.1 % |" in behind
    assert "| 1 | cifar10 | targets=2000 | 1 | 0.200 |" in behind


def test_narrow_and_whole_networks_have_the_same_exhibits_with_cells_of_their_own() -> None:
    by_name = {exhibit.name: exhibit for exhibit in PAPER.exhibits}
    narrow = [name for name in by_name if name.startswith("narrow ")]
    assert {name.removeprefix("narrow ") for name in narrow} == {*by_name} - {*narrow, "table 6", *ABOUT_ALL}
    for name in narrow:
        models = {cell.values["model"] for scale in SCALES for cell in by_name[name].cells(scale)}
        assert models == {"resnet18_narrow"}
        assert not by_name[name].cells("smoke")
        for cell in by_name[name].cells("quick"):
            assert cell.how["targets"] == (2000 if cell.values["attack"] == "sladv" else 512)
        assert {cell.values["epochs"] for cell in by_name[name].cells("quick")} == {9}


def test_a_column_whose_data_is_not_here_is_not_run_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(experiment: Experiment, name: str = "") -> Dataset | None:
        if name == "svhn":
            raise DatasetError("svhn: there is no folder svhn")
        return None

    settled: list[Experiment] = []
    monkeypatch.setattr(command, "load_dataset", load)
    monkeypatch.setattr(command, "scenes", lambda asked: settled.extend(asked) or [])
    monkeypatch.setattr(command, "run_folder", lambda cells: tmp_path)
    console: Any = Console(quiet=True)
    request = Request("sladv", ["table 1"], "paper", 1, [f"out={tmp_path}"], 0, 1, "")
    with pytest.raises(Exception, match="svhn: there is no folder svhn"):
        reproduce(request, console)
    assert {experiment.aux for experiment in settled} == {"share", "cifar100", "tiny_imagenet", "fashion_mnist"}
