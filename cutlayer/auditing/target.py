"""The samples that are to be guessed: which they are, and how they pass over the wire."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from cutlayer.message import Kind
from cutlayer.scene.scene import Scene
from cutlayer.seat.host import Act
from cutlayer.simulation.session import Session
from cutlayer.threat import Row

_MOST = 1000  # targets in one message


def at_once(scene: Scene) -> int:
    """How many targets go into one message: as asked for, as in the attack's paper, or all, in bounds."""
    given = scene.experiment.target_batch or scene.attack.setting.target_batch or _MOST
    return min(given, len(scene.target_rows))


def send_targets(scene: Scene, session: Session) -> Mapping[Row, int]:
    """Let the client whose turn it is send the targets, one way or the other; their rows by their place on the wire."""
    act = Act.STEP if scene.attack.setting.target_kind == "train" else Act.PREDICT
    rows = scene.sent_rows
    size = at_once(scene)
    number = session.last or 0
    ledger = session.clients[number].ledger
    sent: dict[Row, int] = {}
    for batch in torch.split(rows, size):
        before = dict(ledger)
        session.exchange(act, number, batch)
        for (kind, step), noted in ledger.items():
            # A server that drives numbers its predictions anew in each replica that was evaluated: a key may repeat.
            if kind is not Kind.BACKWARD and noted is not before.get((kind, step)):
                sent |= {Row(kind, step, place): row for place, row in enumerate(ledger[kind, step].tolist())}
    return sent
