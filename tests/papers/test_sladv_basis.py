"""What SLADV's conclusions in short are from is told before them: seeds, iterations, the victims' accuracy."""

from __future__ import annotations

from pathlib import Path

import pytest

from cutlayer.experiment import Experiment
from cutlayer.papers.sladv import PAPER
from cutlayer.papers.sladv.conclusions import SHORT
from cutlayer.record import Traffic, read_record, write_record
from cutlayer.reproduction.block import Table, Text
from cutlayer.reproduction.cell import Scale
from cutlayer.reproduction.found import find
from cutlayer.reproduction.plan import experiments
from tests.papers.test_sladv import left
from tests.papers.test_sladv_conclusions import by_alpha, otherwise


def trained(experiment: Experiment, folder: Path, utility: float, steps: int, seed: int = 1) -> None:
    left(experiment, folder, 0.1, seed=seed)
    record = read_record(folder)
    assert record is not None
    trips = {"forward": steps, "backward": steps, "predict": 9 * steps}
    traffic = {kind: Traffic(round_trips=count, bytes_up=1, bytes_down=1) for kind, count in trips.items()}
    write_record(folder, record.changed(utility=utility, traffic=traffic))


def told(folder: Path) -> str:
    text, table = SHORT.blocks(find([folder]))
    assert isinstance(text, Text)
    assert isinstance(table, Table)
    return text.text


def whole(scale: Scale = "quick") -> dict[float, Experiment]:
    exhibits = [exhibit for exhibit in PAPER.exhibits if exhibit.name == "table 3"]
    found = experiments("sladv", exhibits, scale, 1, ["aux=share"])
    return {float(str(one.options["sladv"]["alpha"])): one for one in found}


def test_a_short_run_says_what_it_is_from_and_that_it_fails_to_reproduce_nothing(tmp_path: Path) -> None:
    found = whole()
    trained(found[0.0], tmp_path / "0", 0.5, 320)
    trained(found[1.0], tmp_path / "1", 0.1, 320)
    trained(otherwise(found[1.0], distance="mean"), tmp_path / "mean", 0.9, 10)
    assert told(tmp_path) == (
        "The whole ResNet18: 1 seed a cell, 320 of the paper's 3,000 iterations, victims with an accuracy of 10.0 % to "
        "50.0 % (the paper's: 75.3 % to 82.0 %). *Does not hold* there means *not seen in this short run* and is no "
        "failed reproduction."
    )


@pytest.mark.parametrize(("seeds", "many"), [((1,), "1 to 2 seeds"), ((1, 2), "2 seeds")])
def test_the_narrow_network_is_no_short_run_and_not_the_paper_s_either(
    tmp_path: Path, seeds: tuple[int, ...], many: str
) -> None:
    for alpha, chosen in {0.0: seeds, 1.0: (1, 2)}.items():
        for seed in chosen:
            trained(by_alpha()[alpha], tmp_path / f"{alpha} {seed}", 0.6, 2880, seed)
    said = told(tmp_path)
    assert f"an eighth of the paper's channels: {many} a cell, 2,880 of the paper's 3,000 iterations" in said
    assert said.endswith("*Does not hold* there means *not seen on this narrow network* and is no failed reproduction.")


def test_with_all_epochs_the_paper_s_network_needs_no_caution(tmp_path: Path) -> None:
    trained(whole("paper")[1.0], tmp_path, 0.8, 2880)
    assert told(tmp_path).endswith("with an accuracy of 80.0 % (the paper's: 75.3 % to 82.0 %).")
