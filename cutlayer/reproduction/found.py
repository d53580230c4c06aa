"""Records, wherever they lie, by the cell that they belong to and by how they were obtained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from cutlayer import registry
from cutlayer.attack import Attack
from cutlayer.experiment import Experiment, make
from cutlayer.record import DONE, Record, read_record
from cutlayer.reproduction.paper import SCALES, Cell, Exhibit, Scale

_SIZES = ("train_rows", "test_rows", "epochs", "targets", "aux_rows")


@dataclass(frozen=True)
class Run:
    """A record and the folder it lies in, which may hold its pictures."""

    record: Record
    folder: Path


@dataclass(frozen=True)
class Group:
    """Runs of one cell that differ in their seeds alone."""

    scale: Scale
    setting: str
    """How they differ from what was published; empty where they do not."""
    runs: tuple[Run, ...]

    @property
    def records(self) -> list[Record]:
        """Of all seeds."""
        return [run.record for run in self.runs]

    @property
    def told(self) -> str:
        """``setting`` in words."""
        return self.setting or "as published"


@dataclass(frozen=True)
class Found:
    """All finished runs under some folders."""

    runs: Sequence[Run]

    def groups(self, exhibit: Exhibit, wanted: Mapping[str, Any]) -> list[Group]:
        """Runs of the exhibit's cells that have all the ``wanted`` values, those nearest to what was published last.

        Each seed counts once, with its latest run.
        """
        return list(self._groups(exhibit, wanted))

    def _groups(self, exhibit: Exhibit, wanted: Mapping[str, Any]) -> Iterator[Group]:
        published = [cell for cell in exhibit.cells("paper") if _has(cell, wanted)]
        for scale in SCALES:
            settings: dict[str, dict[int, Run]] = {}
            for cell in (cell for cell in exhibit.cells(scale) if _has(cell, wanted)):
                asked = as_experiment(cell.values).model_dump(mode="json")
                for run in self.runs:
                    if _belongs(run.record, cell.values, asked):
                        setting = _setting(run.record, cell, (published or [cell])[0])
                        seeds = settings.setdefault(setting, {})
                        kept = seeds.get(run.record.cell.seed)
                        if kept is None or run.record.started >= kept.record.started:
                            seeds[run.record.cell.seed] = run
            for setting in sorted(settings):
                yield Group(scale, setting, tuple(run for _, run in sorted(settings[setting].items())))


def find(folders: Iterable[Path]) -> Found:
    """Every finished record anywhere under ``folders``; what cannot be read is left out."""
    runs = []
    for folder in folders:
        for path in sorted(folder.glob("**/record.json")):
            try:
                record = read_record(path.parent)
            except ValueError:
                continue
            if record and record.status == DONE:
                runs.append(Run(record, path.parent))
    return Found(runs)


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
    plain: dict[str, Any] = {"options": {}}
    for key, value in values.items():
        plugin, dot, option = key.partition(".")
        if dot:
            plain["options"].setdefault(plugin, {})[option] = value
        else:
            plain[key] = value
    return make(plain)


def _has(cell: Cell, wanted: Mapping[str, Any]) -> bool:
    return all(cell.values.get(key) == value for key, value in wanted.items())


def _setting(record: Record, cell: Cell, published: Cell) -> str:
    """Sizes and options in which the record differs from what was published."""
    default = {key: Experiment.model_fields[key].default for key in _SIZES}
    parts = [
        f"{key}={record.experiment[key]}"
        for key in _SIZES
        if record.experiment.get(key) != published.values.get(key, default[key])
    ]
    kind = registry.cls("attacks", record.cell.attack, Attack)
    assert is_dataclass(kind)
    options = {field.name: field.default for field in fields(kind)}
    for name, value in record.attack.options.items():
        asked = f"{record.cell.attack}.{name}"
        if asked not in cell.values and name in options and value != options[name]:
            parts.append(f"{name}={value}")
    if parts and record.attack.fraction is not None and record.attack.fraction < 1:
        parts.append(f"{record.attack.fraction:.2g} of the steps")
    return ", ".join(parts)


def nearest(groups: Sequence[Group]) -> Group | None:
    """Of several settings the one nearest to what was published; None where there is none."""
    return groups[-1] if groups else None
