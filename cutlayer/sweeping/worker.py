"""A worker of a sweep: a process that runs one cell after another and leaves each one's record behind."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from cutlayer.experiment import make
from cutlayer.isolated.process import Ahead, in_a_pipe
from cutlayer.settle import settle
from cutlayer.sweeping.pool import Dismissed, Line
from cutlayer.sweeping.sweep import attempt

_SILENCE = 0.1  # seconds between two reports


def main(arguments: Sequence[str]) -> None:
    """Serve the caller at the other end of the pipe ``arguments[1]`` until it is gone."""
    line = Line(arguments)
    ahead = Ahead()
    try:
        # The cell's own process is closed on the way out.
        signal.signal(signal.SIGTERM, _leave)
        while task := line.task():
            (scene,) = settle(make(task["experiment"]))
            process = ahead.take(in_a_pipe(scene.experiment), task["another"])
            attempt(scene, Path(task["run"]), task["command"], Occasionally(line), process)
            line.tell("done")
    except Dismissed as order:
        sys.exit(order.code)
    finally:
        ahead.close()


class Occasionally:
    """Progress, told ten times a second at most, but for the first and the last step of anything."""

    def __init__(self, line: Line) -> None:
        self._line, self._what, self._last = line, "", 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` steps of ``what`` are done."""
        now = time.monotonic()
        if what != self._what or done == total or now - self._last > _SILENCE:
            self._what, self._last = what, now
            self._line.tell("progress", what, done, total)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise Dismissed(128 + number)


if __name__ == "__main__":
    main(sys.argv)
