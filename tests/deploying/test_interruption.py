"""Parties that are killed at any moment end with the bits of a run that nobody disturbed."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cutlayer.deploying.outcome import read_party_record
from tests.deployments import Deployment, Papers, assert_same_bits, plan_of
from tests.interruptions import files_for
from tests.nursery import Nursery
from tests.scenes import made
from tests.stem import Stem

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")
SECONDS = 240
Kills = Iterator[tuple[str, signal.Signals] | None]
"""Who is to be killed now, and how; nobody yet."""


@pytest.fixture(scope="module")
def nursery(stem: Stem) -> Iterator[Nursery]:
    with Nursery(begin=stem.fork) if sys.platform == "linux" else Nursery() as found:
        yield found


def at_random(names: Sequence[str], seed: int, pause: tuple[float, float]) -> Kills:
    """Anybody, ``pause`` seconds (from, to) after the last one."""
    draw = random.Random(seed)
    while True:
        time.sleep(draw.uniform(*pause))
        yield draw.choice(names), draw.choice((signal.SIGKILL, signal.SIGINT))


def at_words(folder: Path, *kills: tuple[str, str, signal.Signals]) -> Kills:
    """Whoever has said some words: (name, words, how), one after another."""
    for name, words, how in kills:
        while words not in said(folder, name):
            yield None
        yield name, how


def said(folder: Path, name: str) -> str:
    # A process that is only just being started has written nothing.
    log = folder / f"{name}.log"
    return log.read_text() if log.exists() else ""


def run_with_kills(nursery: Nursery, deployed: Deployment, kills: Kills, most: int) -> int:
    """Start everybody, kill and start again whom ``kills`` names, ``most`` times, wait for the end; kills done."""
    files, done = files_for(deployed, {"checkpoint_every": 7}), 0

    def start(name: str) -> None:
        nursery.start(name, "serve" if name == "server" else "join", files[name], deployed.folder)

    def finished(name: str) -> bool:
        record = read_party_record(files[name].parent)
        return record is not None and record.status == "done"

    for name in files:
        start(name)
    end = time.monotonic() + SECONDS
    while not all(map(finished, files)):
        due = next(kills, None) if done < most else None
        if due and nursery.alive(due[0]) and not finished(due[0]):
            nursery.kill(*due)
            done += 1
            start(due[0])
        elif not due:
            time.sleep(0.01)
        logs = {name: said(deployed.folder, name)[-600:] for name in files}
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
    assert all("done already" in said(deployed.folder, name) for name in files)
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
    """Each within a turn, or just after it on a machine that is busy with something else."""
    deployed = Deployment(plan_of(2, protocol=protocol, epochs=4, pipelined=pipelined), tmp_path, Papers())
    kills = (("server", "epoch 2 of", signal.SIGKILL), ("c1", "epoch 3, turn 6", signal.SIGINT))
    assert run_with_kills(nursery, deployed, at_words(tmp_path, *kills), len(kills)) == len(kills)
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
    names = ("server", *deployed.plan.terms.clients)
    assert run_with_kills(nursery, deployed, at_random(names, 2, (0.02, 0.4)), 20) == 20
    assert_same_bits(deployed)
