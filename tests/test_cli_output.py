"""Standard output is what was asked for, whoever else writes there, and however."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cutlayer
from cutlayer.commands.output import reserved

LOUD = """
import ctypes, os, subprocess, sys
from cutlayer.commands.output import reserved
print("before")
with reserved() as out:
    print("printed")
    sys.__stdout__.write("through the old stream\\n")
    os.write(1, b"raw\\n")
    ctypes.CDLL(None).puts(b"from C")
    subprocess.run([sys.executable, "-S", "-c", "print('from another process')"])
    print("a result", file=out)
print("after")
"""


def test_a_process_keeps_its_standard_output_for_results() -> None:
    # As a user starts it: without buffers nothing would be held back.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run([sys.executable, "-c", LOUD], capture_output=True, text=True, env=environment)
    assert done.stdout.splitlines() == ["before", "a result", "after"]
    told = {"printed", "through the old stream", "raw", "from C", "from another process"}
    assert set(done.stderr.splitlines()) == told


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-"])
def test_a_process_without_one_of_its_streams_does_its_work(closed: str) -> None:
    code = "from cutlayer.commands.output import reserved\nwith reserved() as out: print('a result', file=out)"
    done = subprocess.run(["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, code], capture_output=True)
    assert done.returncode == 0
    assert done.stdout == (b"" if ">&-" in closed.replace("2>&-", "") else b"a result\n")


def test_after_an_error_standard_output_is_what_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), reserved():
        raise ZeroDivisionError
    os.write(1, b"raw\n")
    print("printed", flush=True)
    assert set(capfd.readouterr().out.splitlines()) == {"raw", "printed"}


def test_what_a_command_needs_is_imported_when_it_is_called() -> None:
    """Nothing that takes seconds: `cutlayer --help` and `certs` need no network."""
    code = "import sys, cutlayer.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(cutlayer.__file__).parents[1]).returncode == 0
