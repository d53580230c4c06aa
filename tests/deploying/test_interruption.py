"""Parties that are killed at any moment end with the bits of a run that nobody disturbed."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cutlayer.deploying.outcome import read_party_record
from tests.deployments import Deployment, Papers, assert_same_bits, plan_of
from tests.interruptions import files_for
from tests.nursery import Nursery
from tests.scenes import made

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")
SECONDS = 240


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as found:
        yield found


def run_with_kills(
    nursery: Nursery, deployed: Deployment, kills: int, seed: int, pause: tuple[float, float], **changes: Any
) -> int:
    """Start everybody, kill and start again at random until ``kills`` is reached, wait for the end; kills done."""
    files = files_for(deployed, {"checkpoint_every": 7, **changes})
    draw, done = random.Random(seed), 0

    def start(name: str) -> None:
        nursery.start(name, "serve" if name == "server" else "join", files[name], deployed.folder)

    def finished(name: str) -> bool:
        record = read_party_record(files[name].parent)
        return record is not None and record.status == "done"

    for name in files:
        start(name)
    end = time.monotonic() + SECONDS
    while not all(map(finished, files)):
        time.sleep(draw.uniform(*pause))
        name = draw.choice(list(files))
        if done < kills and nursery.alive(name) and not finished(name):
            nursery.kill(name, draw.choice((signal.SIGKILL, signal.SIGINT)))
            done += 1
            start(name)
        # A process that is only just being started has written none.
        written = {name: deployed.folder / f"{name}.log" for name in files}
        logs = {name: path.read_text()[-600:] for name, path in written.items() if path.exists()}
        assert time.monotonic() < end, logs
        lost = [name for name in files if not nursery.alive(name) and not finished(name)]
        assert lost == [], logs
    # The server ends last: it hears of every client that it has its part.
    while any(nursery.alive(name) for name in files):
        assert time.monotonic() < end
        time.sleep(0.02)
    for name in files:
        start(name)
    while any(nursery.alive(name) for name in files):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert all("done already" in (deployed.folder / f"{name}.log").read_text() for name in files)
    return done


@pytest.mark.parametrize(
    ("protocol", "pipelined"),
    [
        ("u_shaped", True),
        pytest.param("vanilla", False, marks=pytest.mark.slow),
        pytest.param("u_shaped", False, marks=pytest.mark.slow),
        pytest.param("label_only", False, marks=pytest.mark.slow),
    ],
)
def test_a_few_kills_change_no_bit(nursery, tmp_path, protocol, pipelined):
    # Long enough for two kills on a fast machine that does nothing else.
    deployed = Deployment(plan_of(2, protocol=protocol, epochs=30, pipelined=pipelined), tmp_path, Papers())
    assert run_with_kills(nursery, deployed, 2, 1, (0.02, 0.15)) == 2
    assert_same_bits(deployed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "clients", "values"),
    [
        ("vanilla", 3, {"turn": 2}),
        ("u_shaped", 2, {"turn": 2}),
        ("label_only", 2, {"turn": 2}),
        ("vanilla", 2, {"pipelined": True}),
        ("u_shaped", 2, {"pipelined": True}),
        ("label_only", 2, {"pipelined": True}),
    ],
)
def test_many_kills_change_no_bit(nursery, tmp_path, protocol, clients, values):
    deployed = Deployment(plan_of(clients, protocol=protocol, epochs=100, **values), tmp_path, Papers())
    assert run_with_kills(nursery, deployed, 20, 2, (0.02, 0.4)) == 20
    assert_same_bits(deployed)
