"""What an adversary had, in words that do not make it less than it was."""

from __future__ import annotations

from pathlib import Path

import pytest

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
