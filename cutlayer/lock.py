"""One process at a time where two would destroy each other's work."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from cutlayer.experiment import ExperimentError


def locked(folder: Path, file: Path, another: str) -> IO[str]:
    """The lock on ``folder``, on ``file``, which stays; held until it is closed or the process ends.

    ``ExperimentError`` where another process holds it, or none can; ``another`` is how to choose another folder.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.open("w")
    except OSError as error:
        raise ExperimentError(f"{folder} cannot be written to: {error.strerror}; choose {another}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ExperimentError(
            f"another cutlayer process works in {folder}: wait for it, end it, or choose {another}"
        ) from None
    except OSError as error:
        lock.close()
        raise ExperimentError(f"{folder} cannot be locked: {error.strerror}; choose {another}") from None
    return lock
