"""The gate on the audit's side of the pipe: what an attack gets past its own view is declared, offered and counted."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import pytest

from cutlayer.attack import Guess
from cutlayer.auditing.audit import run_cell
from cutlayer.auditing.grants import Outside
from cutlayer.auditing.result import Result
from cutlayer.experiment import OFFERABLE
from cutlayer.isolated.isolation import ProcessHost, main
from cutlayer.isolated.lines import Lines, Pipes
from cutlayer.isolated.process import OtherProcess
from cutlayer.message import Kind
from cutlayer.scene.scene import Scene
from cutlayer.seat.seating import answerable
from cutlayer.simulation.assembly import brief
from cutlayer.threat import Goal, Knows, Row, TooEarlyError, UndeclaredError, View
from tests.cells import quiet
from tests.scenes import made, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")
VANILLA = {"protocol": "vanilla", "cut": "1", "epochs": 1, "targets": 2}


class Beside(OtherProcess):
    """The other end in a thread: the same lines, without the wait for an interpreter."""

    def __init__(self) -> None:
        super().__init__(Mock())
        wires, controls = Pipe(), Pipe()
        self._ours = Pipes(wires[0], controls[0])
        threading.Thread(target=main, args=(Pipes(wires[1], controls[1]),), daemon=True).start()

    def open(self) -> Lines:
        return self._ours


def declaring(what: str) -> Scene:
    return scene_of(attack="cheat", options={"cheat": {"declares": what}}, offers=[what], **VANILLA)


def asked(run: Path, asks: str, declares: str = "", **values: Any) -> Result:
    options = {"cheat": {"asks": asks, "declares": declares}}
    return run_cell(scene_of(attack="cheat", options=options, **VANILLA, **values), run, quiet, Beside())


@pytest.mark.parametrize("what", ["natural_inputs", "natural_labels", "peer_weights"])
def test_what_is_offered_but_not_declared_is_not_granted(tmp_path: Path, what: str) -> None:
    with pytest.raises(UndeclaredError, match=f"seat for {what}; declared and offered there: aux_inputs$"):
        asked(tmp_path, what, "aux_inputs", offers=OFFERABLE)


@pytest.mark.parametrize(("what", "count"), [("aux_inputs", 2), ("peer_queries", 6), ("class_prior", 2)])
def test_what_is_taken_past_the_view_is_counted(tmp_path: Path, what: str, count: int) -> None:
    assert asked(tmp_path, what, what, offers=[what]).record.threat.used == {what: count}


def test_only_what_is_declared_and_offered_may_be_asked_for() -> None:
    told = brief(declaring("class_prior"), attack=True)
    offered = dataclasses.replace(told, offers=(Knows.CLASS_PRIOR, Knows.PEER_WEIGHTS, Knows.OWN_PART))
    assert answerable(dataclasses.replace(told, offers=(Knows.PEER_WEIGHTS,))) == set()
    assert answerable(offered) == {Knows.CLASS_PRIOR}
    assert answerable(dataclasses.replace(offered, attack="")) == set()


def test_a_peer_that_is_asked_too_early_is_named(tmp_path: Path) -> None:
    scene = scene_of(
        attack="cheat", options={"cheat": {"declares": "peer_weights"}}, offers=["peer_weights"], **VANILLA
    )
    with (
        patch.object(type(scene.attack), "begin", lambda attack, view: view.peer_weights()),
        pytest.raises(TooEarlyError, match="peer_weights is asked of a client, there is none while the attack begins"),
    ):
        run_cell(scene, tmp_path, quiet, Beside())


def test_the_class_prior_is_known_from_the_beginning(tmp_path: Path) -> None:
    scene = declaring("class_prior")
    begin, told = type(scene.attack).begin, []

    def asking(attack: Any, view: View) -> None:
        told.append(view.class_prior())
        begin(attack, view)

    with patch.object(type(scene.attack), "begin", asking):
        assert run_cell(scene, tmp_path, quiet, Beside()).record.threat.used == {"class_prior": 1}
    shares = [
        float((scene.dataset.train.labels == label).float().mean()) for label in range(len(scene.dataset.classes))
    ]
    assert told[0].tolist() == pytest.approx(shares)


def test_rows_cross_the_pipe_as_they_are() -> None:
    scene, seen = scene_of(attack="cheat", **VANILLA), []

    def infer(attack: Any) -> Sequence[Guess]:
        seen.extend(attack._view.targets)
        return [Guess(Goal.INPUTS, {}, tuple(attack._view.targets))]

    host = ProcessHost(brief(scene, attack=True), Outside(), quiet, Beside())
    with patch.object(type(scene.attack), "infer", infer):
        host.ready()
        host.announce([Row(Kind.PREDICT, 3, 1)])
        (guess,) = host.infer()
    host.close()
    for rows in (seen, guess.rows):
        assert list(rows) == [Row(Kind.PREDICT, 3, 1)]
        assert rows[0].kind is Kind.PREDICT
