"""The package started as a module."""

import subprocess
import sys


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "cutlayer", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
