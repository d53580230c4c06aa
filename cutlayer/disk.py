"""Writing so that what is there is whole, whatever a kill, a power cut or a full disk comes between."""

from __future__ import annotations

import os
from pathlib import Path


def write_through(file: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file that has reached the disk when this returns; whoever renames it then, renames all of it.

    ``mode``: who may do what with it, less what the process grants nobody. An ``OSError`` names the file.
    """
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from None


def write_whole(file: Path, content: bytes) -> None:
    """The same under a temporary name, and then renamed: ``file`` is never half there. Others may do so meanwhile."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        write_through(draft, content)
        draft.replace(file)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def append(opened: int, file: Path, *parts: bytes) -> None:
    """Add one entry of these ``parts`` to the end of ``file``, which is ``opened`` for appending.

    A kill on the way leaves the beginning of it there; an ``OSError``, which names the file, nothing.
    """
    end = os.fstat(opened).st_size
    try:
        for part in parts:
            left = memoryview(part)
            # A disk that fills up takes what it can, and says why no sooner than it is asked to take the rest.
            while left:
                left = left[os.write(opened, left) :]
    except OSError as error:
        os.ftruncate(opened, end)
        raise OSError(error.errno, error.strerror, str(file)) from None
