"""A training while it is recorded: where it stands is kept with the length of its tape, which is cut to it again."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch

from cutlayer.auditing.begun import Begun, Measured, States
from cutlayer.exchange.tape import Recorder, RecordingError

logger = logging.getLogger("cutlayer")
_TAPE = "tape"


@dataclass(frozen=True)
class Taped(Begun):
    """Where a training is kept that ``recorder`` attends."""

    recorder: Recorder | None = None
    """None: nothing of it is recorded."""

    def keep(self, steps: int, states: States, measured: Measured) -> None:
        """Keep ``states``, once all exchanges so far have reached the disk."""
        if self.recorder:
            self.recorder.close()
        super().keep(steps, {**states, **self._tape()}, measured)

    def latest(self, form: States) -> tuple[States, Measured] | None:
        """The newest states, with the tape cut to their place; None, with an empty tape: there are none to go on from.

        So it is where the tape is damaged before that place, or would not be what it is under the limit that it has
        now, which is told.
        """
        found = super().latest({**form, **self._tape()})
        if self.recorder is None:
            return found
        if found:
            size, limit, full = (int(found[0][_TAPE][name]) for name in ("bytes", "limit", "full"))
            try:
                if size > self.recorder.limit or (full and limit != self.recorder.limit):
                    raise RecordingError(f"{self.recorder.file} was recorded with another limit")
                self.recorder.go_back(size, bool(full))
            except RecordingError as error:
                logger.warning("%s: the training is recorded anew", error)
                self.discard()
            else:
                return found
        self.recorder.go_back(0, full=False)
        return None

    def _tape(self) -> States:
        if self.recorder is None:
            return {}
        stands = {"bytes": self.recorder.bytes, "limit": self.recorder.limit, "full": self.recorder.full}
        return {_TAPE: {name: torch.tensor(value) for name, value in stands.items()}}
