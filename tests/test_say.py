"""Lines on a console: as they are, whatever brackets and numbers are in them."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

from rich.console import Console

from cutlayer.commands.say import say
from tests.house import ROOT


def test_a_line_is_printed_as_it_stands() -> None:
    """A folder may be named [old], and one [/b]: as markup the first is lost, the second an error."""
    written = StringIO()
    console = Console(file=written, width=20, force_terminal=True, color_system="standard")
    told = "report: " + "a/" * 20 + "[old]/[/b]/12 of :tada:"
    say(console, told)
    say(console, told, "red")
    plain, red = written.getvalue().splitlines()
    assert plain == told
    assert red != told
    assert re.sub(r"\x1b\[[0-9;]*m", "", red) == told


def test_commands_print_lines_in_no_other_way() -> None:
    """What is printed otherwise are tables, which are made of cells."""
    here = Path(ROOT) / "cutlayer"
    elsewhere = {
        f"{file.relative_to(here)}: {line.strip()}"
        for file in [*here.glob("commands/*.py"), here / "cli.py"]
        for line in file.read_text().splitlines()
        if re.search(r"console\.print\((?!table\)|\*summary_tables\()", line) and file.name != "say.py"
    }
    assert elsewhere == set()
