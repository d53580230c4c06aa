"""What the report shows of an evasion: inputs before and after, the change, predictions, the budget in words."""

import json
from pathlib import Path

from cutlayer.report.evidence import read_run
from cutlayer.report.finding import findings
from tests.report.made_run import made_pictures, made_record, save, score
from tests.report.test_page import page_of

PATTERNED = (("accuracy_drop", 0.5), ("pattern_drop", 0.36))


def test_adversarial_inputs_are_shown_with_the_change_and_both_predictions(tmp_path: Path) -> None:
    made = made_record("unsplit", 1, 1, 0.8)
    made["scores"] = [
        score("evasion", "accuracy_drop", 0.5, 0.02, 0.9, True),
        score("evasion", "random_signs_drop", 0.41, 0.02, None, False),
        score("evasion", "natural_accuracy", 0.9, 0.95, None, False),
        score("evasion", "loss_correlation", -0.4, -0.3, None, False),
    ]
    made["budgets"] = {"": [0.06, 0.05]}
    made["experiment"] |= {"budget": 0.3, "budget_unit": "normalized"}
    save(tmp_path, made, made_pictures())
    (path,) = tmp_path.glob("cells/*/record.json")
    record = json.loads(path.read_text())
    taken = {"before": ["moth"] * 10, "after": ["narwhal"] * 9 + ["moth"], "scale": 8.25}
    record["pictures"] |= {"kind": "evasion", **taken}
    path.write_text(json.dumps(record))
    page = page_of(tmp_path)
    assert "Top to bottom: natural, adversarial, the change times 8.25 on gray." in page.text
    assert len(page.images()) == 30
    assert "Budget: 0.3 in normalized units, that is 15.3/255 and 12.8/255 of the pixel range by channel." in page.text
    assert (
        "accuracy drop 50.0 % where random signs of the same budget cause 2.0 %, here or without the attack"
        in page.text
    )
    assert "Random signs of the budget alone cost this deployment 41.0 %, one trained without the attack" in page.text
    assert "accuracies on natural targets are 90.0 % and 95.0 %" in page.text
    assert (page.text.count("narwhal"), page.text.count("rebuilt")) == (9, 0)
    # What is shown without a best value is to be read, not to be beaten.
    assert "loss correlation" in page.text
    assert "does not beat a blind guess" not in page.text
    record["scores"][0] |= {"value": 0.01, "advantage": -0.01, "verdict": "no leak"}
    record["experiment"]["budget_unit"] = "pixel"
    path.write_text(json.dumps(record))
    text = page_of(tmp_path).text
    assert (
        "accuracy drop 1.0 %, no more than random signs of the same budget cause, here or without the attack (2.0 %)"
        in text
    )
    assert "Budget: 15.3/255 and 12.8/255 of the pixel range." in text


def test_what_fixed_patterns_take_is_told_with_what_random_signs_take(tmp_path: Path) -> None:
    made = made_record("unsplit", 1, 1, 0.8)
    drop, pattern = (score("evasion", name, v, 0.02, 0.9, name == "accuracy_drop") for name, v in PATTERNED)
    save(tmp_path, made | {"scores": [drop, pattern]}, made_pictures())
    told = "ccuracy drop 50.0 % where random signs of the same budget cause 2.0 %, here or without the attack, and the "
    told += "best of a few fixed patterns 36.0 % (advantage 0.54)"
    text = page_of(tmp_path).text
    assert text.count(told) == 2, "in the overview and in the story of the cut"
    assert "Of adversarial inputs it counts from what the best of a few fixed patterns takes on" in text


def test_what_tampering_has_opened_is_judged_beside_what_its_inputs_add(tmp_path: Path) -> None:
    made = made_record("unsplit", 1, 1, 0.8)
    made["scores"] = [
        score("evasion", "accuracy_drop", 0.41, 0.408, 0.513, True),
        score("evasion", "random_signs_drop", 0.408, 0.058, 0.513, True),
        *(score("evasion", "accuracy_drop", 0.3, 0.1, 0.2, False) | {"guess": g} for g in ("16/255", "8/255")),
    ]
    save(tmp_path, made, made_pictures())
    (finding,) = findings(read_run(tmp_path))
    assert [(row.metric, row.verdict) for row in finding.deciding] == [
        ("accuracy_drop", "no leak"),
        ("random_signs_drop", "leak"),
    ]
    assert [row.guess for row in finding.rows] == ["", "8/255", "16/255", "random signs"]
    text = page_of(tmp_path).text
    assert "random signs drop 40.8 % where without the attack they cause 5.8 % (advantage 0.76)" in text
    assert (
        "Accuracy drop 41.0 % where random signs of the same budget cause 40.8 %, "
        "here or without the attack (advantage 0.01)" in text
    )
