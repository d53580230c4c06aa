"""Docstrings on a terminal: lines are joined, lists hang, code is told from prose."""

from __future__ import annotations

import io

from rich.console import Console, Group

from cutlayer.commands.explain import explanation
from cutlayer.commands.prose import prose, spelled

DOC = """One sentence
over two lines.

What follows:

* An item that is written
  in two lines with ``code`` in it.
* Another.

1. First of all.
2. Then."""


def shown(width: int) -> list[str]:
    """The lines of a terminal that is so wide."""
    console = Console(file=io.StringIO(), width=width)
    console.print(Group(*prose(DOC)))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_paragraphs_and_items_fill_the_width() -> None:
    assert shown(60) == [
        "One sentence over two lines.",
        "",
        "What follows:",
        "",
        "• An item that is written in two lines with `code` in it.",
        "• Another.",
        "",
        "1. First of all.",
        "2. Then.",
        "",
    ]
    assert shown(30)[4:7] == ["• An item that is written in", "  two lines with `code` in it.", "• Another."]


def test_a_command_to_copy_is_whole() -> None:
    console = Console(file=io.StringIO(), width=40)
    console.print(explanation("inversion_query_free", None), crop=False)
    assert isinstance(console.file, io.StringIO)
    whole = "    cutlayer audit attack=inversion_query_free offers=aux_inputs,aux_labels,peer_architecture"
    assert whole in console.file.getvalue().splitlines()


def test_code_has_a_color() -> None:
    text = spelled("before ``code`` behind")
    assert text.plain == "before `code` behind"
    assert [(span.start, span.end, span.style) for span in text.spans] == [(7, 13, "cyan")]
