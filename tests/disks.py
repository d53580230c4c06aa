"""Disks that take no more, and such that lose a bit, for tests."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file of this process grows beyond ``size`` bytes: a longer write is cut off there, the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def flip_a_bit(file: Path) -> None:
    """The last one of ``file``: of a number in its last tensor, whose form is whole."""
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
