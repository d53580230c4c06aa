"""What holds for every test: one thread, where bits are compared, and in CI the same examples each time."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """A sum over two threads rounds otherwise than over one."""
    torch.set_num_threads(1)
