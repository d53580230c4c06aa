"""A training that an adversary attends, and the victim it leaves for attacks that meet it once it is deployed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cutlayer.adversary import Adversary
from cutlayer.attack import Attack, TamperingAttack
from cutlayer.auditing.begun import Begun, Measured
from cutlayer.auditing.grants import Outside
from cutlayer.auditing.shelved import shelf_of
from cutlayer.auditing.training import train_through
from cutlayer.auditing.victim import Victim, keep, key, look_up, train, trained
from cutlayer.computing import prepare
from cutlayer.isolated.grpc_process import GrpcProcess
from cutlayer.isolated.isolation import ProcessHost
from cutlayer.isolated.process import OtherProcess
from cutlayer.layout import RunFolder
from cutlayer.protocol import TRAINING
from cutlayer.record import Course
from cutlayer.scene.loading import own_files
from cutlayer.scene.scene import Scene
from cutlayer.seat.host import Host, Occupant
from cutlayer.seat.seating import seat_clients, seat_server
from cutlayer.shelf import Shelf
from cutlayer.simulation.assembly import CARRIERS, assemble, brief, honest_host, whole_model
from cutlayer.simulation.session import DivergedError, Session
from cutlayer.threat import NotOfferedError, Progress, Seat


def attends_training(attack: Attack) -> bool:
    """Whether the adversary is there while the victim trains, so that one that is trained already will not do."""
    return isinstance(attack, TamperingAttack) or watches_training(attack)


def watches_training(attack: Attack) -> bool:
    """Whether it wants to see training steps other than those of its targets."""
    return bool(attack.watches & TRAINING) and attack.setting.target_kind != "train"


def attends(scene: Scene) -> bool:
    """Whether the adversary of ``scene`` is there while what it attacks is trained."""
    return attends_training(scene.attack) and scene.experiment.when == "after"


@dataclass(frozen=True)
class Seated:
    """A deployment with an adversary in one of its seats."""

    host: Host
    occupant: Occupant
    """Who is asked for guesses."""
    among_clients: Adversary | None = None
    """The same, where it sits beside the malicious clients."""

    def attended(self, scene: Scene, outside: Outside) -> Session:
        """The training that it attends; ``outside`` is answered from there."""
        session = outside.session = assemble(scene, self.host)
        if self.among_clients:
            session.adversaries = dict.fromkeys(scene.malicious, self.among_clients)
        return session


@contextmanager
def seated(
    scene: Scene,
    outside: Outside,
    progress: Progress,
    process: OtherProcess | None = None,
    shelf: Shelf | None = None,
) -> Iterator[Seated]:
    """The deployment while the adversary of ``scene`` is there.

    In ``process`` where it is isolated and one is at hand; with what is on the ``shelf`` at hand. ``NotOfferedError``
    when the attack needs more than is offered.
    """
    told = brief(scene, attack=True)
    if scene.attack.threat.seat is Seat.CLIENT:
        # A malicious client knows its own samples anyway.
        insider = seat_clients(told, outside.malicious, outside, progress)
        yield Seated(honest_host(scene), insider, insider.adversary)
        return
    host: Host
    if scene.isolated:
        if scene.experiment.carrier == "grpc":
            process = GrpcProcess()
        host = ProcessHost(told, outside, progress, process, shelf)
    else:
        host = seat_server(told, outside, progress, CARRIERS[scene.experiment.carrier], shelf=shelf)
    try:
        if isinstance(host, ProcessHost):
            host.ready()
            # The other process has read them anew.
            scene.check_files()
        yield Seated(host, host.occupant)
    finally:
        host.close()


def train_attended(
    scene: Scene,
    session: Session,
    occupant: Occupant,
    begun: Begun,
    progress: Progress,
    after: Callable[[int], Sequence[Course]] = lambda epoch: (),
) -> Measured:
    """Train with the adversary in its seat; ``after`` is called with the number of each epoch."""
    try:
        return train_through(scene, session, begun, "training under attack", progress, occupant, after)
    except DivergedError as error:
        if not isinstance(scene.attack, TamperingAttack):
            raise
        why = f"under attack by {scene.experiment.attack}, whose options may be why"
        raise DivergedError(f"{why}, {error}") from error


def train_under_attack(scene: Scene, run: Path, progress: Progress) -> Victim:
    """The victim that the attack of ``scene`` leaves behind: looked up in ``run``, or trained with it in its seat."""
    folder = RunFolder(run).victim(attacked_key(scene))
    if victim := look_up(scene, folder):
        return victim
    prepare(scene.experiment.threads)
    outside = Outside(scene.auxiliary, scene.facts)
    with seated(scene, outside, progress, shelf=shelf_of(scene, run)) as place:
        session = place.attended(scene, outside)
        found = train_attended(scene, session, place.occupant, _begun(scene, run), progress)
        victim = Victim(whole_model(scene, session), found.epochs)
    keep_attacked(scene, run, victim)
    return victim


def keep_attacked(scene: Scene, run: Path, victim: Victim) -> None:
    """Keep ``victim``, which the attack of ``scene`` left behind, for other cells to look up."""
    keep(scene, RunFolder(run).victim(attacked_key(scene)), victim)
    _begun(scene, run).discard()


def _begun(scene: Scene, run: Path) -> Begun:
    """Where the training is kept that is done for other cells alone."""
    key = attacked_key(scene)
    return Begun(RunFolder(run).victim(key).attended, lambda: trained(key, run))


def attacked_key(scene: Scene) -> str:
    """What two scenes share whose attacks leave the same victim behind."""
    experiment, auxiliary = scene.experiment, scene.auxiliary
    # No isolated cell takes what an attack has left that could have read the truth.
    own = (str(scene.options), own_files(experiment, "attacks"), str(scene.malicious), str(scene.isolated))
    data = auxiliary.content if auxiliary else ""
    return f"attacked-{experiment.fingerprint(key(scene), *own, data, only=('protocol', 'cut', 'attack'))}"


def deployed(scene: Scene, run: Path, progress: Progress) -> Victim:
    """What an attack on the trained deployment meets: an honestly trained one, or what another attack has left.

    ``NotOfferedError`` where that other attack does not apply.
    """
    if scene.under is None:
        return train(scene, run, progress)
    try:
        return train_under_attack(scene.under, run, progress)
    except NotOfferedError as error:
        raise NotOfferedError(f"under = {scene.under.experiment.attack!r}: {error}") from error


def deployed_key(scene: Scene) -> str:
    """What two scenes share that meet the same victim."""
    return attacked_key(scene.under) if scene.under else key(scene)
