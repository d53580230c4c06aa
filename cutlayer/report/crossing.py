"""What the deployments of a run send over the wire, and how long that takes on links that readers know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cutlayer.link import NAMED
from cutlayer.record import Record, Traffic


@dataclass(frozen=True)
class Crossing:
    """One deployment's traffic."""

    protocol: str
    told: str
    """Dataset, model, cut and defenses."""
    kinds: tuple[tuple[str, Traffic], ...]
    """Each kind of message, and the sum of all of them last where there are several."""
    links: tuple[tuple[str, float], ...]
    """Seconds on each link."""


def crossings(records: Iterable[Record]) -> list[Crossing]:
    """The distinct deployments among ``records`` that say what they sent."""
    found = {}
    for record in records:
        if record.traffic:
            cell = record.cell
            told = ", ".join([cell.dataset, cell.model, f"cut {cell.cut}", *cell.defenses])
            links = dict.fromkeys([*NAMED, *([record.link] if record.link else [])])
            seconds = tuple((link, record.on(link).link_seconds or 0.0) for link in links)
            found[cell.protocol, told, record.model_dump_json(include={"traffic"})] = Crossing(
                cell.protocol, told, _with_sum(record.traffic), seconds
            )
    return list(found.values())


def _with_sum(traffic: dict[str, Traffic]) -> tuple[tuple[str, Traffic], ...]:
    kinds = list(traffic.items())
    if len(kinds) > 1:
        fields = ("round_trips", "bytes_up", "bytes_down")
        kinds.append(("all", Traffic(**{f: sum(getattr(kind, f) for kind in traffic.values()) for f in fields})))
    return tuple(kinds)
