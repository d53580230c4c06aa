"""An attack with data of its own that attends the training and can be asked at any time: it guesses their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cutlayer.attack import Attack, Guess
from cutlayer.message import Kind, Message
from cutlayer.threat import Goal, Knows, Seat, ThreatModel, View


@dataclass
class WellInformed(Attack):
    """Counts the training steps that it saw."""

    paper = "none"
    plain = "A test."
    watches = frozenset({Kind.TRAIN})
    anytime = True

    @property
    def threat(self) -> ThreatModel:
        return ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), frozenset({Knows.AUX_INPUTS, Knows.AUX_LABELS}))

    def begin(self, view: View) -> None:
        self._view = view
        self._steps: set[int] = set()

    def observe(self, message: Message) -> None:
        self._steps.add(message.step)

    def infer(self) -> Sequence[Guess]:
        inputs, labels = self._view.aux_inputs(), self._view.aux_labels()
        assert len(inputs) == len(labels)
        # The more it has seen, the darker its guess: so the guesses of two epochs differ.
        guess = inputs.mean(0) / (1 + len(self._steps))
        rows = tuple(self._view.targets)
        return [Guess(Goal.INPUTS, {"inputs": guess.expand(len(rows), *guess.shape).contiguous()}, rows)]
