"""What attacks share that plant a backdoor with a square trigger: its options, and the malicious server's seat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cutlayer.attack import TamperingAttack
from cutlayer.threat import Goal, Knows, NotOfferedError, Seat, ThreatModel, View
from cutlayer.trigger import Square, Values


@dataclass
class Planting(TamperingAttack):
    """A trigger of square form, and the class it stands for."""

    size: int = 8
    """Side of the square trigger in pixels."""
    row: int = 0
    """Its uppermost row."""
    column: int = -1
    """Its leftmost column; -1: in the middle."""
    values: Values = "uniform"
    """What its pixels are."""
    darkest: float = 0.0
    """The lowest value of uniform pixels."""
    brightest: float = 1.0
    """The highest value of uniform pixels."""
    target: int = 0
    """The class that triggered inputs are to be taken for."""

    def __post_init__(self) -> None:
        self.square()

    def check(self, input_shape: tuple[int, ...], classes: int) -> None:
        """``ValueError`` for a trigger that does not fit the images, or a target that is no class."""
        self.square().check(input_shape, classes)

    def idle(self) -> Mapping[str, str]:
        """The range of values of a trigger that has none."""
        return dict.fromkeys(("darkest", "brightest"), "the trigger is white") if self.values == "white" else {}

    def square(self) -> Square:
        """The trigger's place; ``ValueError`` where it can be none."""
        return Square(self.size, self.row, self.column, self.target, self.darkest, self.brightest)


@dataclass
class ServerPlanting(Planting):
    """A malicious server that computes the clients' loss and has labeled data and networks of its own."""

    learning_rate: float = 1e-3
    """Of every Adam of the attack's own, in the beginning."""
    weight_decay: float = 1e-4
    """Of those that train a network with labels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate = {self.learning_rate}: it is greater than 0")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay = {self.weight_decay}: it is at least 0")

    @property
    def threat(self) -> ThreatModel:
        """A malicious server with labeled data of its own."""
        knows = {Knows.OWN_PARTY, Knows.LABELS, Knows.PEER_ARCHITECTURE, Knows.AUX_INPUTS, Knows.AUX_LABELS}
        return ThreatModel(Seat.SERVER, frozenset({Goal.BACKDOOR}), frozenset(knows), tampers=True)

    def begin(self, view: View) -> None:
        """``NotOfferedError`` where the server has no labels to compute a loss with, or nothing comes from clients."""
        if view.layout.labels_at is not Seat.SERVER or view.layout.owners != (Seat.CLIENT, Seat.SERVER):
            raise NotOfferedError(f"in {view.protocol} the server computes no loss of the clients' batches")
        self._view, self._begun = view, False
