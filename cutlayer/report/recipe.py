"""Everything needed to repeat a run: an experiment file that asks for the same cells, the code, the machines."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cutlayer.experiment import LISTS
from cutlayer.record import Record

# A grid: for every key the values it takes, as JSON so that lists compare and hash; its cells are their product.
_Grid = dict[str, tuple[str, ...]]


def experiment(records: Iterable[Record]) -> str:
    """A TOML file that asks for exactly the cells of ``records``; empty when they carry no experiment.

    Cells that make up a full product become lists, the rest ``[[grid]]`` tables. Keys without a value are left out.
    """
    grids: list[_Grid] = []
    for record in records:
        cell: _Grid = {key: (json.dumps(value),) for key, value in _flat(record.experiment).items()}
        if cell and cell not in grids:
            grids.append(cell)
    grids = _merged(grids)
    if not grids:
        return ""
    shared = {key: values for key, values in grids[0].items() if all(grid.get(key) == values for grid in grids)}
    parts = [_lines(shared)]
    if len(grids) > 1:
        parts += ["[[grid]]\n" + _lines({k: v for k, v in grid.items() if k not in shared}) for grid in grids]
    return "\n".join(parts)


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    flat = {_key(key): value for key, value in values.items() if key != "options" and value is not None}
    for plugin, options in (values.get("options") or {}).items():
        flat |= {f"{_key(plugin)}.{_key(name)}": value for name, value in options.items() if value is not None}
    return flat


def _merged(grids: list[_Grid]) -> list[_Grid]:
    """The same cells in fewer grids: those that differ in one key alone are one."""
    while True:
        count = len(grids)
        for key in dict.fromkeys(key for grid in grids for key in grid):
            alike: dict[tuple[object, ...], _Grid] = {}
            for grid in grids:
                rest = (key in grid, *sorted((other, values) for other, values in grid.items() if other != key))
                first = alike.setdefault(rest, dict(grid))
                if key in grid:
                    first[key] = tuple(dict.fromkeys(first[key] + grid[key]))
            grids = list(alike.values())
        if len(grids) == count:
            return grids


def _lines(grid: _Grid) -> str:
    return "".join(f"{key} = {_choice(key, [json.loads(value) for value in vs])}\n" for key, vs in grid.items())


def _choice(key: str, values: Sequence[Any]) -> str:
    # A list that stands for one value would be read as a sweep: it is then a sweep over one list.
    single = len(values) == 1 and (key in LISTS or not isinstance(values[0], list))
    return _literal(values[0] if single else values)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _literal(name)


def _literal(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(key)} = {_literal(item)}' for key, item in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    # A JSON string is a TOML string but for one character that JSON leaves bare.
    return json.dumps(str(value)).replace("\x7f", "\\u007f")


def distinct(records: Iterable[Record], field: str) -> list[tuple[dict[str, Any], int]]:
    """The different values of ``field`` (``code`` or ``environment``), with how many cells have each."""
    seen: dict[str, tuple[dict[str, Any], int]] = {}
    for record in records:
        value = getattr(record, field)
        if value:
            key = json.dumps(value, sort_keys=True, default=str)
            seen[key] = (value, seen.get(key, (value, 0))[1] + 1)
    return sorted(seen.values(), key=lambda pair: -pair[1])
