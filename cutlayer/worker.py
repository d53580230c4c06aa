"""A worker of a sweep: a process that runs one cell after another and leaves each one's record behind."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from cutlayer.experiment import make
from cutlayer.isolation import Ahead
from cutlayer.pool import Line
from cutlayer.scene import settle
from cutlayer.sweep import attempt


def main(arguments: Sequence[str]) -> None:
    """Serve the caller at the other end of the pipe ``arguments[1]`` until it is gone."""
    # The cell's own process is closed on the way out.
    signal.signal(signal.SIGTERM, _leave)
    line = Line(arguments)
    ahead = Ahead()
    try:
        while task := line.task():
            (scene,) = settle(make(task["experiment"]))
            residence = ahead.take(scene.experiment.isolate, task["another"])
            attempt(scene, Path(task["run"]), task["command"], lambda *news: line.tell("progress", *news), residence)
            line.tell("done")
    finally:
        ahead.close()


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    main(sys.argv)
