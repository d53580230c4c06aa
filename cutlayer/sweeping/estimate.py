"""How long a cell will take, from a rehearsal on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from cutlayer.attack import Attack
from cutlayer.auditing import victim
from cutlayer.auditing.attacked import attends
from cutlayer.auditing.audit import leaves, shared
from cutlayer.auditing.company import course_key, shares
from cutlayer.auditing.grants import Outside
from cutlayer.auditing.outline import begun
from cutlayer.auditing.target import send_targets
from cutlayer.auditing.victim import steps_to_train
from cutlayer.computing import prepare
from cutlayer.data.auxiliary import Auxiliary
from cutlayer.data.samples import Samples
from cutlayer.dataset import Dataset, Split
from cutlayer.registry import cls
from cutlayer.scene.scene import Scene
from cutlayer.seat.host import Act
from cutlayer.seat.making import make_attack
from cutlayer.seat.seating import seat_clients, seat_server
from cutlayer.simulation.assembly import assemble, brief, honest_host
from cutlayer.simulation.session import DivergedError, Session
from cutlayer.sweeping.folder import finished
from cutlayer.threat import NotOfferedError, Seat

_REHEARSED_STEPS = 3
_LONG = 10.0  # seconds of rehearsed steps behind which no more are made than it takes to know a pace
_REHEARSED_TARGETS = 200
_REHEARSED_ROWS = 2048
_OVERHEAD = 2.0  # seconds a cell takes beside training and attack


def estimates(cells: Sequence[Scene], run: Path) -> list[float]:
    """Seconds for each cell, 0 where its record is there; cells that share a victim train it once."""
    attacks: dict[object, Pace] = {}
    paces: dict[str, float] = {}
    trained: set[str] = set()
    seconds = []
    for scene in cells:
        if finished(scene, run):
            seconds.append(0.0)
            continue
        experiment = scene.experiment
        # Numbers among the options change how many steps there are, words what a step is.
        words = [f"{name}={value}" for name, value in scene.options.items() if isinstance(value, str)]
        computed = (experiment.model, experiment.threads, experiment.device)
        attacked = (experiment.protocol, scene.cuts, experiment.attack, experiment.when, *words)
        alike = (experiment.dataset, *computed, *attacked)
        try:
            if alike not in attacks:
                attacks[alike] = attack_pace(scene)
            kept = begun(scene, run).steps
            spent = attacks[alike].seconds(scene, kept)
            if shares(scene) and attacks[alike].applies and not kept:
                if course_key(scene) in trained:
                    # What the parties do themselves they do for all who attend.
                    spent -= min(spent, seconds_of(scene, watched_steps(scene), paces))
                trained.add(course_key(scene))
            for whom in set(shared(scene)) - trained:
                trained.add(whom)
                spent += training_seconds(scene, run, paces, whom)
            trained.update(leaves(scene))
        except (Exception, SystemExit):  # noqa: BLE001 - what fails here fails again in its cell, whose record says why
            spent = 0.0
        seconds.append(spent)
    return seconds


def training_seconds(scene: Scene, run: Path, paces: dict[str, float], whom: str = "") -> float:
    """What training the scene's victim will still take, or its victim ``whom``; 0 where it is there already.

    One that an attack attends is taken to be as fast as an honest one. ``paces`` keeps the seconds of a step, which are
    those of any other seed.
    """
    own = whom in ("", victim.key(scene))
    steps = steps_to_train(scene, run) if own else 0 if victim.trained(whom, run) else victim.all_steps(scene)
    return seconds_of(scene, steps, paces)


def seconds_of(scene: Scene, steps: int, paces: dict[str, float]) -> float:
    """What so many ``steps`` of an honest training of the scene's deployment take; ``paces`` as above."""
    if not steps:
        return 0.0
    alike = scene.experiment.fingerprint(drop=("seed", "attack", "steps", "options", "targets", "when", "name", "out"))
    if alike not in paces:
        prepare(scene.experiment.threads)
        session = assemble(scene, honest_host(scene))
        try:
            paces[alike] = _steps(session, scene.experiment.batch_size)[1]
        except DivergedError:
            # So will the training, which says where.
            paces[alike] = 0.0
    return paces[alike] * steps


