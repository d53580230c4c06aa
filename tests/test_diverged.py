"""A training that leaves the finite numbers: one line that says where, and what may help."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from cutlayer.auditing.audit import run_cell
from cutlayer.auditing.grants import Outside
from cutlayer.isolated.isolation import ProcessHost
from cutlayer.scene.scene import Scene
from cutlayer.seat.host import Act, Host
from cutlayer.simulation.assembly import accuracy, assemble, brief, honest_host
from cutlayer.simulation.session import DivergedError, Session
from cutlayer.sweeping.estimate import training_seconds
from cutlayer.wire import NotFiniteError
from tests.calls import call, elsewhere
from tests.cells import STOCHASTIC, UNSPLIT, quiet
from tests.scenes import CUTS, made, scene_of

__all__ = ["call", "elsewhere", "made"]
pytestmark = pytest.mark.usefixtures("made")

WILD = {"optimizer": "sgd", "learning_rate": 1e20}
LINE = (
    r"the training diverged in step (\d): (train|forward|backward) message of step \1 from '(server|client-0)': tensor "
    r"'\w+' holds NaN or infinite values; a lower learning_rate \(it was 1e\+20\) may keep it finite"
)


def session_of(scene: Scene, host: Host | None = None) -> Session:
    return assemble(scene, host or honest_host(scene))


@pytest.mark.parametrize("protocol", CUTS)
def test_the_step_the_message_and_the_rate_are_named(protocol: str) -> None:
    session = session_of(scene_of(protocol=protocol, cut=CUTS[protocol], **WILD))
    with pytest.raises(DivergedError, match=f"^{LINE}$") as found:
        session.train_epoch(1)
    assert isinstance(found.value.__cause__, NotFiniteError)


def spoiled(session: Session, number: int, value: float) -> None:
    with torch.no_grad():
        for weight in session.clients[number].parts.parameters():
            weight.fill_(value)


def test_it_is_the_same_where_another_process_refuses_the_message() -> None:
    scene = scene_of(protocol="label_only", cut="4")
    host = ProcessHost(brief(scene, attack=False), Outside(), quiet)
    try:
        host.ready()
        session = session_of(scene, host)
        session.exchange(Act.STEP, 0, session.shards[0][:8])
        spoiled(session, 0, torch.inf)
        with pytest.raises(DivergedError, match="diverged in step 1: train message of step 1 from 'client-0'"):
            session.exchange(Act.STEP, 0, session.shards[0][:8])
    finally:
        host.close()


def test_the_last_step_of_a_turn_or_of_the_training_is_named_too() -> None:
    scene = scene_of(protocol="vanilla", cut="1", clients=2, batch_size=22)
    session = session_of(scene)
    session.train_epoch(1)
    assert [client.step for client in session.clients] == [1, 2]
    spoiled(session, 1, torch.inf)
    with pytest.raises(DivergedError, match=r"diverged in step 1: hand-over from 'client-1' to 'client-0': weight"):
        session.take_turn(0)
    with pytest.raises(DivergedError, match="diverged in step 1: predict message of step 0 from 'client-1'"):
        accuracy(scene, session)


def test_who_only_watches_a_training_is_not_blamed(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=f"^{LINE}$"):
        run_cell(scene_of(attack="spy", protocol="vanilla", cut="1", isolate=False, **WILD), tmp_path, quiet)


def test_what_was_never_trained_has_not_diverged() -> None:
    scene = scene_of(protocol="vanilla", cut="1")
    session = session_of(scene)
    spoiled(session, 0, torch.nan)
    for act in (lambda: session.train_epoch(1), lambda: accuracy(scene, session)):
        with pytest.raises(NotFiniteError, match="message of step 0 from 'client-0': tensor 'smashed' holds NaN"):
            act()


def test_an_estimate_leaves_it_to_the_training_to_say_so(tmp_path: Path) -> None:
    assert training_seconds(scene_of(protocol="vanilla", cut="1", **WILD), tmp_path, {}) == 0


@pytest.mark.parametrize("command", ["train", "record", "audit"])
def test_the_user_reads_one_line(call: Any, command: str, tmp_path: Path) -> None:
    options = [f"unsplit.{name}={value}" for name, value in UNSPLIT["options"]["unsplit"].items()]
    values = ["optimizer=sgd", "learning_rate=1e20", f"model={STOCHASTIC}", "batch_size=8", "epochs=1"]
    how = ["--json", "isolate=false"] if command == "audit" else []
    asked = ["attack=unsplit", "protocol=vanilla", "cut=1", *values, *options, "name=wild"]
    code, out, err = call(command, *how, *asked)
    if command == "audit":
        found = json.loads(out)
        assert (code, found["status"]) == (1, "failed")
        assert re.fullmatch(f"DivergedError: {LINE}", found["reason"])
        return
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert re.fullmatch(f"cutlayer: {LINE}", err.splitlines()[-1])
    assert not list(tmp_path.rglob("recording.json"))


@pytest.mark.parametrize("command", ["train", "record"])
def test_one_that_diverges_ends_no_other_training(call: Any, command: str) -> None:
    """What is done is told when it is done."""
    values = ["optimizer=sgd", "learning_rate=1e20,0.01", f"model={STOCHASTIC}", "batch_size=8", "epochs=1"]
    limited = ["--limit", "1MB"] if command == "record" else []
    small = ["train_rows=40", "test_rows=8", "skew=0.5", "name=wild"]
    code, out, err = call(command, *limited, "protocol=vanilla", "cut=1", *values, "momentum=0.5,0.6", *small)
    assert code == 2
    assert len(out.splitlines()) == 2
    each = r"learning_rate=1e\+20 momentum=(0\.\d) on digits, vanilla, cut 1, seed 1: the training diverged in step 1: "
    assert re.findall(each, err.splitlines()[-1]) == ["0.5", "0.6"]
    assert len([line for line in err.splitlines() if re.match(f"failed: .*{each}", line)]) == 2, "as soon as it is so"
    assert "skew = 0.5 changes nothing: there is one client" in err.splitlines()
