"""Attacks run on small made data through the code of any audit: honestly, or as a negative control."""

from __future__ import annotations

import atexit
import dataclasses
import shutil
import tempfile
import typing
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import torch
from torch import Tensor

from cutlayer import registry
from cutlayer.attack import Attack, Guess, TamperingAttack
from cutlayer.auditing import attacked, audit
from cutlayer.channel import Handler
from cutlayer.dataset import Dataset, Split
from cutlayer.experiment import make
from cutlayer.judging.judge import Judgement, Truth, judge
from cutlayer.message import Kind, Message
from cutlayer.record import NOT_APPLICABLE, Record, Thresholds
from cutlayer.scene.scene import Scene
from cutlayer.scene.settle import settle
from cutlayer.seat.making import make_attack
from cutlayer.seat.seating import Brief
from cutlayer.simulation.assembly import brief
from cutlayer.threat import Goal, Knows
from tests.controls import Control, Meanwhile

CLASSES, SIDE, TRAIN, TEST = 10, 16, 200, 200
MANY, FEW = 50, 4  # targets: of attacks whose papers have many, and of the others
CUTS = {"vanilla": "1", "u_shaped": "1"}
# Where nothing may be changed, what is left to judge is the deployment: with these it is not ruined by the training.
MILD = {"sladv": {"alpha": 0.01}}


@dataclass(frozen=True)
class Case:
    """An attack with options in a protocol."""

    attack: str
    protocol: str
    options: tuple[tuple[str, Any], ...] = ()
    plugins: Path | None = None

    def __str__(self) -> str:
        return "-".join([self.attack, self.protocol, *(f"{name}={value}" for name, value in self.options)])


@dataclass(frozen=True)
class Trial:
    """What one run of a case left behind; of an attack that is asked after every epoch, the last time."""

    record: Record
    guesses: tuple[Guess, ...]
    truth: Truth | None
    judgements: tuple[Judgement, ...]
    """Of a negative control; the guesses of an honest run are not judged."""
    seen: frozenset[tuple[Kind, str]]
    """Kinds and names of the tensors that the attack was shown; empty for another process."""
    controlled: bool
    """Whether a negative control has made any difference."""


def cases(plugins: Path | None = None, only: str = "") -> list[Case]:
    """Every attack as it is in every protocol, its own one first, and with each choice of its options in its own one.

    A choice is any value of an option that is annotated with a ``Literal``.
    """
    found: list[Case] = []
    for name in [only] if only else registry.names("attacks", plugins):
        kind: type[Attack] = registry.cls("attacks", name, Attack, plugins)
        short = tuple(kind.presets.get("rehearsal", {}).items())
        home = kind.setting.protocol
        protocols = [home, *(other for other in registry.names("protocols") if other != home)]
        found += [Case(name, protocol, short, plugins) for protocol in protocols]
        found += [Case(name, home, (*short, choice), plugins) for choice in _choices(kind)]
    return found


def distinct(found: Sequence[Case]) -> list[Case]:
    """The first case of ``found`` for each attack and threat model."""
    first: dict[object, Case] = {}
    for case in found:
        first.setdefault((case.attack, attack_of(case).threat), case)
    return list(first.values())


def plain(found: Sequence[Case]) -> list[Case]:
    """The first case of ``found`` for each attack and protocol: with its options as they are."""
    first: dict[object, Case] = {}
    for case in found:
        first.setdefault((case.attack, case.protocol), case)
    return list(first.values())


def applies(case: Case) -> bool:
    """Whether the attack has anything to do in the case's protocol, given all it declares."""
    return trial(case).record.status != NOT_APPLICABLE


@cache
def trial(case: Case) -> Trial:
    """The case in this process with the first seed, run once."""
    return run(case)


def run(case: Case, seed: int = 1, control: Control = "", isolate: bool = False) -> Trial:
    """Run the case, offering its attack exactly what it declares.

    ``zeroed``: whatever comes from the client is zero, in messages, gradients and answers to queries. A passive attack
    is only shown zeros, so that there is a trained victim to be stolen; around a tampering one they are on the wire.
    ``faint``: triggers leave inputs as they are while the attack plants them, and are judged as if they had been seen.
    ``permuted``: all parties train on permuted labels, and guesses are scored against the real ones.
    ``confined``: nothing may be changed about natural inputs.
    """
    settled = scene_of(case, seed, control, isolate)
    guesses: list[Guess] = []
    truths: list[Truth] = []
    seen: set[tuple[Kind, str]] = set()
    kind = type(settled.attack)
    observe, around = kind.observe, getattr(kind, "around", None)
    meanwhile, controlled = Meanwhile(control, kind), False

    def judged(
        found: Sequence[Guess], truth: Truth, thresholds: Thresholds, deciding: Sequence[str]
    ) -> list[Judgement]:
        # Only one that may be asked again is judged again, about targets of a later epoch.
        assert not truths or kind.anytime
        nonlocal controlled
        # Whoever judges makes use of triggers, too.
        controlled = meanwhile.changed or _controlled(truth, control)
        guesses[:] = found
        truths.append(truth)
        return []

    def shown(attack: Attack, message: Message) -> None:
        seen.update((message.kind, name) for name in message)
        observe(attack, meanwhile.shown(message))

    def passed(attack: TamperingAttack, request: Message, honest: Handler) -> Message:
        def noted(message: Message) -> Message:
            reply = honest(message)
            seen.update((reply.kind, name) for name in reply)
            return reply

        seen.update((request.kind, name) for name in request)
        return around(attack, request, noted)

    with ExitStack() as patched:
        told = lambda s, attack: told_of(s, s.attack.threat.knows, attack)  # noqa: E731
        for where, what, instead in (
            (audit, "brief", told),
            (attacked, "brief", told),
            (audit, "judge_all", judged),
            (kind, "observe", shown),
            *([(kind, "around", passed)] if around else []),
            *meanwhile.instead(),
        ):
            patched.enter_context(patch.object(where, what, instead))
        record = audit.run_cell(settled, _folder(), lambda what, done, total: None).record
    judgements = tuple(_judged(guess, truths[-1], control) for guess in guesses if control)
    truth = truths[-1] if truths else None
    return Trial(record, tuple(guesses), truth, judgements, frozenset(seen), controlled)


