"""What a panel draws by cut and by epoch, and says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cutlayer.report.evidence import read_run
from cutlayer.report.finding import findings
from cutlayer.report.panel import panels
from tests.report.made_run import made_record, save, score
from tests.report.test_page import page_of


def test_a_backdoor_is_drawn_by_epoch_though_it_ruined_the_network_and_decides_nothing(tmp_path: Path) -> None:
    def scores(success: float, clean: float, best: float | None) -> list[dict[str, object]]:
        return [
            score("backdoor", "attack_success", success, 0.05, best, best is not None),
            score("backdoor", "clean_accuracy", clean, 0.9, None, False),
            score("backdoor", "attack_success", 0.99, 0.05, None, False) | {"guess": "another"},
        ]

    course = [{"epoch": epoch, "step": 40 * epoch, "scores": scores(0.1 * epoch, 0.8, None)} for epoch in (1, 2)]
    for name, best in (("ruined", None), ("whole", 1.0)):
        record = made_record("unsplit", 1, 1, 0.8, course=course, verdict="not applicable")
        save(tmp_path / name, record | {"scores": scores(1.0, 0.1, best)})
        (finding,) = findings(read_run(tmp_path / name))
        assert bool(finding.deciding) == (best is not None)
        (panel,) = panels([finding], read_run(tmp_path / name))
        (chart,) = panel.course()
        assert (chart.title, chart.axis) == ("unsplit, cut 1: backdoor", "epoch")
        assert {line.label: [dot.text.partition(", ")[2] for dot in line.dots][-1] for line in chart.lines} == {
            "attack success": "10: 1",
            "attack success, without the attack or the trigger": "without the attack or the trigger, 10: 0.05",
            "clean accuracy": "10: 0.1",
            "clean accuracy, trained without the attack": "trained without the attack, 10: 0.9",
        }
        assert [dot.text for dot in chart.lines[0].dots] == [
            f"attack success, {at}" for at in ("1: 0.1", "2: 0.2", "10: 1")
        ]


@pytest.mark.parametrize(
    ("flops", "said"),
    [
        ((2, 4, 7), "A deeper cut leaves more of the work to the client"),
        ((7, 7, 2), "A deeper cut leaves less of the work to the client"),
        ((2, 4, 3), ""),
        ((4, 4, 4), ""),
        ((None, None, None), ""),
    ],
)
def test_what_a_deeper_cut_leaves_to_the_client_is_read_from_its_share(
    tmp_path: Path, flops: tuple[int | None, ...], said: str
) -> None:
    for cut, own in zip((1, 3, 5), flops, strict=True):
        save(tmp_path, made_record("unsplit", cut, 1, 0.5, client_flops=own, flops=10))
    (panel,) = panels(findings(read_run(tmp_path)), read_run(tmp_path))
    assert panel.deeper.partition(";")[0] == said


def test_panels_whose_first_layers_belong_to_others_say_the_opposite(tmp_path: Path) -> None:
    for protocol, flops in (("vanilla", (2, 7)), ("label_only", (8, 3))):
        for cut, own in zip((1, 3), flops, strict=True):
            record = made_record("unsplit", cut, 1, 0.5, client_flops=own, flops=10)
            record["cell"]["protocol"] = protocol
            save(tmp_path, record)
    text = page_of(tmp_path).text
    assert [text.count(f"A deeper cut leaves {more} of the work to the client") for more in ("more", "less")] == [1, 1]


def test_the_course_of_an_attack_on_the_training_is_drawn_to_its_end(tmp_path: Path) -> None:
    course = [
        {"epoch": epoch, "step": 40 * epoch, "scores": [score("inputs", "ssim", 0.05 * epoch, 0.22, 1.0, True)]}
        for epoch in (2, 5)
    ]
    save(tmp_path, made_record("unsplit", 1, 1, 0.8, course=course))
    text = page_of(tmp_path).text
    assert "What an attack on the training had got by then" in text
    for place, value in ((80, "0.1"), (200, "0.25"), (400, "0.844")):
        assert f"SSIM, {place}: {value}" in text
        assert f"blind, {place}: 0.22" in text
    save(tmp_path / "other", made_record("unsplit", 1, 1, 0.8))
    assert "had got by then" not in page_of(tmp_path / "other").text


def test_a_cell_that_ran_without_a_verdict_is_not_said_to_be_missing(tmp_path: Path) -> None:
    save(tmp_path, made_record("unsplit", 1, 1, 0.8))
    ruined = made_record("unsplit", 3, 1, 0.8, verdict="not applicable", reason="no score decides")
    undecided = [score("backdoor", "attack_success", 0.1, 0.1, None, False)]
    save(tmp_path, ruined | {"scores": undecided})
    (panel,) = panels(findings(read_run(tmp_path)), read_run(tmp_path))
    assert {tile.status for series in panel.series for tile in series.tiles} == {"", "no verdict"}
