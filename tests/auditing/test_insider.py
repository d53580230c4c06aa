"""Attacks at the clients' seat: what passes through their hands in every protocol, what they know by being there."""

from __future__ import annotations

from pathlib import Path

import pytest

from cutlayer.auditing.audit import inapplicable, run_cell
from cutlayer.record import NOT_APPLICABLE
from tests.cells import quiet
from tests.scenes import CUTS, made, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")

LURKING = """
from dataclasses import dataclass
from cutlayer.attack import Attack
from cutlayer.message import Kind
from cutlayer.threat import Goal, Seat, ThreatModel
@dataclass
class Lurker(Attack):
    paper = plain = "A test."
    watches = frozenset({Kind.PREDICT})
    @property
    def threat(self):
        return ThreatModel(Seat.CLIENT, frozenset({Goal.LABELS}), frozenset())
    def begin(self, view): pass
    def observe(self, message): pass
    def infer(self): return []
"""


@pytest.mark.parametrize("protocol", CUTS)
def test_a_malicious_client_stands_around_its_training_in_every_protocol(protocol: str, tmp_path: Path) -> None:
    values = {"protocol": protocol, "cut": CUTS[protocol], "attack": "insider", "clients": 2, "when": "after"}
    plain, meddled = (
        run_cell(scene_of(**values, options={"insider": {"factor": factor}}), tmp_path / str(factor), quiet).record
        for factor in (1.0, 3.0)
    )
    # Two epochs over 22 rows in batches of 8.
    assert plain.attack.notes["messages"] == 6 * (2 if protocol == "u_shaped" else 1)
    assert plain.attack.notes["predictions"] == 0
    assert plain.attack.notes["name"] == f"client-{scene_of(**values).malicious[0]}"
    assert {*plain.threat.used} - {"labels"} == {"own_part", "own_party", "schedule"}
    assert [epoch.loss for epoch in plain.training] != [epoch.loss for epoch in meddled.training]


def test_where_a_client_sees_nothing_the_attack_does_not_apply(tmp_path: Path) -> None:
    (tmp_path / "attacks").mkdir()
    (tmp_path / "attacks" / "lurker.py").write_text(LURKING)
    lurking = scene_of(protocol="vanilla", cut="1", attack="lurker", plugins=tmp_path, model="dense")
    assert inapplicable(lurking).startswith("a client sees its own training steps alone")
    early = scene_of(protocol="vanilla", cut="1", attack="insider", when="before")
    assert inapplicable(early)
    assert run_cell(early, tmp_path / "run", quiet).record.verdict == NOT_APPLICABLE
