"""Two processes never work in one folder."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path
from typing import IO

import pytest

from cutlayer.experiment import ExperimentError
from cutlayer.lock import locked


def held(folder: Path) -> IO[str]:
    return locked(folder, folder / "lock", "another `folder`")


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(ExperimentError, match=f"another cutlayer process works in {tmp_path}: .*`"):
        held(tmp_path)
    held(tmp_path).close()


def test_a_file_system_without_locks_is_not_taken_for_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(file: IO[str], how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(ExperimentError, match="cannot be locked: No locks available; choose another `folder`"):
        held(tmp_path)
