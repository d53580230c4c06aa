"""The attacked party in another process: the same bits, and nothing to steal there but what crossed the wire."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import pytest
import torch

from cutlayer.auditing.audit import run_cell
from cutlayer.auditing.grants import Outside
from cutlayer.auditing.result import Result
from cutlayer.isolated.grpc_process import GrpcProcess
from cutlayer.isolated.isolation import ProcessHost, _Resident
from cutlayer.isolated.lines import Line
from cutlayer.isolated.process import Ahead, IsolatedError, pack
from cutlayer.message import Kind, Message
from cutlayer.scene.scene import Scene
from cutlayer.simulation.assembly import assemble, brief, honest_host
from cutlayer.simulation.session import Session
from cutlayer.threat import Knows, NotOfferedError
from tests.scenes import made, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")
TAMPERING = {"protocol": "vanilla", "cut": "1", "epochs": 1}
SMALL = {"width": 8, "blocks": 1, "level": 1}
CUTS = {"vanilla": "1", "u_shaped": "1:4", "label_only": "4"}


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def ended(host: ProcessHost | None, scene: Scene) -> Session:
    session = assemble(scene, host or honest_host(scene))
    session.train_epoch(1)
    return session


@pytest.mark.parametrize("protocol", ["u_shaped", "label_only", pytest.param("vanilla", marks=pytest.mark.slow)])
def test_another_process_ends_in_the_same_bits(protocol: str) -> None:
    scene = scene_of(protocol=protocol, cut=CUTS[protocol], clients=2)
    here = ended(None, scene)
    host = ProcessHost(brief(scene, attack=False), Outside(), quiet)
    try:
        host.ready()
        there = ended(host, scene)
        states = here.checkpoint(), there.checkpoint()
        assert here.host.meter == there.host.meter
    finally:
        host.close()
    for party, state in states[0].items():
        for name, tensor in state.items():
            assert torch.equal(tensor, states[1][party][name]), f"{party} {name}"


def cheated(run: Path, isolate: bool) -> Result:
    return run_cell(scene_of(protocol="vanilla", cut="1", attack="cheat", isolate=isolate, epochs=1), run, quiet)


@pytest.mark.usefixtures("started_anew")
def test_an_attack_that_reads_the_call_stack_is_caught(tmp_path: Path) -> None:
    """In one process it is perfect; in another one it has nothing: the difference convicts it."""
    (here,), (there,) = (
        [score for score in cheated(tmp_path, isolate).record.scores if score.metric == "mse"]
        for isolate in (False, True)
    )
    assert here.value == 0.0
    assert there.value is not None
    assert there.blind is not None
    assert there.value >= there.blind


def test_a_watching_attack_guesses_the_same_in_either_process(tmp_path: Path) -> None:
    guesses = []
    for isolate in (False, True):
        scene = scene_of(protocol="u_shaped", cut="1:4", isolate=isolate, epochs=1)
        outcome = run_cell(scene, tmp_path, quiet)
        assert outcome.record.isolated is isolate
        assert outcome.record.attack.notes["messages"] > 20
        guesses.append(outcome.images["guess"])
    assert torch.equal(*guesses)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"protocol": "u_shaped", "cut": "1:4"}, marks=pytest.mark.slow, id="passive, client drives"),
        pytest.param({"protocol": "label_only", "cut": "4"}, id="passive, server drives"),
        pytest.param(
            {"attack": "fsha", "options": {"fsha": SMALL}, "offers": ["aux_inputs"], **TAMPERING},
            marks=pytest.mark.slow,
            id="tampering",
        ),
        pytest.param(
            {
                "attack": "surrogate_client",
                **TAMPERING,
                "offers": ["peer_architecture", "aux_inputs", "aux_labels"],
                "aux": "share",
            },
            id="live party",
        ),
    ],
)
def test_over_grpc_the_guess_is_that_of_one_process(tmp_path: Path, values: dict[str, Any]) -> None:
    found = []
    for how in ({"isolate": False}, {"isolate": True, "carrier": "grpc"}):
        outcome = run_cell(scene_of(**{"epochs": 1, **values, **how}), tmp_path / str(len(found)), quiet)
        assert outcome.record.isolated is how["isolate"]
        assert outcome.record.scores, outcome.record.reason
        found.append(outcome)
    here, there = found
    assert here.images.keys() == there.images.keys()
    assert all(torch.equal(image, there.images[name]) for name, image in here.images.items())
    assert here.record.scores == there.record.scores
    assert here.record.attack.notes == there.record.attack.notes


@pytest.mark.parametrize("start", ["forked", pytest.param("started_anew", marks=pytest.mark.slow)])
def test_a_process_at_the_other_end_of_grpc_that_dies_is_named(start: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(start)
    scene = scene_of(protocol="vanilla", cut="1")
    host = ProcessHost(brief(scene, attack=False), Outside(), quiet, GrpcProcess())
    try:
        host.ready()
        os.kill(host._other.process.pid, signal.SIGKILL)
        with pytest.raises(IsolatedError, match="exit code -9"):
            host.checkpoint()
    finally:
        host.close()


def test_a_process_that_has_gone_before_it_is_told_anything_is_named() -> None:
    scene = scene_of(protocol="vanilla", cut="1")
    host = ProcessHost(brief(scene, attack=False), Outside(), quiet)
    try:
        host.ready()
        host._other.process.kill()
        host._other.process.wait()
        with pytest.raises(IsolatedError, match="exit code -9"):
            host.checkpoint()
        with pytest.raises(IsolatedError, match="exit code -9"):
            host.answer(Message(Kind.PREDICT, "client-0", 0, {"smashed": torch.zeros(1)}))
    finally:
        host.close()


def test_a_process_that_cannot_be_started_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    served: list[Mock] = []

    def listened(*given: Any) -> tuple[Mock, int]:
        served.append(Mock())
        return served[-1], 1

    monkeypatch.setattr("cutlayer.isolated.grpc_process.serve", listened)
    refused = Mock(Popen=Mock(side_effect=OSError("no memory")))
    monkeypatch.setattr("cutlayer.isolated.grpc_process.subprocess", refused)
    with pytest.raises(OSError, match="no memory"):
        GrpcProcess()
    assert list(tmp_path.iterdir()) == [], "keys"
    served[0].stop.assert_called_once_with(0)


def test_what_the_attack_lacks_is_said_across_the_pipe() -> None:
    scene = scene_of(protocol="u_shaped", cut="1:4", attack="unsplit", offers=())
    host = ProcessHost(brief(scene, attack=True), Outside(), quiet)
    try:
        with pytest.raises(NotOfferedError, match="does not offer peer_architecture"):
            host.ready()
    finally:
        host.close()


def test_a_killed_process_is_named() -> None:
    scene = scene_of(protocol="vanilla", cut="1")
    host = ProcessHost(brief(scene, attack=False), Outside(), quiet)
    try:
        host.ready()
        os.kill(host._other.process.pid, signal.SIGKILL)
        with pytest.raises(IsolatedError, match="exit code -9"):
            host.checkpoint()
    finally:
        host.close()


@pytest.mark.parametrize(("due", "named"), [("state", "'state'"), ("", "'a frame'")])
def test_what_the_other_process_has_no_business_to_say_is_an_error(due: str, named: str) -> None:
    lines = Mock(next=lambda: Line.CONTROL, receive=Mock(side_effect=[pack("done", None, {}), EOFError]))
    host = ProcessHost(brief(scene_of(protocol="vanilla", cut="1"), attack=False), Outside(), quiet, Mock(lines=lines))
    with pytest.raises(IsolatedError, match=f"the attacked party's process said 'done', where {named} was due"):
        host._until(due)


def test_there_an_answer_to_another_question_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    told = dataclasses.asdict(brief(scene_of(protocol="vanilla", cut="1"), attack=False))
    came = [pack("begin", told, {}), pack("granted", None, {}), pack("taken", False, {}), pack("close", None, {})]
    seated = Mock()
    monkeypatch.setattr("cutlayer.isolated.isolation.seat_server", seated)
    _Resident(Mock(receive=Mock(side_effect=came)))
    outside = seated.call_args.args[1]
    assert outside(Knows.PEER_WEIGHTS, {}) == {}
    with pytest.raises(ValueError, match="'taken' is no answer to 'grant'"):
        outside(Knows.PEER_WEIGHTS, {})
    with pytest.raises(EOFError, match="the caller answers nothing more"):
        outside(Knows.PEER_WEIGHTS, {})


def test_the_brief_holds_no_root_seed() -> None:
    scene = scene_of(protocol="vanilla", cut="1", seed=987654321)
    assert "987654321" not in repr(brief(scene, attack=True))


def test_a_process_that_waits_is_not_forgotten_over_a_cell_that_needs_none() -> None:
    ahead, started = Ahead(), []
    make = lambda: started.append(Mock()) or started[-1]  # noqa: E731
    with patch("cutlayer.isolated.process.PipedProcess", make):
        first = ahead.take(isolate=True, another=True)
        assert len(started) == 2
        assert ahead.take(isolate=False, another=True) is None
        assert ahead.take(isolate=True, another=False) is started[1] is not first
        ahead.close()
        assert len(started) == 2
        ahead.take(isolate=False, another=True)
        ahead.close()
    assert [each.close.called for each in started] == [False, False, True]
