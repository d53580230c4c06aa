"""Malformed frames at a real server, over TLS: the stream ends each time, and the training ends in the same bits."""

from __future__ import annotations

import contextlib
import random

import pytest

from cutlayer.transport.duplex import DisconnectedError, RefusedError
from tests.deploying.test_hostile import ends, greeting, stranger
from tests.deployments import Deployment, assert_same_bits, made_here, plan_of
from tests.fuzzing import Ground, mutated
from tests.scenes import made

__all__ = ["made", "made_here"]
pytestmark = pytest.mark.usefixtures("made", "made_here")


@pytest.mark.parametrize("frames", [12, pytest.param(300, marks=pytest.mark.slow)])
def test_malformed_frames_harm_nobody(tmp_path, monkeypatch, frames):
    """c1 sends them as its first words and instead of its first message; then it comes honestly."""
    # Else it would lose its turns.
    monkeypatch.setattr("cutlayer.deploying.roll._MOST_FAULTS", frames)
    deployed = Deployment(plan_of(2, epochs=1, turn=2), tmp_path / "parties", settings={"wait_seconds": 600})
    threads = [deployed.serve(), deployed.join("c0")]
    seeds, draw = Ground(tmp_path / "ground").seeds, random.Random(1)
    identity = deployed.papers.identity("c1")
    try:
        for number in range(frames):
            link = stranger(deployed, identity)
            if number % 2:
                link.tell("hello", **greeting(deployed, "c1"))
            with contextlib.suppress(DisconnectedError, RefusedError):
                link.send(mutated(draw.choice(seeds), draw))
            assert isinstance(ends(link), DisconnectedError | RefusedError)
        threads.append(deployed.join("c1"))
        deployed.wait(*threads)
    finally:
        deployed.stop()
    assert_same_bits(deployed)
