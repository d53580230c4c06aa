"""Memory that stays at hand: in processes of their own, as it cannot be undone."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest


def takes_threshold() -> bool:
    kind, version = platform.libc_ver()
    return kind == "glibc" and tuple(map(int, version.split("."))) >= (2, 35)


CODE = """
import resource, sys
import torch
from cutlayer.computing import prepare
if sys.argv[1] == "kept":
    prepare(1)
# The first few find their places.
for _ in range(20):
    torch.ones(9 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(9 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not takes_threshold(), reason="only glibc from about 2.35 on can be told")
def test_large_tensors_take_the_memory_of_those_before_them() -> None:
    def faults(how: str) -> int:
        run = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True, timeout=120)
        return int(run.stdout)

    # Ten times 36 MiB in pages of 4 KiB.
    assert faults("freed") > 50_000
    assert faults("kept") < 1_000
