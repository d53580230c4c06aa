"""What each cell of a run is called while it is at work: in a few words, and by what tells it from the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cutlayer.experiment import Experiment
from cutlayer.scene.scene import Scene

_PLACE = ("protocol", "cut", "seed")
# Nothing that a cell does, or told option by option.
_ASIDE = ("name", "out", "options")


def of_attacks(cells: Sequence[Scene]) -> list[str]:
    """For each cell the attack with what differs between its cells, and where it attacks."""
    titles = [""] * len(cells)
    for attack in dict.fromkeys(scene.experiment.attack for scene in cells):
        numbers = [number for number, scene in enumerate(cells) if scene.experiment.attack == attack]
        own = [cells[number] for number in numbers]
        options = [{**scene.options, **_of_others(scene)} for scene in own]
        for number, scene, told in zip(numbers, own, _apart(own, options, ("defense", *_PLACE)), strict=True):
            defenses = f" against {scene.experiment.defense}" if scene.experiment.defenses else ""
            titles[number] = f"{' '.join([attack, *told])} in {_place(scene.experiment)}{defenses}"
    return titles


def of_trainings(cells: Sequence[Scene]) -> list[str]:
    """For each cell what is trained on what and where, with what differs between them; or that nothing is."""
    options = [_of_others(scene) for scene in cells]
    told = _apart(cells, options, ("model", "dataset", *_PLACE))
    names = ((scene.experiment, own) for scene, own in zip(cells, told, strict=True))
    return [f"{' '.join([e.model, *own])} on {e.dataset}, {_place(e)}{_given(e)}" for e, own in names]


def _given(experiment: Experiment) -> str:
    return f": nothing is trained, weights = {str(experiment.weights)!r}" if experiment.weights else ""


def _place(experiment: Experiment) -> str:
    return f"{experiment.protocol}, cut {experiment.cut}, seed {experiment.seed}"


def _of_others(scene: Scene) -> dict[str, Any]:
    """Options of what is not the attack, by the plug-in's name and theirs."""
    named = scene.experiment.options.items()
    return {f"{plugin}.{o}": v for plugin, own in named for o, v in own.items() if plugin != scene.experiment.attack}


def _apart(cells: Sequence[Scene], options: Sequence[Mapping[str, Any]], said: Sequence[str]) -> list[list[str]]:
    """For each cell ``key=value`` of what tells it from others, beside the keys that are ``said`` of all.

    Options first, whatever else differs; what follows from the one before it tells nothing apart and is left out.
    """
    values = [{key: getattr(scene.experiment, key) for key in Experiment.model_fields} for scene in cells]
    told: list[list[str]] = [[] for _ in cells]

    def add(key: str, found: Sequence[Mapping[str, Any]], beside: Sequence[tuple[str, ...]]) -> None:
        more = [[f"{key}={_short(own[key])}"] if key in own else [] for own in found]
        before = [(*one, *parts) for one, parts in zip(beside, told, strict=True)]
        if len({(*one, *new) for one, new in zip(before, more, strict=True)}) > len(set(before)):
            told[:] = [[*parts, *new] for parts, new in zip(told, more, strict=True)]

    nothing: list[tuple[str, ...]] = [()] * len(cells)
    add("steps", values, nothing)
    for key in dict.fromkeys(key for own in options for key in own):
        add(key, options, nothing)
    places = [tuple(f"{key}={own[key]}" for key in said) for own in values]
    for key in Experiment.model_fields:
        if key not in (*said, *_ASIDE):
            add(key, values, places)
    return told


def _short(value: Any) -> str:
    match value:
        case bool() | None:
            return str(value).lower()
        case float():
            return f"{value:g}"
        case Path():
            return value.name
        case list() | tuple():
            return ",".join(map(_short, value))
    return str(value)
