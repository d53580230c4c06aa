"""Standard output for what a command was asked for, and for nothing else."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from typing import TextIO

_OUT, _ERR = 1, 2  # the descriptors that a process is started with


@contextlib.contextmanager
def reserved() -> Iterator[TextIO]:
    """Standard output, to write results to; whatever else is written there meanwhile goes to standard error.

    A user's own model or plug-in may print, and what it calls may write past Python: a C library, another process.
    """
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        descriptor = _descriptor(out)
        if descriptor is None:
            yield out
            return
        out.flush()
        saved = os.dup(_OUT)
        try:
            os.dup2(_ERR, _OUT)
            with open(saved, "w", encoding=out.encoding, errors=out.errors, closefd=False) as own:
                # What a caller has put in its place, such as a test, has a descriptor of its own.
                yield own if descriptor == _OUT else out
        finally:
            out.flush()
            if os.name == "posix":
                # C libraries hold back what they write to anything but a terminal.
                ctypes.CDLL(None).fflush(None)
            os.dup2(saved, _OUT)
            os.close(saved)


def _descriptor(stream: TextIO | None) -> int | None:
    """The stream's; None where it has none, or where the process was started without standard output."""
    try:
        return stream.fileno() if stream else None
    except (OSError, ValueError):
        return None
