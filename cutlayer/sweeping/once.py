"""Isolation shown once: a cell that ends in the same bits in a process of its own speaks for the others of its kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cutlayer.auditing.outline import fingerprint
from cutlayer.record import DONE, FAILED, Record
from cutlayer.scene.scene import Scene
from cutlayer.threat import Seat

Kind = tuple[str, str, str]
"""An attack, the one that it is under, a protocol."""


@dataclass(frozen=True)
class Pair:
    """Numbers of two cells that differ in nothing but where the attack runs: in a process of its own, or beside."""

    isolated: int
    beside: int


@dataclass(frozen=True)
class Proof:
    """What a pair has ended with."""

    isolated: Record
    beside: Record
    name: str
    """The folder of the isolated one."""

    def is_about(self, record: Record) -> bool:
        """Whether all three have ended, and the same code has run on a machine of the same make."""
        three = (record, self.isolated, self.beside)
        made = [({key: one.code.get(key) for key in ("commit", "dirty")}, one.environment) for one in three]
        ended = all(one.status == DONE for one in three) and all((self.isolated.outcome, self.beside.outcome))
        return ended and made[1:] == made[:-1]

    @property
    def holds(self) -> bool:
        """Whether the two have ended in the same bits."""
        return self.isolated.outcome == self.beside.outcome


def kind(scene: Scene) -> Kind:
    """What a cell can speak for."""
    return scene.experiment.attack, scene.experiment.under, scene.experiment.protocol


def spelled_out(cells: Sequence[Scene]) -> list[Scene]:
    """``cells``, each once, with ``isolate=once`` made yes or no: the first one of a kind runs both ways."""
    found: dict[str, Scene] = {}
    shown = set[Kind]()
    for scene in cells:
        ways = [scene]
        if scene.experiment.isolate == "once":
            first = kind(scene) not in shown and _can_be_alone(scene)
            shown.add(kind(scene))
            ways = [_where(scene, isolate) for isolate in ((True, False) if first else (False,))]
        for one in ways:
            found.setdefault(fingerprint(one), one)
    return list(found.values())


def pairs(cells: Sequence[Scene]) -> Mapping[Kind, Sequence[Pair]]:
    """All pairs of each kind that has any."""
    alone = {_asked(s): n for n, s in enumerate(cells) if s.experiment.isolate and _can_be_alone(s)}
    found = defaultdict[Kind, list[Pair]](list)
    for number, scene in enumerate(cells):
        if not scene.experiment.isolate and _asked(scene) in alone:
            found[kind(scene)].append(Pair(alone[_asked(scene)], number))
    return found


def checked(record: Record, proofs: Iterable[Proof]) -> Record:
    """``record`` of a cell that ran beside the truth, with what the pairs of its kind say of it.

    Where its own isolated twin has ended otherwise it has failed, but for other devices than the CPU, where nobody
    promises the same bits. Where any pair differs the others are verified by none.
    """
    record = record.changed(verified_by="")
    if record.isolated is not False:
        return record
    about = [proof for proof in proofs if proof.is_about(record)]
    if about and all(proof.holds for proof in about):
        return record.changed(verified_by=about[0].name)
    own = [proof for proof in about if proof.beside.fingerprint == record.fingerprint and not proof.holds]
    if not own or record.experiment.get("device") != "cpu":
        return record
    reason = f"isolated, as {own[0].name}, it ended otherwise: its guesses, or the network that it left, differ"
    return record.ended(FAILED, reason)


def _can_be_alone(scene: Scene) -> bool:
    """A client that attacks holds the truth anyway."""
    return all(one.attack.threat.seat is Seat.SERVER for one in scene.attackers)


def _asked(scene: Scene) -> str:
    return scene.experiment.fingerprint(drop=("isolate",))


def _where(scene: Scene, isolate: bool) -> Scene:
    under = _where(scene.under, isolate) if scene.under else None
    return replace(scene, experiment=scene.experiment.model_copy(update={"isolate": isolate}), under=under)
