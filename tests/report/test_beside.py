"""What stands beside a value, where it is no blind guess; and which blind guess is pictured."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from cutlayer.attack import Guess
from cutlayer.judging.judge import judge
from cutlayer.methods.perturbation import PROBED, probe
from cutlayer.record import Score, Thresholds
from cutlayer.report.evidence import read_run
from cutlayer.report.finding import Finding, findings
from cutlayer.report.wording import beside
from cutlayer.threat import Goal
from tests.judging import test_backdoor, test_evasion
from tests.report.made_run import made_pictures, made_record, save, score
from tests.report.test_page import page_of


def planted() -> Iterable[Score]:
    """What the judge says of a trigger."""
    truth = test_backdoor.held(test_backdoor.obeys(1), test_backdoor.obeys(0.1))
    return judge(Guess(Goal.BACKDOOR, test_backdoor.corner()), truth, Thresholds()).scores


def evaded() -> Iterable[Score]:
    """What it says of adversarial inputs that a proxy and a shadow were at work on."""
    inputs, network = test_evasion.INPUTS, test_evasion.NETWORK
    smashed, slopes = probe(network[:1], inputs[:PROBED])
    guess = test_evasion.guess_of(inputs, smashed=smashed, slopes=slopes, predicted=test_evasion.LABELS)
    return judge(guess, test_evasion.truth_of(), Thresholds()).scores


def only(run: Path) -> Finding:
    (finding,) = findings(read_run(run))
    return finding


def test_every_score_beside_something_else_than_a_blind_guess_says_what(tmp_path: Path) -> None:
    record = made_record("unsplit", 1, 1, 0.5)
    record["scores"] = [one.model_dump() for one in (*planted(), *evaded())]
    save(tmp_path, record)
    told = {row.metric: beside(row) for row in only(tmp_path).rows}
    assert {metric for metric, caption in told.items() if not caption} == {"proxy_accuracy", "proxy_agreement"}
    text = page_of(tmp_path).text
    for metric in ("clean_accuracy", "natural_accuracy", "exchanged_drop", "adversarial_accuracy"):
        assert told[metric] in text
    assert text.count("the value, too, is of the one trained without the attack") == 1


def test_a_blind_guess_needs_no_caption_and_what_is_none_is_not_called_so(tmp_path: Path) -> None:
    record = made_record("unsplit", 1, 1, -0.1)
    save(tmp_path / "blind", record)
    assert not any(beside(row) for row in only(tmp_path / "blind").rows)
    assert "does not beat a blind guess" in page_of(tmp_path / "blind").text
    record["scores"] = [score("evasion", "accuracy_drop", 0.1, 0.2, 0.9, True)]
    save(tmp_path / "signs", record)
    text = page_of(tmp_path / "signs").text
    assert "does not beat what stands beside it" in text
    assert "does not beat a blind guess" not in text


@pytest.mark.parametrize(
    ("blind", "said"),
    [
        ("mean", "the blind guess, which is the mean of other data"),
        ("constant", "the blind guess, which is the best constant"),
        ("", "the mean of other data, a blind guess"),
    ],
)
def test_the_last_row_of_pictures_is_called_what_it_is(tmp_path: Path, blind: str, said: str) -> None:
    """Early records hold the mean image, be it the better guess or not, and do not say so."""
    save(tmp_path, made_record("unsplit", 1, 1, 0.5), made_pictures(3))
    (path,) = tmp_path.glob("cells/*/record.json")
    record = json.loads(path.read_text())
    if blind:
        record["pictures"]["blind"] = blind
    path.write_text(json.dumps(record))
    text = page_of(tmp_path).text
    assert f"The last row is {said}." in text
    assert f"(a negative turned), {said}; their SSIM." in text
