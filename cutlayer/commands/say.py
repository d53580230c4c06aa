"""Single lines on a console."""

from __future__ import annotations

from rich.console import Console


def say(console: Console, text: str, style: str = "") -> None:
    """Print ``text`` as it stands, in one line however wide the terminal is: brackets in names are no markup, colons no emoji."""
    console.print(text, style=style or None, highlight=False, soft_wrap=True, markup=False, emoji=False)
