"""What must be run for a paper's tables at a scale: experiments, and those that cannot be run here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from cutlayer import registry
from cutlayer.attack import Attack
from cutlayer.experiment import Experiment, ExperimentError
from cutlayer.grid import override
from cutlayer.mistake import nearest
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.found import as_experiment
from cutlayer.reproduction.paper import Exhibit, Paper

SEEDS: Mapping[Scale, int] = {"smoke": 1, "quick": 3, "paper": 5}
"""How many seeds a scale takes where nobody asks for another number."""


def chosen(paper: Paper, names: Sequence[str]) -> list[Exhibit]:
    """The exhibits with these names, all of them where none is named."""
    known = {exhibit.name: exhibit for exhibit in paper.exhibits}
    for name in names:
        if name not in known:
            raise ExperimentError(f"there is no {name}{nearest(name, known)}; one of {', '.join(known)}")
    return [known[name] for name in names] or list(paper.exhibits)


def experiments(
    name: str, exhibits: Sequence[Exhibit], scale: Scale, seeds: int, overrides: Sequence[str]
) -> list[Experiment]:
    """Every cell of the exhibits with every seed, each once, in the run folder ``name``.

    An override of a key that makes a cell what it is chooses among the cells (``dataset=mnist``, ``cut=1,2``), as
    ``seed=3`` does among the seeds; any other one changes how all of them are run. An option that makes some cells of
    an attack what they are chooses among all of its cells: the others have the usual value.
    """
    given = dict(override(text) for text in overrides)
    if "name" in given:
        raise ExperimentError(f"name = {given['name']!r}: a reproduction sets it")
    cells = [
        Cell({**cell.values, "seed": seed}, cell.how)
        for seed in range(1, seeds + 1)
        for exhibit in exhibits
        for cell in exhibit.cells(scale)
    ]
    found: dict[str, Experiment] = {}
    used: set[str] = set()
    choosing = {(cell.values["attack"], key) for cell in cells for key in cell.values}
    for cell in cells:
        values = _with(cell, given, choosing)
        if values is not None:
            used |= values.keys() | {key for attack, key in choosing if attack == values["attack"]}
            experiment = as_experiment({**values, "name": name})
            found.setdefault(experiment.fingerprint(), experiment)
    if cells and not found:
        said = f"no cell of {', '.join(e.name for e in exhibits)} has {' and '.join(overrides)}"
        raise ExperimentError(f"{said}; there are {_choices(cells, given, choosing)}")
    unused = sorted(key for key in given if found and key not in used)
    if unused:
        raise ExperimentError(f"{', '.join(unused)}: no cell of {', '.join(e.name for e in exhibits)} uses it")
    return list(found.values())


def _choices(cells: Sequence[Cell], keys: Iterable[str], choosing: Set[tuple[str, str]]) -> str:
    """The values that the cells have for those of the keys that choose among them."""
    found = {
        key: sorted(
            {_spelled(cell.values[key]) for cell in cells if key in cell.values}
            | {_spelled(_usual(cell, key)) for cell in cells if _unsaid(cell, key, choosing)}
        )
        for key in keys
    }
    return ", ".join(f"{key}={','.join(values)}" for key, values in found.items() if values)


def _with(cell: Cell, given: Mapping[str, Any], choosing: Set[tuple[str, str]]) -> dict[str, Any] | None:
    """The cell's values with those ``given``; None where it is not among the chosen ones.

    ``choosing``: attacks and the keys that make one of their cells what it is; another of them has the usual value.
    """
    values = {**cell.values, **cell.how}
    others = {str(given.get("aux", "")), *str(given.get("defense", "")).split("+")}
    for key, value in given.items():
        plugin, dot, _ = key.partition(".")
        if key in cell.values or _unsaid(cell, key, choosing):
            own = cell.values[key] if key in cell.values else _usual(cell, key)
            if _spelled(own) not in map(_spelled, value if isinstance(value, list) else [value]):
                return None
        elif not dot or plugin in {cell.values["attack"], cell.values["dataset"], *others}:
            values[key] = value
    return values


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
    return f"{value:.12g}" if isinstance(value, int | float) else str(value)
