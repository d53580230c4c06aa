"""What is printed where a command was interrupted, and how one ends that was interrupted while it started."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import signal
from types import FrameType

INTERRUPTED = 130
_TAKEN_UP = "the same command goes on where this one stopped"
_LEAVING_A_TRACE = ("train", "audit", "reproduce", "record", "serve", "join")
_WITHOUT_A_TRACE = ("evaluate", "export", "replay")


def interruption(command: str) -> str:
    """What to print where ``command`` was interrupted: what the same one finds when it is called again."""
    return f"interrupted; {_TAKEN_UP}" if command in _LEAVING_A_TRACE else "interrupted"


def import_torch(command: str) -> None:
    """Before a ``command`` that computes begins: no exception can leave torch half imported, so one ends all."""
    if command not in (*_LEAVING_A_TRACE, *_WITHOUT_A_TRACE):
        return

    # Whoever called waits for the end, where going through all that torch has made takes more than a second.
    atexit.register(gc.freeze)

    def leave(number: int, frame: FrameType | None) -> None:
        os.write(2, f"{interruption(command)}\n".encode())
        os._exit(INTERRUPTED)

    if (before := signal.getsignal(signal.SIGINT)) is signal.SIG_IGN:
        # Started in the background by a script: an interruption is not for this process.
        return
    signal.signal(signal.SIGINT, leave)
    try:
        importlib.import_module("torch")
    finally:
        signal.signal(signal.SIGINT, before)
