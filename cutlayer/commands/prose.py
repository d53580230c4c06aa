"""Docstrings as a terminal shows them: paragraphs and lists that fill its width, code in a color of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_ITEM = re.compile(r"(\*|\d+\.) +")
_CODE = re.compile(r"``(.+?)``")


def prose(doc: str) -> Iterator[Padding]:
    """The paragraphs and items of a docstring that has been dedented, each with its lines joined."""
    for paragraph in re.split(r"\n\s*\n", doc.strip()):
        parts = _parts(paragraph)
        for number, part in enumerate(parts):
            mark = _ITEM.match(part)
            shown = spelled(part) if mark is None else _item(mark[1], part[mark.end() :])
            yield Padding(shown, (0, 0, number == len(parts) - 1, 0))


def _parts(paragraph: str) -> list[str]:
    """A paragraph's items, or itself; an item goes on in lines that are indented."""
    parts: list[str] = []
    for line in paragraph.splitlines():
        if not parts or _ITEM.match(line):
            parts.append(line.strip())
        else:
            parts[-1] += f" {line.strip()}"
    return parts


def _item(mark: str, text: str) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_row("•" if mark == "*" else mark, spelled(text))
    return grid


def spelled(text: str) -> Text:
    """``text`` with its code in color, and in single backticks where there is none."""
    parts = _CODE.split(text)
    return Text.assemble(*((f"`{part}`", "cyan") if number % 2 else part for number, part in enumerate(parts)))
