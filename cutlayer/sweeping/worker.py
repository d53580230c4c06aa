"""A worker of a sweep: a process that runs one cell after another and leaves each one's record behind."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from cutlayer.experiment import ExperimentError, make
from cutlayer.isolated.process import Ahead
from cutlayer.scene.scene import Scene
from cutlayer.scene.settle import settle
from cutlayer.sweeping.pool import Dismissed, WorkerEnd
from cutlayer.sweeping.sweep import attempt

_SILENCE = 0.1  # seconds between two reports


def main(arguments: Sequence[str]) -> None:
    """Serve the caller at the other end of the pipe ``arguments[1]`` until it is gone."""
    line = WorkerEnd(arguments)
    ahead = Ahead()
    try:
        # The cell's own process is closed on the way out.
        signal.signal(signal.SIGTERM, _leave)
        while task := line.task():
            try:
                scene = _settled(task)
            except ExperimentError as error:
                # It was settled once: files of the user's own have changed since.
                line.tell("refused", f"{type(error).__name__}: {error}")
                continue
            process = ahead.take(scene.in_a_pipe, task["another"])
            attempt(scene, Path(task["run"]), task["command"], Occasionally(line), process, _others(task))
            line.tell("done")
    except Dismissed as order:
        sys.exit(order.code)
    finally:
        ahead.close()


def _settled(task: Mapping[str, Any]) -> Scene:
    """The cell under the name that it has for the caller, whatever its files are by now."""
    (scene,) = settle(make(task["experiment"]))
    return replace(scene, files={Path(file): (size, changed) for file, size, changed in task["files"]})


def _others(task: Mapping[str, Any]) -> list[Scene]:
    """Its company; one whose files have changed is refused in its turn."""
    found = []
    for other in task["others"]:
        with contextlib.suppress(ExperimentError):
            found.append(_settled(other))
    return found


class Occasionally:
    """Progress, told ten times a second at most, but for the first and the last step of anything."""

    def __init__(self, line: WorkerEnd) -> None:
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
