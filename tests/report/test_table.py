"""The terminal table: the deciding numbers in 80 columns."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

from cutlayer.record import Record
from cutlayer.report.evidence import read_run
from cutlayer.report.table import summary_tables
from cutlayer.report.wording import DASH, number
from tests.report.made_run import made_record, made_run, score


def read(record: dict[str, Any]) -> Record:
    return Record.model_validate(record)


def printed(records: Iterable[Record], width: int = 80) -> str:
    console = Console(width=width, record=True, file=io.StringIO(), color_system=None)
    console.print(*summary_tables(records))
    return console.export_text()


def test_the_table_fits_80_columns_and_holds_the_numbers(tmp_path: Path) -> None:
    made_run(tmp_path, seeds=(1, 2, 3))
    text = printed(item.record for item in read_run(tmp_path))
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    for part in (
        "label_inference",
        "SSIM",
        "0.735",
        f"0.704{DASH}0.766",
        "0.220",
        "partial leak",
        "failed",
        "n/a",
        "3:10",
    ):
        assert part in text
    assert "PSNR" not in text
    assert "psnr" in {score.metric for item in read_run(tmp_path) for score in item.record.scores}


def test_protocols_are_told_apart_and_what_failed_behind_which_defense() -> None:
    records = [made_record("unsplit", 1, 1, 0.5) for _ in range(3)]
    for record, protocol in zip(records, ("vanilla", "label_only", "label_only"), strict=True):
        record["cell"]["protocol"] = protocol
    records[2] |= {"status": "failed", "reason": "it is a test"}
    records[2]["cell"]["defenses"] = ["half_precision"]
    lines = [line.rstrip() for line in printed(map(read, records)).splitlines()]
    first, second = (lines.index(f"digits, unsplit_mnist, {name}") for name in ("label_only", "vanilla"))
    (failed,) = (number for number, line in enumerate(lines) if line.endswith("failed"))
    assert first < failed < second
    assert "unsplit against half_precision" in " ".join(lines[failed : failed + 2])
    assert not [line for line in printed([read(records[0])]).splitlines() if "vanilla" in line]


def test_the_table_shows_markup_as_text() -> None:
    record = made_record("unsplit", 1, 1, 0.5)
    record["cell"]["attack"] = "[red]x[/]"
    assert "[red]x[/]" in printed([read(record)])


def test_a_cell_where_nothing_decides_is_shown_all_the_same() -> None:
    record = made_record("unsplit", 1, 1, 0.5)
    record["scores"] = [one | {"decides": False, "verdict": None} for one in record["scores"]]
    assert "PSNR" in printed([read(record)])


def test_seeds_where_nothing_can_be_decided_are_counted() -> None:
    records = [made_record("unsplit", 1, seed, 0.5) for seed in (1, 2, 3)]
    records[1]["scores"] = [one | {"decides": False, "verdict": None} for one in records[1]["scores"]]
    text = printed(map(read, records))
    assert "1 undecided" in text
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())


def test_a_link_adds_a_column_that_still_fits(tmp_path: Path) -> None:
    traffic = {"train": {"round_trips": 1000, "bytes_up": 5_890_000, "bytes_down": 5_880_000}}
    records = [read(made_record("unsplit", cut, 1, 0.5, traffic=traffic)).on("50Mbit/10Mbit/15ms") for cut in (1, 3)]
    text = printed(records)
    assert "on 50Mbit/10Mbit/15ms" in text
    assert text.count("36 s") == 4
    assert "on " not in printed([read(made_record("unsplit", 1, 1, 0.5, traffic=traffic))])


def test_seeds_of_which_one_was_run_with_a_link_have_its_time() -> None:
    traffic = {"train": {"round_trips": 1000, "bytes_up": 5_890_000, "bytes_down": 5_880_000}}
    first, second = (read(made_record("unsplit", 1, seed, 0.5, traffic=traffic)) for seed in (1, 2))
    assert printed([first, second.on("50Mbit/10Mbit/15ms")]).count("36 s") == 2


def test_what_rounds_to_zero_has_no_sign() -> None:
    shown = [number(-0.0001, "accuracy_drop"), number(-0.0), number(-0.1, "accuracy_drop"), number(-0.01, "psnr")]
    assert shown == ["0.0 %", "0.000", "\u221210.0 %", "0.0 dB"]


def test_what_an_attack_on_the_training_has_left_stands_beside_its_success() -> None:
    record = made_record("unsplit", 1, 1, 0.5)
    success = {"goal": "backdoor", "metric": "attack_success", "value": 0.9, "blind": 0.1, "best": 1.0}
    left = {"goal": "backdoor", "metric": "clean_accuracy", "value": 0.42, "blind": 0.97}
    other = {"goal": "backdoor", "metric": "recognition_rate", "value": 0.5}
    record["scores"] = [success | {"decides": True, "verdict": "leak"}, left, other]
    record["threat"]["tampers"] = True
    lines = printed([read(record)]).splitlines()
    (own,) = (line for line in lines if "clean accuracy" in line)
    assert "42.0 %" in own
    assert "97.0 %" in own
    assert not any("recognition" in line for line in lines)
    assert all(len(line.rstrip()) <= 80 for line in lines)
    record["threat"]["tampers"] = False
    assert "clean accuracy" not in printed([read(record)])


def test_what_noise_in_a_triggers_place_does_stands_beside_the_triggers_success() -> None:
    record = made_record("unsplit", 1, 1, 0.5)
    record["threat"]["tampers"] = True
    record["scores"] = [
        score("backdoor", "attack_success", 1.0, 0.044, 1.0, True),
        score("backdoor", "unplanted_success", 0.997, 0.002, None, False),
        score("backdoor", "unplanted_success", 0.5, 0.003, None, False) | {"guess": "second"},
    ]
    lines = printed([read(record)]).splitlines()
    (own,) = (line for line in lines if "unplanted success" in line)
    assert "99.7 %" in own
    assert "0.2 %" in own
    assert all(len(line.rstrip()) <= 80 for line in lines)


def test_what_adversarial_inputs_take_is_shown_where_only_the_noise_decides() -> None:
    record = made_record("unsplit", 1, 1, 0.5)
    record["threat"]["tampers"] = True
    record["scores"] = [
        score("evasion", "accuracy_drop", 0.4, 0.373, None, False),
        score("evasion", "random_signs_drop", 0.373, 0.104, 0.58, True) | {"verdict": "leak"},
        score("evasion", "pattern_drop", 0.36, 0.35, None, False),
        score("evasion", "accuracy_drop", 0.2, 0.1, None, False) | {"guess": "8/255"},
        score("evasion", "slope_similarity", 0.2, 0.1, None, False),
    ]
    lines = printed([read(record)]).splitlines()
    (own,) = (line for line in lines if "accuracy drop" in line)
    assert "40.0 %" in own
    assert any("pattern drop" in line and "36.0 %" in line for line in lines)
    assert not any("slope" in line for line in lines)


def test_what_the_numbers_rest_on_stands_below_them() -> None:
    records = [made_record("unsplit", 1, seed, 0.5) for seed in (1, 2)]
    for record, utility, fraction in zip(records, (0.91, 0.87), (0.5, 0.05), strict=True):
        record["utility"] = utility
        record["attack"]["fraction"] = fraction
    lines = [line.strip() for line in printed(map(read, records)).splitlines() if line.strip()]
    assert lines[-2:] == ["test accuracy of what was attacked: 87.0 to 91.0 %", "of the published steps: unsplit 5.0 %"]
    for record in records:
        record["attack"]["fraction"] = 1.0
    assert "published steps" not in printed(map(read, records))
