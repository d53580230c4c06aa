"""Training with a forward pass made ahead, and somebody who watches, tampers, or lives in another process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cutlayer.adversary import Adversary
from cutlayer.attack import Guess, TamperingAttack
from cutlayer.auditing.audit import run_cell
from cutlayer.auditing.grants import Outside
from cutlayer.batch import Batch
from cutlayer.channel import Handler
from cutlayer.isolated.isolation import ProcessHost
from cutlayer.message import Message
from cutlayer.seat import seating
from cutlayer.simulation.assembly import assemble, brief
from cutlayer.stream import Stream
from cutlayer.threat import Goal, Seat, ThreatModel, View
from tests.exchange.test_pipelined import CUTS, pipelined, same, session_of, state, trained
from tests.parties import layout_of
from tests.scenes import made

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")


def test_a_server_that_drives_in_another_process_ends_in_the_same_bits() -> None:
    scene = pipelined("label_only", clients=2, epochs=1)
    host = ProcessHost(brief(scene, attack=False), Outside(), lambda what, done, total: None)
    try:
        host.ready()
        session = assemble(scene, host)
        session.train_epoch(1)
        assert same(state(session), state(trained(scene, epochs=1)))
    finally:
        host.close()


@pytest.mark.parametrize("protocol", CUTS)
def test_watching_changes_nothing_and_shows_every_message_in_order(protocol: str) -> None:
    scene = pipelined(protocol, clients=2)
    host = seating.seat_server(brief(scene, attack=True), lambda what, tensors: {})
    assert host.occupant.adversary
    seen: list[tuple[str, int]] = []
    observe = host.occupant.adversary.attack.observe

    def noting(message: Message) -> None:
        seen.append((message.kind, message.step))
        observe(message)

    host.occupant.adversary.attack.observe = noting  # type: ignore[method-assign]
    watched = assemble(scene, host)
    for epoch in (1, 2):
        watched.train_epoch(epoch)
    assert same(state(watched), state(trained(scene)))
    kinds = ["forward", "forward", "backward", "backward"] if protocol == "u_shaped" else ["train", "train"]
    assert seen == [(kind, step) for step in range(12) for kind in kinds]


class Poisoner(TamperingAttack):
    """A malicious client that trains on random labels, and tells when it was asked for what."""

    paper = plain = "none"

    def __init__(self) -> None:
        self.asked: list[Any] = []

    @property
    def threat(self) -> ThreatModel:
        return ThreatModel(Seat.CLIENT, frozenset({Goal.BACKDOOR}), frozenset(), tampers=True)

    def begin(self, view: View) -> None:
        """Nothing to begin with."""

    def own_batch(self, batch: Batch) -> Batch:
        assert batch.labels is not None
        self.asked.append(batch.rows.tolist())
        return Batch(batch.rows, batch.inputs, torch.randint(4, (len(batch.rows),)))

    def around(self, request: Message, honest: Handler) -> Message:
        self.asked.append(request.step)
        return honest(request)

    def infer(self) -> list[Guess]:
        return []


def test_a_malicious_client_is_asked_for_each_batch_once_and_in_order() -> None:
    found, sent = {}, {}
    for ahead in (False, True):
        session = session_of(pipelined("vanilla", pipelined=ahead))
        attack = Poisoner()
        session.adversaries = {0: Adversary(attack, View(attack.threat, {}, (), layout_of("vanilla")), Stream(3))}
        labels, answer = [], session.host.answer

        def noting(request: Message, labels: list[Tensor] = labels, answer: Handler = answer) -> Message:
            labels.append(request["labels"])
            return answer(request)

        session.host.answer = noting  # type: ignore[method-assign]
        session.train_epoch(1)
        found[ahead], sent[ahead] = attack.asked, torch.cat(labels)
    rows = [asked for asked in found[True] if isinstance(asked, list)]
    assert rows == [asked for asked in found[False] if isinstance(asked, list)]
    assert found[True] == [rows[0], *(entry for step in range(5) for entry in (rows[step + 1], step)), 5]
    assert torch.equal(sent[False], sent[True])


def test_a_tampering_server_and_one_in_another_process_agree(tmp_path: Path) -> None:
    found = []
    offers = ["peer_architecture", "aux_inputs", "aux_labels"]
    values = {"attack": "surrogate_client", "offers": offers, "aux": "share", "epochs": 1}
    for isolate in (False, True):
        outcome = run_cell(
            pipelined("vanilla", **values, isolate=isolate), tmp_path / str(isolate), lambda what, done, total: None
        )
        assert outcome.record.scores, outcome.record.reason
        found.append(outcome.record)
    assert found[0].scores == found[1].scores
    assert found[0].experiment["pipelined"] is True
