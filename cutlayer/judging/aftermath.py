"""What is measured of a backdoor beside its success: where it lives, what a transfer leaves of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from cutlayer.attack import Guess
from cutlayer.judging.backdoor import trigger_of
from cutlayer.judging.residence import residence
from cutlayer.judging.transfer import transferred
from cutlayer.judging.truth import untrained
from cutlayer.record import Residence, Transfer
from cutlayer.scene.scene import Scene
from cutlayer.simulation.assembly import whole_model
from cutlayer.simulation.session import Session
from cutlayer.threat import Goal, Progress


@dataclass(frozen=True)
class Aftermath:
    """Of one backdoor; empty where there is none."""

    residence: Residence | None = None
    transfer: Transfer | None = None


def aftermath(
    scene: Scene,
    session: Session,
    guesses: Sequence[Guess],
    clean: nn.Sequential | None,
    progress: Progress,
) -> Aftermath:
    """Where a backdoor lives in the deployment, and what a transfer to other data leaves of it."""
    guess = next((guess for guess in guesses if guess.goal is Goal.BACKDOOR), None)
    if clean is None or guess is None:
        return Aftermath()
    trigger = trigger_of(guess, scene.dataset.input_shape, len(scene.dataset.classes))
    models = {"attacked": whole_model(scene, session), "clean": clean}
    lives = residence(guess, trigger, models, untrained(scene), scene)
    return Aftermath(lives, transferred(trigger, models, scene, progress) if scene.transfer else None)
