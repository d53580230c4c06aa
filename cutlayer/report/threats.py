"""The threat models of a page: who attacked, knowing what, with which options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cutlayer.record import Record
from cutlayer.report import wording
from cutlayer.report.finding import Finding, as_written, untrained


@dataclass(frozen=True)
class AttackFindings:
    """One attack in one protocol, and all its findings."""

    members: tuple[Finding, ...]

    @property
    def record(self) -> Record:
        """Stands for all in what they share."""
        return self.members[0].first

    @property
    def untrained(self) -> str:
        """Whether the network was attacked before its training, in a clause; empty where it was not."""
        early = [untrained(member.first) for member in self.members]
        where = "" if all(early) else " in the cells that are named so"
        return f"attacked before training{where}, with the weights that it begins with" if any(early) else ""

    @property
    def ran(self) -> str:
        """Where each of its cells ran, and what that proves."""
        told = dict.fromkeys(wording.isolation(cell.record) for member in self.members for cell in member.cells)
        return " ".join(told)

    @property
    def options(self) -> dict[str, str]:
        """By name, every value that any of them has."""
        made: dict[str, dict[str, None]] = {}
        for member in self.members:
            for name, value in member.first.attack.options.items():
                made.setdefault(name, {})[as_written(value)] = None
        return {name: " or ".join(values) for name, values in made.items()}

    @property
    def notes(self) -> dict[str, str]:
        """What it noted on its way, numbers and words; where that differs, of which finding it is."""
        made: dict[str, dict[str, list[str]]] = {}
        for member in self.members:
            for name, value in _of_one_line(member.first.attack.notes).items():
                place = f"cut {member.cut}" + (f", {member.variant}" if member.variant else "")
                made.setdefault(name, {}).setdefault(str(value), []).append(place)
        return {
            name.replace("_", " "): "; ".join(
                f"{value} ({wording.join(dict.fromkeys(places))})" if len(values) > 1 else value
                for value, places in values.items()
            )
            for name, values in made.items()
        }


def adversaries(found: Sequence[Finding]) -> list[AttackFindings]:
    """One for each attack in each protocol, in order of appearance."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in found:
        cell, threat = finding.first.cell, finding.first.threat.model_dump_json(exclude={"used"})
        groups.setdefault((cell.attack, cell.protocol, threat), []).append(finding)
    return [AttackFindings(tuple(members)) for members in groups.values()]


def _of_one_line(notes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in notes.items() if isinstance(value, int | float | str)}
