"""How this process gets memory for large tensors."""

from __future__ import annotations

import ctypes
import platform
from functools import cache

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # mallopt(3)
_LARGE = 1 << 30
_MOST = (1 << 31) - 1


@cache
def keep_freed() -> None:
    """Let the memory of freed tensors wait for the next ones, where glibc provides it; elsewhere nothing changes.

    By itself glibc gives back to the system what was larger than 32 MiB, and what is free at the end of the heap, and
    every page that is asked for anew is a fault: copies of what crosses an early cut took several times as long so.
    What is larger than 1 GiB, or free beyond 2, still goes back. Before 2.35 or so glibc refuses such a threshold:
    there nothing is changed, as the second setting alone would keep the first where it stands, at 128 KiB.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        if libc.mallopt(_MMAP_THRESHOLD, _LARGE):
            libc.mallopt(_TRIM_THRESHOLD, _MOST)
