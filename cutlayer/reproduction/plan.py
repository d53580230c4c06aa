"""What must be run for a paper's tables at a scale: experiments, and those that cannot be run here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from cutlayer import registry
from cutlayer.attack import Attack
from cutlayer.experiment import Experiment, ExperimentError
from cutlayer.grid import axes, override
from cutlayer.mistake import nearest
from cutlayer.reproduction.cell import SCALES, Cell, Scale
from cutlayer.reproduction.found import as_experiment
from cutlayer.reproduction.paper import Exhibit, Paper

_Given = Mapping[str, Sequence[Any]]
"""Overrides: the values of each key, one of which a chosen cell has."""


def chosen(paper: Paper, names: Sequence[str]) -> list[Exhibit]:
    """The exhibits with these names, all of them where none is named."""
    known = {exhibit.name: exhibit for exhibit in paper.exhibits}
    for name in names:
        if name not in known:
            kind = name.partition(" ")[0]
            alike = [other for other in known if other.partition(" ")[0] == kind] or known
            raise ExperimentError(f"there is no {name}{nearest(name, alike)}; one of {', '.join(alike)}")
    return [known[name] for name in names] or list(paper.exhibits)


def check_cells(paper: Paper, exhibits: Sequence[Exhibit], scale: Scale) -> None:
    """``ExperimentError`` where none of the ``exhibits`` has a cell at ``scale``: there is nothing to run."""
    if not any(exhibit.cells(scale) for exhibit in exhibits):
        said = f"{_names(exhibits)} {'has' if len(exhibits) == 1 else 'have'} no cells at the scale {scale}"
        if not any(exhibit.cells(other) for exhibit in exhibits for other in SCALES):
            said = f"{_names(exhibits)}: read from the records of other cells, with none of its own to run"
        others = [exhibit for exhibit in paper.exhibits if exhibit.cells(scale)]
        raise ExperimentError(f"{said}; there are those of {_names(others)}")


def experiments(
    name: str, exhibits: Sequence[Exhibit], scale: Scale, seeds: int, overrides: Sequence[str]
) -> list[Experiment]:
    """Every cell of the exhibits with every seed, each once, in the run folder ``name``.

    ``seeds``: from 1 to this; 0: to the last one among the overrides, or as many as the cell takes at ``scale``.

    An override of a key that makes a cell what it is chooses among the cells (``dataset=mnist``, ``cut=1,2``), as
    ``seed=3`` does among the seeds; any other one changes how all of them are run. An option that makes some cells of
    an attack what they are chooses among all of its cells: the others have the usual value. A value that no cell has
    is an ``ExperimentError``, whatever else is chosen.
    """
    given = axes(dict(override(text) for text in overrides))
    if "name" in given:
        raise ExperimentError(f"name = {given['name'][0]!r}: a reproduction sets it")
    # One that only reads what others measure has no cell that could have anything.
    exhibits = [exhibit for exhibit in exhibits if exhibit.cells(scale)] or exhibits
    there = [cell for exhibit in exhibits for cell in exhibit.cells(scale)]
    seeds = seeds or max((seed for seed in given.get("seed", ()) if isinstance(seed, int)), default=0)
    cells = [
        replace(cell, values={**cell.values, "seed": seed})
        for seed in range(1, (seeds or max((cell.seeds(scale) for cell in there), default=0)) + 1)
        for cell in there
        if seed <= (seeds or cell.seeds(scale))
    ]
    choosing = {(cell.values["attack"], key) for cell in cells for key in cell.values}
    known = {key: sorted({own for cell in cells if (own := _own(cell, key, choosing))}) for key in given}
    for key, values in known.items():
        absent = [value for value in map(_spelled, given[key]) if value not in values]
        if values and absent and not any(_changed(cell, key, given, choosing) for cell in cells):
            raise _none(exhibits, [f"{key}={','.join(absent)}"], {key: values})
    found: dict[str, Experiment] = {}
    used: set[str] = set()
    for cell in cells:
        run = _with(cell, given, choosing)
        if run is not None:
            used |= run.keys() | {key for attack, key in choosing if attack == run["attack"]}
            experiment = as_experiment({**run, "name": name})
            found.setdefault(experiment.fingerprint(), experiment)
    if not found:
        raise _none(exhibits, overrides, known)
    unused = sorted(given.keys() - used)
    if unused:
        raise ExperimentError(f"{', '.join(unused)}: no cell of {_names(exhibits)} uses it")
    return list(found.values())


def _none(exhibits: Sequence[Exhibit], asked: Sequence[str], there: Mapping[str, Sequence[str]]) -> ExperimentError:
    """That no cell has what is ``asked``, and what cells have for the keys that choose among them."""
    has = ", ".join(f"{key}={','.join(values)}" for key, values in there.items() if values)
    return ExperimentError(f"no cell of {_names(exhibits)} has {' and '.join(asked)}; there are {has}")


def _names(exhibits: Sequence[Exhibit]) -> str:
    return ", ".join(exhibit.name for exhibit in exhibits)


def _with(cell: Cell, given: _Given, choosing: Set[tuple[str, str]]) -> dict[str, Any] | None:
    """The cell's values with those ``given``; None where it is not among the chosen ones.

    ``choosing``: attacks and the keys that make one of their cells what it is; another of them has the usual value.
    """
    values = {**cell.values, **cell.how}
    for key, choices in given.items():
        own = _own(cell, key, choosing)
        if own is not None and own not in map(_spelled, choices):
            return None
        if _changed(cell, key, given, choosing):
            values[key] = choices[0] if len(choices) == 1 else choices
    return values


def _own(cell: Cell, key: str, choosing: Set[tuple[str, str]]) -> str | None:
    """What the cell has for a key that chooses among cells of its attack; None for any other key."""
    if key in cell.values:
        return _spelled(cell.values[key])
    return _spelled(_usual(cell, key)) if _unsaid(cell, key, choosing) else None


def _changed(cell: Cell, key: str, given: _Given, choosing: Set[tuple[str, str]]) -> bool:
    """Whether the key changes how the cell is run."""
    plugin, dot, _ = key.partition(".")
    others = {name for key in ("aux", "defense") for value in given.get(key, ()) for name in str(value).split("+")}
    there = {cell.values["attack"], cell.values["dataset"], *others}
    return _own(cell, key, choosing) is None and (not dot or plugin in there)


def _unsaid(cell: Cell, key: str, choosing: Set[tuple[str, str]]) -> bool:
    """Whether another cell of the attack is what it is by this option of it, and this one leaves it as it is."""
    attack = cell.values["attack"]
    return key.startswith(f"{attack}.") and (attack, key) in choosing and key not in {**cell.values, **cell.how}


def _usual(cell: Cell, key: str) -> Any:
    """What an option of the cell's attack is where the cell does not say."""
    option = key.partition(".")[2]
    attack: type[Attack] = registry.cls("attacks", cell.values["attack"], Attack)
    steps = cell.values.get("steps", Experiment.model_fields["steps"].default)
    return attack.presets.get(steps, {}).get(option, getattr(attack, option, None))


def _spelled(value: Any) -> str:
    """Alike for a word and for the truth value that TOML reads in it, for 100 and 100.0."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_spelled, value))}]"
    return f"{value:.12g}" if isinstance(value, int | float) else str(value)
