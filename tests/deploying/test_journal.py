"""A journal: what a party has received since its last checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from cutlayer.deploying import durable
from tests.deploying.test_durable import TURN, Pair
from tests.deployments import CUTS, made_here
from tests.scenes import made

__all__ = ["made", "made_here"]
pytestmark = pytest.mark.usefixtures("made", "made_here")


@pytest.mark.parametrize("protocol", CUTS)
def test_a_journal_that_has_grown_too_long_is_ended_by_a_checkpoint_that_is_not_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setattr(durable, "MAX_JOURNAL", 1)
    pair = Pair(tmp_path, protocol, checkpoint_every=100)
    for step in range(1, TURN.end + 1):
        pair.driver.drive(pair.wire, lambda: pair.wire.answered)
        shelves = (pair.driver.shelf, pair.answerer.shelf)
        assert [(shelf.marks()[-1].step, shelf.journaled) for shelf in shelves] == [(step, 0)] * 2
