"""Activations that a server overhears in predictions, by the samples they belong to."""

from __future__ import annotations

import torch
from torch import Tensor

from cutlayer.message import Message
from cutlayer.threat import NotOfferedError, Row, View


class Overheard:
    """What passed so far; which of it are targets may be announced later."""

    def __init__(self, view: View) -> None:
        """``NotOfferedError`` where the inputs are the server's own."""
        if view.layout.owners[0] is view.threat.seat:
            raise NotOfferedError(f"in {view.protocol} the inputs and the first part are the server's own")
        self._view = view
        self._smashed: dict[Row, Tensor] = {}

    def keep(self, message: Message) -> None:
        """The activations in ``message``, if it has any."""
        if "smashed" in message:
            for row, smashed in enumerate(message["smashed"]):
                self._smashed[Row(message.kind, message.step, row)] = smashed

    def targets(self) -> tuple[tuple[Row, ...], Tensor]:
        """The targets that passed, and their activations [n, ...]; all that passed is forgotten."""
        rows = tuple(row for row in self._view.targets if row in self._smashed)
        smashed = torch.stack([self._smashed[row] for row in rows]) if rows else torch.empty(0)
        self._smashed.clear()
        return rows, smashed