@dataclass(frozen=True)
class Pace:
    """What an attack was seen to take in its shortest run."""

    applies: bool
    watched: float = 0.0
    """Seconds of a training step under attack."""
    spent: float = 0.0
    """Seconds of what it does outside of these steps: before its first one, or once it is to guess."""
    work: int = 0
    """Optimization steps among that; 0 where it takes none."""

    def seconds(self, scene: Scene, kept: int = 0) -> float:
        """What it will take in ``scene``, scaled by its own count of optimization steps.

        ``kept``: training steps under attack that need not be made again.
        """
        if not self.applies:
            return 0.0
        spent = self.spent * scene.work / self.work if self.work else self.spent
        return _OVERHEAD + self.watched * (watched_steps(scene) - kept) + spent


def attack_pace(scene: Scene) -> Pace:
    """How fast the attack is here. It rehearses in this process, so it is shown noise in place of the data."""
    experiment = scene.experiment
    prepare(experiment.threads)
    kind: type[Attack] = cls("attacks", experiment.attack, Attack, experiment.plugins)
    # Of many targets a part is rehearsed: the attack's own count of steps says how many more there are.
    number, steps = min(len(scene.target_rows), _REHEARSED_TARGETS), watched_steps(scene)
    # A step of the training is not shortened by any option: it is rehearsed as it is.
    options = {**scene.options, **({} if steps else kind.presets.get("rehearsal", {}))}
    rehearsed = make_attack(experiment.attack, options, experiment.plugins)
    few = max(number, experiment.batch_size, len(scene.dataset.classes))
    noise, rows = _noise(scene.dataset, max(few, _rows_to_deal(scene))), torch.arange(few)
    scene = replace(
        scene,
        experiment=experiment.with_values(targets=number),
        samples=Samples(noise),
        attack=rehearsed,
        auxiliary=scene.auxiliary and Auxiliary(noise.test, rows, noise.input_shape, scene.auxiliary.labeled),
    )
    outside = Outside(scene.auxiliary, scene.facts)
    told = brief(scene, attack=True)
    try:
        told = replace(told, options=options)
        server = scene.attack.threat.seat is Seat.SERVER
        host = seat_server(told, outside) if server else honest_host(scene)
        session = outside.session = assemble(scene, host)
        occupant = host.occupant if server else seat_clients(told, outside.malicious, outside)
        if occupant.adversary and not server:
            session.adversaries = dict.fromkeys(range(experiment.clients), occupant.adversary)
        first = watched = 0.0
        if steps:
            # What the first step of a process takes beyond any other is none of the attack's.
            _steps(assemble(scene, honest_host(scene)), experiment.batch_size)
            first, watched = _steps(session, experiment.batch_size)
        start = time.perf_counter()
        occupant.announce(tuple(send_targets(scene, session)))
        occupant.infer()
    except NotOfferedError:
        return Pace(applies=False)
    return Pace(True, watched, max(0.0, first - watched) + time.perf_counter() - start, scene.work)


def watched_steps(scene: Scene) -> int:
    """Training steps that an adversary attends."""
    return victim.all_steps(scene) if attends(scene) else 0


def _rows_to_deal(scene: Scene) -> int:
    """Rows of which each client gets a whole batch, as far as it has one, beside those that no client gets."""
    experiment = scene.experiment
    hands = (experiment.clients + 1) / (1 - (experiment.share or 0))
    # With many clients a smaller batch must do, but a single sample cannot be normalized.
    most = max(_REHEARSED_ROWS, math.ceil(2 * hands))
    return min(len(scene.samples.train_rows), most, math.ceil(experiment.batch_size * hands))


def _steps(session: Session, batch_size: int) -> tuple[float, float]:
    """Seconds of a first training step, in which an adversary may get ready, and of one behind it."""
    client = max(range(len(session.shards)), key=lambda number: len(session.shards[number]))
    rows, ends = session.shards[client][:batch_size], [time.perf_counter()]
    for behind in range(1 + _REHEARSED_STEPS):
        session.exchange(Act.STEP, client, rows)
        ends.append(time.perf_counter())
        if behind and ends[-1] - ends[0] > _LONG:
            break
    return ends[1] - ends[0], (ends[-1] - ends[1]) / behind


def _noise(dataset: Dataset, size: int) -> Dataset:
    """Data of the same form, ``size`` rows, of the classes in turn."""
    inputs = torch.rand(size, *dataset.input_shape)
    split = Split((inputs * 255).byte() if dataset.is_images else inputs, torch.arange(size) % len(dataset.classes))
    return replace(dataset, train=split, test=split)
