"""Which code ran, and on what machine."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import torch

from cutlayer import __version__


@cache
def code() -> dict[str, Any]:
    """Version, commit and whether the package differs from it; commit and dirty are none outside a checkout."""
    package = Path(__file__).parent
    root = package.parent
    commit = _git(root, "rev-parse", "HEAD") if (root / ".git").exists() else None
    # New files count, too: a plug-in is found by lying there. Pages and records beside the package decide nothing.
    dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=all", "--", package.name)) if commit else None
    return {"version": __version__, "commit": commit, "dirty": dirty}


def coded() -> str:
    """What keeps apart in a folder what different code has made there."""
    return str(sorted(code().items()))


def environment(device: str, precision: str, memory_format: str, threads: int) -> dict[str, Any]:
    """What numbers can depend on beside code, data and seed."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "device": device,
        "precision": precision,
        "memory_format": memory_format,
        "threads": threads,
    }


def _git(root: Path, *arguments: str) -> str | None:
    try:
        found = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
