"""What a report says of victims that were attacked before their training: the accuracy beside it is not theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from cutlayer.report.evidence import read_run
from cutlayer.report.finding import findings
from cutlayer.report.panel import panels
from cutlayer.report.summary import facts
from cutlayer.report.threats import adversaries
from tests.report.made_run import made_record, save
from tests.report.test_page import page_of

SAID = "attacked before training"


def leave(run: Path, attack: str, cut: str, when: str, **changes: object) -> None:
    record = made_record(attack, cut, 1, 0.6, **changes)
    record["cell"]["when"] = when
    save(run, record)


def test_an_attack_before_the_training_is_told_wherever_it_is_named(tmp_path: Path) -> None:
    leave(tmp_path, "unsplit", "1", "after")
    leave(tmp_path, "label_inference", "1:10", "before", reason="nothing was learned")
    found = findings(read_run(tmp_path))
    assert {finding.first.cell.attack: finding.variant for finding in found} == {"unsplit": "", "label_inference": SAID}
    labels = [series.label for panel in panels(found, read_run(tmp_path)) for series in panel.series]
    assert f"label_inference: labels ({SAID})" in labels
    assert "unsplit: inputs" in labels
    cards = {adversary.record.cell.attack: adversary.untrained for adversary in adversaries(found)}
    assert cards == {"unsplit": "", "label_inference": f"{SAID}, with the weights that it begins with"}
    text = page_of(tmp_path).text
    assert f"It was attacked with unsplit and {SAID} with label_inference." in text
    assert f"Most at cut 1:10, u_shaped, by label_inference ({SAID}): accuracy" in text
    assert f"When{SAID}, with the weights that it begins with" in text
    assert f"The split training that was attacked, or that followed where label_inference {SAID}." in text
    assert f"label_inference, {SAID}, at cut 1:10: nothing was learned." in text
    assert "test accuracy of the split model97.5 % trained afterwards" in text
    assert text.count("trained afterwards") == 1, "the other panel's is that of what was attacked"


def test_a_run_of_untrained_victims_claims_no_accuracy_for_them(tmp_path: Path) -> None:
    leave(tmp_path, "unsplit", "1", "before")
    told = {name: more for name, _, more in facts([item.record for item in read_run(tmp_path)])}
    assert told["Test accuracy"] == "of the network trained afterwards"
    text = page_of(tmp_path).text
    assert f"It was {SAID} with unsplit." in text
    assert "The split training that followed: the network was attacked before training." in text


def test_cells_of_one_attack_before_and_after_the_training_are_told_apart(tmp_path: Path) -> None:
    for when in ("before", "after"):
        leave(tmp_path, "unsplit", "1", when)
    found = findings(read_run(tmp_path))
    assert [finding.variant for finding in found] == ["attacked after training", SAID]
    (adversary,) = adversaries(found)
    assert adversary.untrained.startswith(f"{SAID} in the cells that are named so")


@pytest.mark.parametrize("known", [0.9, None])
def test_where_nothing_was_attacked_before_the_training_nothing_says_so(tmp_path: Path, known: float | None) -> None:
    leave(tmp_path, "unsplit", "1", "after", utility=known)
    text = page_of(tmp_path).text
    assert SAID not in text
    assert "afterwards" not in text
