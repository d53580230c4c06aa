"""Isolation shown once: a cell that ends in the same bits in a process of its own speaks for the others of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cutlayer.record import DONE, FAILED, Record
from cutlayer.scene.scene import Scene
from cutlayer.threat import Seat

Kind = tuple[str, str]
"""An attack and a protocol."""


@dataclass(frozen=True)
class Pair:
    """Numbers of two cells that differ in nothing but where the attack runs: in a process of its own, or beside."""

    isolated: int
    beside: int


def kind(scene: Scene) -> Kind:
    """What a cell can speak for."""
    return scene.experiment.attack, scene.experiment.protocol


def spelled_out(cells: Sequence[Scene]) -> list[Scene]:
    """``cells`` with ``isolate=once`` made yes or no: the first one of a kind runs both ways, the others beside."""
    found: list[Scene] = []
    shown = set[Kind]()
    for scene in cells:
        if scene.experiment.isolate != "once":
            found.append(scene)
            continue
        # A client that attacks holds the truth anyway.
        if scene.attack.threat.seat is Seat.SERVER and kind(scene) not in shown:
            found.append(_where(scene, isolate=True))
        shown.add(kind(scene))
        found.append(_where(scene, isolate=False))
    return found


def pairs(cells: Sequence[Scene]) -> Mapping[Kind, Pair]:
    """The first pair of each kind that has one."""
    isolated = {_asked(scene): number for number, scene in enumerate(cells) if scene.isolated}
    found: dict[Kind, Pair] = {}
    for number, scene in enumerate(cells):
        twin = isolated.get(_asked(scene))
        if twin is not None and not scene.isolated:
            found.setdefault(kind(scene), Pair(twin, number))
    return found


def checked(record: Record, isolated: Record, beside: Record, name: str) -> Record:
    """``record`` of a cell that ran beside the truth, with what the pair of its kind says of it.

    ``name``: the folder of the isolated one. Where the two ended otherwise, the cell has failed; but for other devices
    than the CPU, where nobody promises the same bits.
    """
    if record.isolated is not False or {record.status, isolated.status, beside.status} != {DONE}:
        return record
    if isolated.outcome == beside.outcome:
        return record.model_copy(update={"verified_by": name})
    if record.experiment.get("device") != "cpu":
        return record
    reason = f"isolated, {name} ended otherwise than beside the truth: its guesses, or the network it left, differ"
    return record.model_copy(update={"status": FAILED, "verdict": FAILED, "reason": reason})


def _asked(scene: Scene) -> str:
    return scene.experiment.fingerprint(drop=("isolate",))


def _where(scene: Scene, isolate: bool) -> Scene:
    under = _where(scene.under, isolate) if scene.under else None
    return replace(scene, experiment=scene.experiment.model_copy(update={"isolate": isolate}), under=under)