def attack_of(case: Case) -> Attack:
    """The case's attack with its options."""
    return make_attack(case.attack, dict(case.options), case.plugins)


@cache
def scene_of(case: Case, seed: int = 1, control: Control = "", isolate: bool = False) -> Scene:
    """The case on the made data."""
    attack = attack_of(case)
    # Only what is judged has to have learned something, and from zeros nothing does.
    short = {"epochs": 4 if control and not attack.threat.tampers else 2}
    # Relabeling alone ruins a training that is short, or that a malicious client has to itself: nothing could succeed.
    training = {"clients": 3, "turn": 1, "epochs": 10} if control == "faint" else short
    experiment = make(
        {
            "attack": case.attack,
            "options": {case.attack: dict(case.options) | (MILD.get(case.attack, {}) if control == "confined" else {})},
            "protocol": case.protocol,
            "cut": CUTS.get(case.protocol, "auto"),
            "model": "unsplit_mnist",
            "plugins": case.plugins,
            "targets": MANY if attack.setting.targets >= MANY else FEW,
            "aux": "share" if Goal.BACKDOOR in attack.threat.goals else "test",
            "seed": seed,
            "isolate": isolate,
            "budget": 0 if control == "confined" else 0.3,
            **training,
            "batch_size": 16,
            "learning_rate": 5e-3,
            "device": "cpu",
            "precision": "fp32",
            "threads": 1,
        }
    )
    with patch("cutlayer.scene.settle.load_dataset", lambda experiment: _data(control == "permuted")):
        return settle(experiment)[0]


def told_of(settled: Scene, offers: frozenset[Knows], attack: bool = True) -> Brief:
    """What the server's seat is told, with exactly ``offers``."""
    return dataclasses.replace(brief(settled, attack), offers=tuple(sorted(offers)))


def _judged(guess: Guess, truth: Truth, control: Control) -> Judgement:
    if control == "permuted":
        truth = dataclasses.replace(truth, labels=real_labels(truth.inputs))
    return judge(guess, truth, Thresholds())


def _controlled(truth: Truth, control: Control) -> bool:
    """Whether the judge has been given other labels than the real ones, or budgets that leave no room."""
    if control == "confined":
        assert truth.evasion is not None
        return not any(reach for budget in truth.evasion.budgets.values() for reach in budget.reach)
    return control == "permuted" and not torch.equal(truth.labels, real_labels(truth.inputs))


@cache
def _data(permuted: bool) -> Dataset:
    """A pattern of blocks for each class, and noise. Permuted labels go evenly over the rows of each class."""
    draw = torch.Generator().manual_seed(6)

    def made(size: int) -> Split:
        rows = torch.arange(size)
        labels = rows % CLASSES
        noise = torch.randint(0, 100, (size, 1, SIDE, SIDE), generator=draw)
        images = (noise + 150 * _patterns()[labels][:, None]).to(torch.uint8)
        return Split(images, rows // CLASSES % CLASSES if permuted else labels)

    # The source is part of what trained victims are looked up by.
    classes = tuple("abcdefghij")
    return Dataset("made", made(TRAIN), made(TEST), classes, source="permuted" if permuted else "made")


@cache
def _patterns() -> Tensor:
    """Dark and bright blocks, 0 and 1, [classes, side, side]: as many bright ones in each class."""
    draw = torch.Generator().manual_seed(5)
    blocks = torch.stack([(torch.randperm(16, generator=draw) < 8).view(4, 4) for _ in range(CLASSES)]).long()
    return blocks.repeat_interleave(SIDE // 4, 1).repeat_interleave(SIDE // 4, 2)


def real_labels(inputs: Tensor) -> Tensor:
    """The labels of made inputs, by their patterns: those that came with them may be permuted."""
    apart = inputs - 0.6 * _patterns()[:, None, None]
    return apart.square().mean((2, 3, 4)).argmin(0)


@cache
def _folder() -> Path:
    """Where the trained victims lie, which cases share."""
    folder = tempfile.mkdtemp(prefix="trials-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _choices(kind: type[Attack]) -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.init and typing.get_origin(hints[field.name]) is Literal:
            yield from ((field.name, value) for value in typing.get_args(hints[field.name]) if value != field.default)
