"""Malformed frames end in an error each time: no crash, no hang, no growth, and the party is as it was."""

from __future__ import annotations

import gc
import random
import resource
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzzing import BOUND, Ground, mutated

FUZZER = Path(__file__).parent.parent / "scripts" / "fuzz_frames.py"
MANY = 100_000


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("shelves"))


def test_the_seeds_are_well_formed_and_taken_somewhere(ground: Ground) -> None:
    assert len(ground.seeds) > 20
    assert not any(ground.feed(seed) for seed in ground.seeds)
    assert ground.unharmed()


def test_refused_frames_leave_parties_as_they_were(ground: Ground) -> None:
    """A few seconds of what the slow test does for long."""
    refused = hammer(ground, 1000, seed=1)
    assert refused > 800
    assert ground.unharmed()


@pytest.mark.slow
def test_a_hundred_thousand_mutated_frames_are_refused(ground: Ground) -> None:
    hammer(ground, 2000, seed=2)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = hammer(ground, MANY, seed=3)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert refused > MANY * 0.8
    # Parsing may need a few times the frame at once; nothing of it may stay.
    assert grown < 64 * BOUND
    assert ground.unharmed()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="make fuzz installs atheris")
def test_a_hundred_thousand_frames_guided_by_coverage_are_refused(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(FUZZER),
        str(tmp_path),
        f"-runs={MANY}",
        "-seed=1",
        "-rss_limit_mb=4096",
        "-timeout=10",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"Done {MANY}" in done.stderr or f"#{MANY}" in done.stderr


def hammer(ground: Ground, frames: int, seed: int) -> int:
    """How many of so many mutated frames were refused by everybody; none may take a second."""
    draw, refused = random.Random(seed), 0
    for _ in range(frames):
        data = mutated(draw.choice(ground.seeds), draw)
        start = time.process_time()
        refused += ground.feed(data)
        assert time.process_time() - start < 1.0, data[:200]
    return refused
