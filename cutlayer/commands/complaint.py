"""What is printed of an error of the user's making."""

from __future__ import annotations

import errno

from cutlayer.dataset import DatasetError
from cutlayer.experiment import ExperimentError
from cutlayer.registry import PluginError
from cutlayer.simulation.session import DivergedError

# What a folder or a disk refuses whoever wants to write there.
_DISK = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
_DISK |= {errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT}


def one_line(error: Exception) -> str | None:
    """What to print of an error of the user's making; ``None`` for a defect, whose traceback is worth more."""
    if isinstance(error, ExperimentError | PluginError | DatasetError | DivergedError):
        return joined(str(error))
    if isinstance(error, OSError) and error.errno in _DISK and error.filename:
        return f"{error.filename2 or error.filename}: {error.strerror}"
    # Errors in the use of the command line; newer versions of typer bring a click of their own.
    said = getattr(error, "format_message", None)
    if said is None:
        return None
    told = joined(said().replace("Value error, ", ""))
    return f"{told} `cutlayer --help` lists them." if told.startswith("No such command") else told


def joined(text: str) -> str:
    """All of it on one line."""
    return " ".join(text.split())
