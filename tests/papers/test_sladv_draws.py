"""A record at alpha 0 that is another draw of the honest training is named on SLADV's page, with both accuracies."""

from __future__ import annotations

from pathlib import Path

from cutlayer.papers.sladv import PAPER
from cutlayer.record import read_record, write_record
from cutlayer.reproduction.block import Table, Text
from cutlayer.reproduction.found import find
from tests.papers.test_sladv import left
from tests.papers.test_sladv_conclusions import by_alpha

OWN, HONEST = (0.4, 0.5, 0.7, 0.65), (0.4, 0.5, 0.6, 0.59)


def said(folder: Path) -> list[str]:
    (exhibit,) = (exhibit for exhibit in PAPER.exhibits if exhibit.name == "narrow table 4")
    table, *texts = exhibit.blocks(find([folder]))
    assert isinstance(table, Table)
    return [text.text for text in texts if isinstance(text, Text)]


def ended(folder: Path, utility: float) -> None:
    record = read_record(folder)
    assert record is not None
    write_record(folder, record.changed(utility=utility))


def test_it_is_named_with_both_accuracies_and_how_long_they_were_equal(tmp_path: Path) -> None:
    honest = by_alpha()[0.0].model_copy(update={"precision": "bf16"})
    left(honest, tmp_path / "other", 0.1, accuracies=OWN, untampered=HONEST)
    ended(tmp_path / "other", 0.65)
    left(honest, tmp_path / "same", 0.1, accuracies=HONEST, untampered=HONEST, seed=2)
    ended(tmp_path / "same", 0.59)
    left(honest, tmp_path / "near", 0.1, accuracies=(0.6, 0.6), untampered=(0.5, 0.59), seed=3)
    ended(tmp_path / "near", 0.6)
    (text,) = said(tmp_path)
    assert text.startswith(
        "At alpha 0, but not equal to the honest training of its seed: seed 1 (targets=2000, bf16), 65.0 % instead of "
        "59.0 %, equal after each of the first 2 of 4 epochs; seed 3 (targets=2000, bf16), 60.0 % instead of 59.0 %. "
        "The cause was found"
    )
    assert "were 6.0 pp apart in accuracy and 3.0 pp in what random signs take" in " ".join(text.split())


def test_without_the_honest_training_s_epochs_the_targets_tell(tmp_path: Path) -> None:
    left(by_alpha()[0.0], tmp_path / "0", 0.1, natural_accuracy=(0.75, 0.75))
    assert not said(tmp_path), "though of all test images it is 80 %"
    left(by_alpha()[0.0], tmp_path / "0", 0.1, natural_accuracy=(0.7, 0.75))
    (text,) = said(tmp_path)
    assert "seed 1 (targets=2000), 70.0 % instead of 75.0 %. The cause" in text


def test_under_attack_another_accuracy_is_no_other_draw(tmp_path: Path) -> None:
    left(by_alpha()[1.0], tmp_path / "1", 0.1, accuracies=OWN, untampered=HONEST)
    assert not said(tmp_path)
