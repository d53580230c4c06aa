"""What holds for every test: one thread, where bits are compared, and in CI the same examples each time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

from cutlayer.isolated import grpc_process, process
from cutlayer.sweeping import pool
from tests.stem import Stem

settings.register_profile("repeatable", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """A sum over two threads rounds otherwise than over one."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the disk guards against what no test brings about; a file outlives a killed process without it."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def stem() -> Iterator[Stem]:
    """Begins with the first process that is forked from it."""
    found = Stem()
    yield found
    found.close()


@pytest.fixture(autouse=True)
def forked(stem: Stem, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's own processes start fast, where a process that has imported torch can be forked."""
    for module in (process, grpc_process, pool) if sys.platform == "linux" else ():
        monkeypatch.setattr(module, "subprocess", stem.subprocess)


@pytest.fixture
def started_anew(forked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test that is about a process's own start: it starts as it does for a user."""
    for module in (process, grpc_process, pool):
        monkeypatch.setattr(module, "subprocess", subprocess)
