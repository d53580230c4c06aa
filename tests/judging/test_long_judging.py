"""Many inputs are judged for minutes: how far that is, is told; of few nothing is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from cutlayer.auditing.audit import run_cell
from cutlayer.exchange import pipeline
from cutlayer.judging import truth
from cutlayer.simulation import assembly, session
from tests.auditing.test_shelved import scene_of


@pytest.mark.parametrize("at_once", [8, 20])
def test_each_pass_over_many_inputs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    for module in (pipeline, truth, assembly, session):
        monkeypatch.setattr(module, "PREDICTED_AT_ONCE", at_once)
    told: list[tuple[int, int]] = []
    run_cell(scene_of("fgsm"), tmp_path, lambda what, *of: told.append(of) if what == "judging inputs" else None)
    if at_once == 20:
        assert not told, "of twenty targets all are judged at once"
    else:
        assert told[:4] == [(0, 20), (8, 20), (16, 20), (20, 20)]
        assert len(told) % 4 == 0
        assert len(told) > 8
