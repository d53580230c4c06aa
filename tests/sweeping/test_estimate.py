"""Estimates: steps are scaled, a victim that cells share counts once, a crash is left to its cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from cutlayer.commands.display import duration
from cutlayer.seat.host import Act
from cutlayer.simulation.session import Session
from cutlayer.sweeping.estimate import attack_pace, estimates, training_seconds, watched_steps
from tests.cells import GREY, STOCHASTIC, attacks
from tests.scenes import made, scene_of

__all__ = ["made"]


def test_durations_are_rounded_for_people() -> None:
    assert [duration(s) for s in (0.2, 89, 91, 5399, 7200)] == ["1 s", "89 s", "2 min", "90 min", "2.0 h"]


@pytest.mark.usefixtures("made")
def test_estimates_count_a_shared_victim_once_and_survive_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins = attacks(tmp_path / "own", crash="raise RuntimeError", good=GREY, spied=GREY)
    values = {"plugins": plugins, "model": STOCHASTIC, "protocol": "vanilla", "isolate": False}
    cells = [
        scene_of(**values, attack=name, cut="1", seed=seed) for seed in (1, 2) for name in ("good", "spied", "crash")
    ]
    monkeypatch.setattr("cutlayer.sweeping.estimate.training_seconds", lambda scene, run, paces, whom: 1000.0)
    for module in ("auditing.audit", "sweeping.estimate"):
        monkeypatch.setattr(f"cutlayer.{module}.attends", lambda scene: False)
    found = estimates(cells, tmp_path)
    assert [seconds > 1000 for seconds in found] == [True, False, False] * 2
    assert [seconds > 0 for seconds in found] == [True, True, False] * 2


@pytest.mark.usefixtures("made")
def test_a_training_is_estimated_by_its_steps(tmp_path: Path) -> None:
    short, long = (
        training_seconds(scene_of(protocol="vanilla", cut="1", epochs=epochs), tmp_path, {}) for epochs in (2, 400)
    )
    assert long > 20 * short > 0
    assert training_seconds(scene_of(protocol="vanilla", cut="1", epochs=0), tmp_path, {}) == 0.0


@pytest.mark.usefixtures("made")
def test_a_training_under_attack_is_part_of_the_attack(tmp_path: Path) -> None:
    values = {"attack": "well_informed", "offers": ("aux_inputs", "aux_labels"), "protocol": "vanilla", "cut": "1"}
    short, long = (estimates([scene_of(**values, epochs=epochs)], tmp_path)[0] for epochs in (1, 2000))
    assert long > short + 10 * (short - 2) > short > 2


READY = """
import time
from dataclasses import dataclass
from cutlayer.attack import TamperingAttack
from cutlayer.threat import Goal, Seat, ThreatModel

@dataclass
class Slow(TamperingAttack):
    rounds: int = 1
    paper = plain = "It gets ready when the training begins."

    @property
    def threat(self):
        return ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), frozenset(), tampers=True)

    def begin(self, view):
        self.ready = False

    def work(self, targets, auxiliary):
        return self.rounds

    def around(self, request, honest):
        if not self.ready:
            time.sleep(0.05 * self.rounds)
        self.ready = True
        return honest(request)

    def infer(self):
        return []
"""


@pytest.mark.usefixtures("made")
def test_what_is_done_before_the_first_step_counts_and_is_scaled(tmp_path: Path) -> None:
    (tmp_path / "attacks").mkdir()
    (tmp_path / "attacks" / "slow.py").write_text(READY)
    values = {"attack": "slow", "plugins": tmp_path, "model": STOCHASTIC, "protocol": "vanilla", "cut": "1"}
    cells = [scene_of(**values, epochs=1, seed=n, options={"slow": {"rounds": n}}) for n in (1, 200)]
    _, long = estimates(cells, tmp_path)
    # Half of it: what other steps take is subtracted, and a busy machine has slow ones.
    assert long > 2 + 200 * 0.05 / 2


@pytest.mark.usefixtures("made")
def test_attended_steps_are_those_that_the_clients_take() -> None:
    common = {"attack": "well_informed", "offers": ("aux_inputs", "aux_labels"), "protocol": "vanilla", "cut": "1"}
    assert watched_steps(scene_of(**common)) == 2 * 6
    # Of 44 rows 8 are withheld and a half of the others is nobody's: 9 for each client, the last with those before it.
    scene = scene_of(**common, validation_rows=8, share=0.5, clients=2)
    assert watched_steps(scene) == 2 * 2
    assert watched_steps(scene_of(**common, when="before")) == 0


@pytest.mark.usefixtures("made")
def test_of_many_targets_a_part_is_rehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rehearsed and real work are in the proportion of what is rehearsed to all."""
    monkeypatch.setattr("cutlayer.sweeping.estimate._REHEARSED_TARGETS", 3)
    monkeypatch.setattr("cutlayer.attacks.unsplit.UnSplit.work", lambda self, targets, auxiliary: 10 * targets)
    few, many = (scene_of(attack="unsplit", protocol="vanilla", cut="1", targets=targets) for targets in (2, 12))
    assert (attack_pace(few).work, attack_pace(many).work, many.work) == (20, 30, 120)


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    "values",
    [
        {"clients": 4, "share": 0.8, "batch_size": 2},
        {"clients": 4, "aux": "share", "batch_size": 4},
        {"clients": 3, "batch_size": 8},
        {"clients": 4, "skew": 0.05, "batch_size": 8},
    ],
)
def test_a_whole_batch_is_rehearsed_whoever_shares_the_rows(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange, sizes = Session.exchange, list[int]()

    def noted(self: Session, act: Act, number: int, rows: Tensor, *rest: Any) -> None:
        sizes.append(len(rows))
        exchange(self, act, number, rows, *rest)

    monkeypatch.setattr(Session, "exchange", noted)
    attack = {"attack": "well_informed", "offers": ("aux_inputs", "aux_labels"), "protocol": "vanilla", "cut": "1"}
    assert attack_pace(scene_of(**attack, targets=1, **values)).watched > 0
    # Two trainings by four steps, then a target.
    assert sizes == [values["batch_size"]] * 8 + [1]
