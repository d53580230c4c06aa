"""What defenses cost and save: each setting beside no defense, by the strongest attack on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cutlayer.report.evidence import read_run
from cutlayer.report.finding import findings
from cutlayer.report.panel import panels
from cutlayer.report.tradeoff import Tradeoff, tradeoff
from tests.report.made_run import made_record, save, score
from tests.report.test_page import page_of


def leave(run: Path, cut: int, strength: float, utility: float, sigma: float | None = None, **changes: Any) -> None:
    record = made_record("unsplit", cut, 1, strength, **changes) | {"utility": utility}
    if sigma is not None:
        record["cell"]["defenses"] = ["gaussian_noise"]
        record["experiment"]["options"] |= {"gaussian_noise": {"sigma": sigma}}
    save(run, record)


def found(run: Path) -> Tradeoff | None:
    (panel,) = panels(findings(read_run(run)), read_run(run))
    return tradeoff(panel)


def test_each_defense_is_compared_with_none_in_order_of_its_strength(tmp_path: Path) -> None:
    for sigma, strength, utility in ((10, 0.0, 0.5), (None, 0.6, 0.95), (2, 0.2, 0.9), (0.5, 0.6, 0.955)):
        leave(tmp_path, 1, strength, utility, sigma)
    leave(tmp_path, 3, 0.3, 0.94)
    leave(tmp_path, 3, 0.15, 0.92, 2, bytes_per_sample=2304.0)
    part = found(tmp_path)
    assert part is not None
    names = ["no defense", "gaussian_noise sigma=0.5", "gaussian_noise sigma=2", "gaussian_noise sigma=10"]
    assert [under.defense for under in part.defended] == names
    both = "private inputs from {} to {} at {} and the other party's model from {} to {} at {}".format
    assert part.said() == [
        "gaussian_noise sigma=0.5: no verdict changes; accuracy lost: \u22120.5 points.",
        f"gaussian_noise sigma=2: {both(*['leak', 'partial leak', 'cuts 1 and 3'] * 2)}; "
        "accuracy lost: 2.0 to 5.0 points; 25 % to 100 % of the bytes.",
        f"gaussian_noise sigma=10: {both(*['leak', 'no leak', 'cut 1'] * 2)}; accuracy lost: 45.0 points.",
    ]
    (goal, chart), _ = part.charts()
    assert goal == "inputs"
    assert [[dot.name for dot in line.dots] for line in chart.lines] == [["1", "3"], ["1"], ["1", "3"], ["1"]]
    bare, strong = (chart.lines[number].dots[0] for number in (0, 3))
    assert strong.x < bare.x, "the accuracy falls"
    assert strong.y > bare.y, "less leaks: further down"
    page = page_of(tmp_path).text
    assert "without a defense the trained model is 94.5 % accurate" in page
    assert "test accuracy of the split model (gaussian_noise sigma=10)" in page
    assert "None of them was made for a defense" in page


def test_the_attack_that_gets_furthest_speaks_for_a_defense(tmp_path: Path) -> None:
    leave(tmp_path, 1, 0.1, 0.9)
    for sigma, weight, strength in ((1, 0.1, 0.3), (1, 1.0, 0.7)):
        leave(tmp_path, 1, strength, 0.9, sigma)
        path = sorted(tmp_path.glob("cells/*/record.json"))[-1]
        path.write_text(path.read_text().replace('"weight": 0.1', f'"weight": {weight}'))
    part = found(tmp_path)
    assert part is not None
    worst = part.defended[1].worst("inputs", "1")
    assert worst is not None
    assert worst[1].advantage is not None
    assert round(worst[1].advantage.mean, 3) == 0.7
    assert "from partial leak to leak at cut 1" in part.said()[0]


def test_other_attacks_are_not_compared(tmp_path: Path) -> None:
    """An attack that failed under the defense would make it look good."""
    leave(tmp_path, 1, 0.6, 0.9)
    leave(tmp_path, 3, 0.6, 0.9)
    leave(tmp_path, 1, 0.0, 0.9, 1)
    leave(tmp_path, 3, 0.0, 0.9, 1)
    path = sorted(tmp_path.glob("cells/*/record.json"))[-1]
    path.write_text(path.read_text().replace('"attack": "unsplit"', '"attack": "weaker"'))
    part = found(tmp_path)
    assert part is not None
    (line,) = part.said()
    assert "from leak to no leak at cut 1" in line
    assert "not compared at cut 3, where no attack has a result on both sides" in line
    leave(tmp_path, 3, 0.15, 0.9, 1)
    part = found(tmp_path)
    assert part is not None
    (line,) = part.said()
    assert "from leak to partial leak at cut 3" in line, "by the attack that both have a result of"
    assert "private inputs compared at cut 3 by unsplit alone, as others have a result on one side" in line


def test_where_nothing_is_compared_no_verdict_is_said_to_stay(tmp_path: Path) -> None:
    leave(tmp_path, 1, 0.6, 0.9)
    leave(tmp_path, 1, 0.0, 0.9, 1)
    path = sorted(tmp_path.glob("cells/*/record.json"))[-1]
    path.write_text(path.read_text().replace('"attack": "unsplit"', '"attack": "weaker"'))
    part = found(tmp_path)
    assert part is not None
    told = "not compared at cut 1, where no attack has a result on both sides"
    both = f"private inputs {told}; the other party's model {told}"
    assert part.said() == [f"gaussian_noise sigma=1: {both}; accuracy lost: 0.0 points."]


def test_what_helps_by_every_metric_is_seen_to_help(tmp_path: Path) -> None:
    """Though another metric speaks for what is left."""
    for sigma, likeness, error in ((None, 0.50, 0.79), (1, 0.18, 0.50)):
        leave(tmp_path, 1, likeness, 0.9, sigma)
        path = sorted(tmp_path.glob("cells/*/record.json"))[-1]
        record = json.loads(path.read_text())
        record["scores"][1] = score("inputs", "mse", 0.1 * (1 - error), 0.1, 0.0, True)
        path.write_text(json.dumps(record))
    part = found(tmp_path)
    assert part is not None
    gains = [row.advantage for under in part.defended for _, row in filter(None, [under.worst("inputs", "1")])]
    assert [round(gain.mean, 2) for gain in gains if gain] == [0.79, 0.50]


def test_where_nothing_was_learned_no_defense_is_said_to_be_free(tmp_path: Path) -> None:
    for usual in (0.896, 0.89, None):
        for sigma in (None, 1):
            leave(tmp_path, 1, 0.5, 0.9, sigma)
        for path in tmp_path.glob("cells/*/record.json"):
            path.write_text(json.dumps(json.loads(path.read_text()) | {"usual": usual}))
        part = found(tmp_path)
        assert part is not None
        told = "the trained model is 90.0 % accurate, hardly more than always naming one class (89.6 %): nothing was"
        assert (told in part.worthless()) == (told in page_of(tmp_path).text) == (usual == 0.896)


def test_without_another_setting_there_is_nothing_to_compare(tmp_path: Path) -> None:
    leave(tmp_path, 1, 0.6, 0.95, 0.5)
    assert found(tmp_path) is None
    leave(tmp_path, 1, 0.1, 0.9, 2)
    part = found(tmp_path)
    assert part is not None
    assert part.said() == [], "no undefended deployment was audited"
    assert "What the defenses cost" in page_of(tmp_path).text


def test_the_accuracy_of_attacked_trainings_is_no_cost_of_a_defense(tmp_path: Path) -> None:
    for sigma in (None, 1):
        leave(tmp_path, 1, 0.5, 0.9, sigma)
    for path in tmp_path.glob("cells/*/record.json"):
        path.write_text(path.read_text().replace('"tampers": false', '"tampers": true'))
    part = found(tmp_path)
    assert part is not None
    assert part.charts() == []
    assert part.said() == ["gaussian_noise sigma=1: no verdict changes."]
    assert part.defended[1].accuracy("1") == "90.0 % under attack"


def test_what_an_attack_is_given_past_the_defenses_is_said(tmp_path: Path) -> None:
    for sigma in (None, 2):
        leave(tmp_path, 1, 0.6, 0.9, sigma)
    part = found(tmp_path)
    assert part is not None
    assert not part.past()
    for path in tmp_path.glob("cells/*/record.json"):
        record = json.loads(path.read_text())
        record["threat"]["used"] = {"peer_gradients": 3, "labels": 1}
        path.write_text(json.dumps(record))
    text = page_of(tmp_path).text
    assert "unsplit was given the gradients of the other party's own weights past every defense, which guards" in text
