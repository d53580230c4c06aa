"""What an adversary had, in words that do not make it less than it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from cutlayer.knowledge import Knows
from cutlayer.report import wording
from cutlayer.report.evidence import read_run
from tests.report.made_run import made_record, save


@pytest.mark.parametrize(
    ("aux", "said"),
    [
        ("share", "other inputs of the same kind"),
        ("test", "other inputs of the same kind"),
        ("svhn", "inputs of svhn"),
        ("train", "the inputs that the clients train on"),
        ("digits", "the inputs that the clients train on"),
    ],
)
def test_whose_inputs_an_adversary_has_is_told(tmp_path: Path, aux: str, said: str) -> None:
    made = made_record("unsplit", 1, 1, 0.5)
    made["cell"]["dataset"], made["experiment"]["aux"] = "digits", aux
    made["threat"] |= {"declared": ["aux_inputs"], "used": {"aux_inputs": 1}}
    save(tmp_path, made)
    (evidence,) = read_run(tmp_path)
    assert wording.data(evidence.record) == wording.knowledge(evidence.record) == said


@pytest.mark.parametrize("what", Knows)
def test_there_are_words_for_all_that_can_be_known(what: Knows) -> None:
    assert wording.knows(what) != what.replace("_", " ")


@pytest.mark.parametrize("what", [what for what in Knows if what.facts.outside and not what.facts.state])
def test_what_has_to_be_had_beside_the_wire_is_told(tmp_path: Path, what: Knows) -> None:
    made = made_record("unsplit", 1, 1, 0.5)
    made["threat"] |= {"declared": [what.value], "used": {what.value: 1}}
    save(tmp_path, made)
    (evidence,) = read_run(tmp_path)
    assert (wording.data(evidence.record) == "no data of its own") == (what is Knows.CLASS_PRIOR)
