"""What attacks of one's own are held to: at the clients' seat, in what they declare, in what they guess."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cutlayer.attack import Setting
from cutlayer.auditing.audit import inapplicable, run_cell
from cutlayer.commands.explain import explanation
from cutlayer.experiment import ExperimentError
from cutlayer.judging.judge import GuessError
from cutlayer.record import NOT_APPLICABLE
from cutlayer.registry import PluginError
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


MIXED = """
import torch
from dataclasses import dataclass
from cutlayer.attack import Attack, Guess, TamperingAttack
from cutlayer.threat import ThreatModel
@dataclass
class Mixed(Attack):
    paper = plain = "A test."
    goal: str = "labels"
    tampers: bool = False
    knows: str = ""
    @property
    def threat(self):
        return ThreatModel("server", {"inputs"}, frozenset(filter(None, [self.knows])), tampers=self.tampers)
    def begin(self, view): self.view = view
    def observe(self, message): pass
    def infer(self):
        rows = tuple(self.view.targets)
        weights = torch.rand(len(rows), 1, 8, 8, requires_grad=True)
        return [Guess(self.goal, {"inputs": weights * 1, "labels": torch.zeros(len(rows), dtype=torch.int64)}, rows)]
"""


@pytest.fixture
def mixed(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "plugins" / "attacks").mkdir(parents=True)
    (tmp_path / "plugins" / "attacks" / "mixed.py").write_text(MIXED)
    return {"protocol": "vanilla", "cut": "1", "attack": "mixed", "plugins": tmp_path / "plugins", "model": "dense"}


def test_only_a_goal_that_was_declared_is_judged(mixed: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(GuessError, match="a guess at labels: the threat model's goals are inputs"):
        run_cell(scene_of(**mixed, isolate=False), tmp_path / "run", quiet)


@pytest.mark.parametrize("isolate", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_texts_for_seat_and_goal_and_guesses_on_a_graph_are_taken(
    mixed: dict[str, Any], isolate: bool, tmp_path: Path
) -> None:
    scene = scene_of(**mixed, isolate=isolate, options={"mixed": {"goal": "inputs"}})
    assert scene_of(**mixed, isolate=True).isolated
    assert run_cell(scene, tmp_path / "run", quiet).record.verdict


def test_a_threat_model_that_says_otherwise_than_the_class_is_refused(mixed: dict[str, Any]) -> None:
    with pytest.raises(
        ExperimentError, match="attack 'mixed' is no TamperingAttack, its threat model has tampers=True"
    ):
        scene_of(**mixed, options={"mixed": {"tampers": True}})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    @property\n", "", "attack 'mixed': threat is of type method, no ThreatModel; write @property above it"),
        (
            '{"inputs"}',
            '{"input"}',
            "attack 'mixed': its threat model cannot be told: ValueError: 'input' is not a valid",
        ),
        ("[self.knows]", "[Knows.ALL]", "attack 'mixed': its threat model cannot be told: NameError: name 'Knows'"),
        ("return ThreatModel", "return 7 or ThreatModel", "attack 'mixed': threat is of type int, no ThreatModel"),
    ],
)
def test_a_threat_model_that_cannot_be_told_is_one_line(mixed: dict[str, Any], old: str, new: str, said: str) -> None:
    file = mixed["plugins"] / "attacks" / "mixed.py"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(ExperimentError, match=re.escape(said)):
        scene_of(**mixed)
    with pytest.raises(PluginError, match=re.escape(said)):
        explanation("mixed", mixed["plugins"])


@pytest.mark.parametrize(
    ("deciding", "said"),
    [
        ("tuple('abcd')", "attack 'mixed': 4 names of guesses are to decide, at most 3 may"),
        ("'mine'", "attack 'mixed': deciding = 'mine' is no tuple of names of guesses"),
    ],
)
def test_few_names_of_guesses_may_decide(mixed: dict[str, Any], deciding: str, said: str) -> None:
    file = mixed["plugins"] / "attacks" / "mixed.py"
    file.write_text(file.read_text().replace("    @property", f"    deciding = {deciding}\n    @property"))
    with pytest.raises(ExperimentError, match=said):
        scene_of(**mixed)


def test_the_live_party_is_no_ones_who_only_watches(mixed: dict[str, Any]) -> None:
    """It could be changed through it, and the guess would be judged on what the attack has made of it."""
    with pytest.raises(ExperimentError, match="attack 'mixed' does not tamper and declares own_party, the live one"):
        scene_of(**mixed, options={"mixed": {"knows": "own_party"}})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"target_kind": "training"}, "target_kind = 'training': one of predict, train"),
        ({"when": "later"}, "when = 'later': one of after, before"),
        ({"targets": -3}, "targets = -3: it is at least 0"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Setting(**values)
