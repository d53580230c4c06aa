"""Cells on made data and attacks of one's own, for the tests of audits and of what stands above them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cutlayer.auditing.audit import run_cell
from cutlayer.record import Record
from cutlayer.scene.scene import Scene
from cutlayer.sweeping.sweep import Sweep
from cutlayer.sweeping.watcher import Unwatched
from tests.scenes import PLUGINS, scene_of

STOCHASTIC = f"{PLUGINS / 'models' / 'stochastic.py'}:build"
# What it finds is no matter here: as few steps as there can be.
UNSPLIT = {
    "attack": "unsplit",
    "protocol": "vanilla",
    "cut": "0",
    "options": {"unsplit": {"rounds": 1, "input_steps": 2, "model_steps": 2, "restarts": 1}},
}
LABELS = {"attack": "label_inference", "cut": "1", "targets": 8, "target_batch": 4}
ATTACK = '''"""{plain}"""
from dataclasses import dataclass
import torch
from cutlayer.attack import Attack, Guess
from cutlayer.message import Kind
from cutlayer.threat import Goal, Knows, Seat, ThreatModel


@dataclass
class Mine(Attack):
    """{plain}"""

    paper = "none"
    plain = "{plain}"
    presets = {{}}
    steps_seen: int = 0

    @property
    def threat(self):
        return ThreatModel(Seat.SERVER, frozenset({{Goal.INPUTS}}), frozenset())

    def begin(self, view):
        self.view = view

    def observe(self, message):
        print("an attack prints what it likes")
        self.steps_seen += message.kind is Kind.TRAIN and "smashed" in message

    def infer(self):
        self.view.note("steps seen", self.steps_seen)
        {infer}
'''


def attacks(folder: Path, **bodies: str) -> Path:
    """A folder with attacks of one's own, by the last lines of each."""
    (folder / "attacks").mkdir(parents=True)
    for name, infer in bodies.items():
        (folder / "attacks" / f"{name}.py").write_text(ATTACK.format(plain=f"It is {name}.", infer=infer))
    return folder


GREY = 'return [Guess(Goal.INPUTS, {"inputs": torch.full((len(self.view.targets), 1, 8, 8), 0.5)}, self.view.targets)]'


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def cell(run: Path, **values: Any) -> Record:
    return run_cell(scene_of(**{"isolate": False, "epochs": 1, **values}), run, quiet).record


def sweep(scenes: list[Scene], run: Path) -> list[Record]:
    return [record for _, record in Sweep(scenes, run, "cutlayer audit").records(Unwatched())]


def metrics(record: Record) -> list[tuple[str, str, str]]:
    return [(score.goal, score.guess, score.metric) for score in record.scores]
