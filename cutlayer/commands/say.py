"""Single lines on a console."""

from __future__ import annotations

from rich.console import Console


def say(console: Console, text: str, style: str = "") -> None:
    """Print ``text`` as it stands, unbroken however wide the terminal: no bracket is markup, no word an emoji."""
    console.print(text, style=style or None, highlight=False, soft_wrap=True, markup=False, emoji=False)
