"""Records, wherever they lie, by the cell that they belong to and by how they were obtained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from cutlayer import registry
from cutlayer.attack import Attack
from cutlayer.experiment import Experiment, make
from cutlayer.option import nested
from cutlayer.record import DONE, Record, read_record
from cutlayer.reproduction.cell import SCALES, Cell, Scale

_DEFAULTS = make({}).model_dump(mode="json")
_ASIDE = {"name", "out", "seed", "data_dir", "plugins", "device", "threads", "carrier", "isolate", "offers", "link"} | {
    *("memory_format", "precision"),  # rounding, and other draws of the same kind; a precision is told
    *("steps", "leak", "partial", "options", "protocol", "model", "cut", "when"),  # shown elsewhere, or matched
}
# What an open value is settled to where nothing is out of the ordinary.
_EITHER: Mapping[str, Any] = defaultdict(lambda: None, {"aux": "test"})


@dataclass(frozen=True)
class Run:
    """A record and the folder it lies in, which may hold its pictures."""

    record: Record
    folder: Path


@dataclass(frozen=True)
class Group:
    """Runs of one cell that differ in their seeds alone."""

    differences: tuple[str, ...]
    """In what they differ from what was published, as ``key=value``."""
    runs: tuple[Run, ...]

    @property
    def records(self) -> list[Record]:
        """Of all seeds."""
        return [run.record for run in self.runs]

    @property
    def share(self) -> float:
        """The least share of the published steps that any of them took."""
        shares = [record.attack.fraction for record in self.records if record.attack.fraction is not None]
        return min(shares, default=1.0)

    @property
    def setting(self) -> tuple[str, ...]:
        """What all groups of one setting have alike, wherever they are on a page."""
        return (*self.differences, self._taken) if self._taken else self.differences

    @property
    def told(self) -> str:
        """The differences in words."""
        return ", ".join(filter(None, (*self.differences, self._rounded, self._taken))) or "as published"

    def differs_in(self, keys: Sequence[str]) -> bool:
        """Whether any of the differences begins with one of ``keys``."""
        return any(difference.startswith(tuple(keys)) for difference in self.differences)

    @property
    def _taken(self) -> str:
        return f"{self.share:.2g} of the steps" if self.differences and self.share < 1 else ""

    @property
    def _rounded(self) -> str:
        """How many were trained in bf16: which of them depends on the processor, and other seeds differ by more."""
        rounded, all_ = sum(record.experiment.get("precision") == "bf16" for record in self.records), len(self.runs)
        return "" if not rounded else "bf16" if rounded == all_ else f"bf16 in {rounded} of {all_} seeds"


@dataclass(frozen=True)
class Found:
    """All finished runs under some folders."""

    runs: Sequence[Run]
    unread: Sequence[str] = ()
    """A line about each record that was left out because it cannot be read."""

    @cached_property
    def _by_attack(self) -> Mapping[str, Sequence[Run]]:
        found = defaultdict[str, list[Run]](list)
        for run in self.runs:
            found[run.record.cell.attack].append(run)
        return found

    def groups(self, cells: Callable[[Scale], Sequence[Cell]], wanted: Mapping[str, Any]) -> list[Group]:
        """Runs of an exhibit's ``cells`` that have all the ``wanted`` values, those nearest to what was published last.

        Nearest: with all published steps; then by the number of differences, then by the share of the steps.

        Each seed counts once in a group, with its latest run.
        """
        found: dict[tuple[str, ...], dict[int, Run]] = {}
        placed: set[int] = set()
        # Of several the plainest: options that it does not name are told.
        as_printed = [cell for cell in _made(cells, "paper") if _has(cell, wanted)]
        published = min(as_printed, key=lambda cell: len(cell.values), default=None)
        # A run that is a cell at several scales is one of the largest of them.
        for scale in reversed(SCALES):
            for cell in (cell for cell in _made(cells, scale) if _has(cell, wanted)):
                asked = as_experiment(cell.values).model_dump(mode="json")
                for run in self._by_attack[asked["attack"]]:
                    if id(run) not in placed and _belongs(run.record, cell.values, asked):
                        placed.add(id(run))
                        seeds = found.setdefault(_differences(run.record, cell, published), {})
                        kept = seeds.get(run.record.cell.seed)
                        if kept is None or run.record.started >= kept.record.started:
                            seeds[run.record.cell.seed] = run
        groups = [Group(d, tuple(run for _, run in sorted(seeds.items()))) for d, seeds in found.items()]
        return sorted(groups, key=lambda g: (g.share >= 1, -len(g.differences), min(g.share, 1.0), g.differences))

    def seeds(self, cell: Cell) -> int:
        """How many have a record of ``cell``, all in one setting: in that which most of them have."""
        asked = as_experiment(cell.values).model_dump(mode="json")
        settings = defaultdict[tuple[str, ...], set[int]](set)
        for run in self._by_attack.get(asked["attack"], ()):
            if _belongs(run.record, cell.values, asked):
                settings[_differences(run.record, cell, cell)].add(run.record.cell.seed)
        return max(map(len, settings.values()), default=0)


def find(folders: Iterable[Path]) -> Found:
    """Every finished record anywhere under ``folders``; what cannot be read is left out."""
    runs, unread = [], []
    for folder in folders:
        for path in sorted(folder.glob("**/record.json")):
            try:
                record = read_record(path.parent)
            except ValueError as error:
                unread.append(f"{path}: left out, it cannot be read: {error}")
                continue
            if record and record.status == DONE:
                runs.append(Run(record, path.parent))
    return Found(runs, unread)


@cache
def _made(cells: Callable[[Scale], Sequence[Cell]], scale: Scale) -> Sequence[Cell]:
    """A page asks for the same grid at every place of a table."""
    return tuple(cells(scale))


def _belongs(record: Record, values: Iterable[str], asked: Mapping[str, Any]) -> bool:
    """Whether the record's experiment has what is ``asked`` at all the keys in ``values``."""
    for key in values:
        plugin, dot, option = key.partition(".")
        if not dot:
            if asked[key] != record.experiment.get(key):
                return False
            continue
        own = record.attack.options if plugin == record.cell.attack else record.experiment["options"].get(plugin, {})
        if own.get(option) != asked["options"][plugin][option]:
            return False
    return True


