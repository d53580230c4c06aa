"""What an attack on the training has cost the deployment stands in the first lines, whatever the attack gained."""

from pathlib import Path

import pytest

from cutlayer.report.evidence import read_run
from cutlayer.report.finding import findings
from cutlayer.report.toll import tolls
from tests.report.made_run import made_record, save, score
from tests.report.test_page import page_of


def evaded(cut: int, left: float, tampers: bool = True, **options: float) -> dict[str, object]:
    """A cell of an attack that gained nothing and left the deployment so accurate, where it was 51.3 % before."""
    made = made_record("unsplit", cut, 1, 0.5)
    made["threat"]["tampers"] = tampers
    made["attack"]["options"] = options
    made["scores"] = [
        score("evasion", "accuracy_drop", 0.0, 0.02, left, True),
        score("evasion", "natural_accuracy", left, 0.513, None, False),
    ]
    return made


def test_a_deployment_that_an_attack_has_ruined_is_named_though_nothing_leaks(tmp_path: Path) -> None:
    save(tmp_path, evaded(1, 0.182))
    text = page_of(tmp_path).text
    assert "No attack did better than a blind guess." in text
    said = "cost the deployment accuracy: it is right on 18.2 % of natural targets, without the attack on 51.3 %."
    assert f"At cut 1 unsplit has {said}" in text
    assert "18.2 % right, 51.3 % without the attack" in text


def test_of_many_settings_the_worst_one_is_told(tmp_path: Path) -> None:
    for weight, left in ((0.0, 0.513), (0.1, 0.182), (1.0, 0.4)):
        save(tmp_path, evaded(1, left, alpha=weight))
    assert tolls(findings(read_run(tmp_path))) == [
        "In 2 of 3 settings unsplit has cost the deployment accuracy, most at cut 1 (alpha=0.1): it is right on "
        "18.2 % of natural targets, without the attack on 51.3 %."
    ]


def test_a_single_one_of_several_settings_is_named(tmp_path: Path) -> None:
    save(tmp_path, evaded(1, 0.182))
    save(tmp_path, evaded(3, 0.5))
    (line,) = tolls(findings(read_run(tmp_path)))
    assert line.startswith("At cut 1 unsplit has cost the deployment accuracy: it is right on 18.2 %")


@pytest.mark.parametrize(("left", "tampers"), [(0.48, True), (0.182, False)])
def test_little_and_what_no_attack_has_cost_are_not_named(tmp_path: Path, left: float, tampers: bool) -> None:
    save(tmp_path, evaded(1, left, tampers))
    assert tolls(findings(read_run(tmp_path))) == []
