"""Trainings one after another, with progress: one that diverges ends no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from rich.console import Console

from cutlayer.commands.display import Display
from cutlayer.commands.say import say
from cutlayer.commands.title import of_trainings
from cutlayer.scene.scene import Scene
from cutlayer.scene.shortfall import training_shortfalls
from cutlayer.simulation.session import DivergedError
from cutlayer.threat import Progress

T = TypeVar("T")


def course(
    cells: Sequence[Scene], seconds: Sequence[float], console: Console, run: Callable[[int, Progress], T]
) -> Iterator[T]:
    """What ``run`` makes of each cell by its number, as soon as it is there.

    ``DivergedError`` behind the last one where some have left the finite numbers.
    """
    titles, diverged = of_trainings(cells), list[str]()
    with Display(console, titles, seconds) as display:
        for number in range(len(cells)):
            display.begin(number)
            try:
                found = run(number, partial(display.progress, number))
            except DivergedError as error:
                diverged.append(f"{titles[number]}: {error}" if len(cells) > 1 else str(error))
                display.end(number)
                # Whatever ends the others, and though it is told once more at their end.
                say(console, f"failed: {diverged[-1]}", "red")
            else:
                display.end(number)
                with display.aside():
                    yield found
    if diverged:
        raise DivergedError("; ".join(diverged))


def tell_shortfalls(cells: Sequence[Scene], console: Console) -> None:
    """A line for each thing that the trainings asked for have no use for, or not enough of."""
    for line in dict.fromkeys(line for scene in cells for line in training_shortfalls(scene)):
        say(console, line)
