"""What is printed of an error of the user's making, and of an interruption."""

from __future__ import annotations

import errno

from cutlayer.dataset import DatasetError
from cutlayer.experiment import ExperimentError
from cutlayer.registry import PluginError

# What a folder or a disk refuses whoever wants to write there.
_DISK = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
_DISK |= {errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT}

_TAKEN_UP = "the same command goes on where this one stopped"
# Only an honest training leaves checkpoints.
_ANEW = f"{_TAKEN_UP}; a training under attack begins anew"
_LEFT = {
    **dict.fromkeys(("train", "serve", "join"), _TAKEN_UP),
    **dict.fromkeys(("audit", "reproduce"), _ANEW),
    "record": "the same command keeps finished recordings and begins others anew",
}


def interruption(command: str) -> str:
    """What to print where ``command`` was interrupted: what the same one finds when it is called again."""
    return f"interrupted; {_LEFT[command]}" if command in _LEFT else "interrupted"


def one_line(error: Exception) -> str | None:
    """What to print of an error of the user's making; ``None`` for a defect, whose traceback is worth more."""
    if isinstance(error, ExperimentError | PluginError | DatasetError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno in _DISK and error.filename:
        return f"{error.filename2 or error.filename}: {error.strerror}"
    # Errors in the use of the command line; newer versions of typer bring a click of their own.
    said = getattr(error, "format_message", None)
    if said is None:
        return None
    told = " ".join(said().replace("Value error, ", "").split())
    return f"{told} `cutlayer --help` lists them." if told.startswith("No such command") else told
