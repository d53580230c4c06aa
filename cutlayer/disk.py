"""Writing so that what is there is whole, whatever a kill, a power cut or a full disk comes between."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

PRIVATE = 0o600
"""The mode of a file that only its owner can read."""
_DRAFT = re.compile(r"\..+\.[0-9a-f]{32}")


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


@contextlib.contextmanager
def draft_of(file: Path) -> Iterator[Path]:
    """A name beside ``file``, in a folder that is made where there is none, for what is to take its place at the end.

    Nobody else has the name, in this process or on another machine: others may write ``file`` meanwhile.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        yield draft
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def write_whole(file: Path, content: str | bytes, mode: int = 0o666) -> None:
    """Write ``file``: after a power cut the old one is there or the new one, and once this has returned the new one.

    ``mode`` as above. An ``OSError`` names the file.
    """
    try:
        with draft_of(file) as draft:
            write_through(draft, content.encode() if isinstance(content, str) else content, mode)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from None
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        # Some file systems that machines share know of no flushing of folders.
        if error.errno != errno.EINVAL:
            raise OSError(error.errno, error.strerror, str(file)) from None
    finally:
        os.close(folder)


def sweep(folder: Path) -> None:
    """Remove the drafts that a kill has left in ``folder``, where nobody else writes now."""
    for path in folder.glob(".*"):
        if _DRAFT.fullmatch(path.name):
            path.unlink(missing_ok=True)


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