def as_experiment(values: Mapping[str, Any]) -> Experiment:
    """The experiment with these values, ``plugin.option`` among the keys."""
    return make(nested(values))


def _has(cell: Cell, wanted: Mapping[str, Any]) -> bool:
    return all(cell.values.get(key) == value for key, value in wanted.items())


def _differences(record: Record, cell: Cell, published: Cell | None) -> tuple[str, ...]:
    """Every key and option, but for where and on what it ran, in which the record differs from what was published."""
    as_run = {**_DEFAULTS, **record.experiment}
    like = published or cell
    meant = as_experiment({**like.values, **like.how}).model_dump(mode="json")
    parts = [] if published else ["a stand-in"]
    parts += [
        f"{key}={as_run[key]}"
        for key in _DEFAULTS
        if key not in _ASIDE and as_run[key] not in (meant[key], _EITHER[key])
    ]
    attack = record.cell.attack
    parts += [
        f"{plugin}.{name}={value}"
        for plugin, options in as_run["options"].items()
        for name, value in options.items()
        if plugin != attack
        and plugin in {as_run["dataset"], *as_run["defense"].split("+")}
        and meant["options"].get(plugin, {}).get(name) != value
    ]
    kind = registry.cls("attacks", attack, Attack)
    assert is_dataclass(kind)
    given = {field.name: _as_kept(field.default) for field in fields(kind)}
    given |= {name.partition(".")[2]: value for name, value in like.values.items() if name.startswith(f"{attack}.")}
    own = record.attack.options
    # An attack's epochs are not the training's.
    names = {name: f"{attack}.{name}" if name in _DEFAULTS else name for name in given}
    return (*parts, *(f"{names[name]}={own[name]}" for name in given if name in own and own[name] != given[name]))


def _as_kept(value: Any) -> Any:
    """As a record, which is JSON, holds it."""
    return list(value) if isinstance(value, tuple) else value


def nearest(groups: Sequence[Group]) -> Group | None:
    """Of several settings the one nearest to what was published; None where there is none."""
    return groups[-1] if groups else None
