"""What holds for every test: one thread, where bits are compared, and in CI the same examples each time."""

from __future__ import annotations

import copyreg
import os
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import settings
from jinja2 import Environment

from cutlayer.isolated import grpc_process, process
from cutlayer.report import page
from cutlayer.sweeping import pool
from tests.stem import Stem

# Small networks are copied all the time here, most of it their empty hooks: the same copies, but faster.
copyreg.dispatch_table[OrderedDict] = lambda kept: (OrderedDict, (), vars(kept) or None, None, iter(kept.items()))

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


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """The report's templates; a process of a user writes one report, here each of them would compile all anew."""
    kept: list[Environment] = []

    def once(**options: Any) -> Environment:
        kept[:] = kept or [Environment(**options)]
        return kept[0]

    with patch.object(page, "Environment", once):
        yield


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
