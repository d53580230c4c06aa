"""Paths from the user's home folder, as they are typed where no shell writes them out: behind ``key=``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def at_home(path: Path) -> Path:
    """``path`` with the folder that its ``~`` stands for; one that stands for nobody is kept, as shells do."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def written_out(text: str) -> str:
    """The same of a text that may name no file at all: but for a ``~`` in front it stays as it is, to the letter."""
    return str(at_home(Path(text))) if text.startswith("~") else text


def all_at_home(value: Any) -> Any:
    """``value`` with ``at_home`` of every path in it."""
    match value:
        case Path():
            return at_home(value)
        case tuple() | list():
            return (tuple if isinstance(value, tuple) else list)(map(all_at_home, value))
        case dict():
            return {key: all_at_home(part) for key, part in value.items()}
    return value
