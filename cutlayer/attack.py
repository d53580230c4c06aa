"""Attacks and their guesses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from torch import Tensor

from cutlayer.batch import Batch
from cutlayer.channel import Handler as Handler
from cutlayer.message import Kind, Message
from cutlayer.threat import Goal, Row, ThreatModel, View

T = TypeVar("T")


@dataclass(frozen=True)
class Guess:
    """What an attack believes. It carries no score: judging is not the attack's business."""

    goal: Goal
    tensors: Mapping[str, Tensor]
    """``INPUTS``: ``inputs`` [n, ...]; ``LABELS``: ``labels`` int64 [n]; ``MODEL``: the stolen part's state by name;
    ``BACKDOOR``: a trigger's ``pattern`` and ``mask``, each of an input's shape in [0, 1], and its ``target``; with
    them may come what it adds (``added``, in [-1, 1]) and the state of an own client part (``client.``). ``EVASION``:
    adversarial ``inputs`` [n, ...] in [0, 1]; with them may come a proxy's labels for the natural ones, ``predicted``
    int64 [n], and a probe of shadow layers on the first inputs, ``smashed`` and ``slopes`` (see
    ``cutlayer.methods.perturbation.probe``)."""
    rows: tuple[Row, ...] = ()
    """The samples the n entries are about."""
    part: int = 0
    """``MODEL``: which of the other seat's parts."""
    name: str = ""
    """Tells apart several guesses of one attack at one goal; ``EVASION``: the name of the budget; ``BACKDOOR``: only a
    trigger without one decides."""
    relabeled: bool = False
    """``LABELS``: only groups are claimed, their names are not: judged under the best relabeling."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "goal", Goal(self.goal))


@dataclass(frozen=True)
class Setting:
    """Where an attack's paper runs it: defaults of an experiment that leaves these open."""

    protocol: str = "vanilla"
    when: str = "after"
    """``after`` the training of the victim, or ``before`` (all parts untrained)."""
    target_kind: str = "predict"
    """What the target samples pass through: ``predict``, or ``train`` (a training step each batch)."""
    targets: int = 0
    """How many target samples from the test split; 0: the first of each class."""
    target_batch: int = 0
    """Samples in one message; 0: all in one."""
    cuts: int = 3
    """How many of a model's suggested cuts are worth a cell each when none is given."""

    def __post_init__(self) -> None:
        for name, known in (("when", ("after", "before")), ("target_kind", ("predict", "train"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} = {getattr(self, name)!r}: one of {', '.join(known)}")
        for name, least in (("targets", 0), ("target_batch", 0), ("cuts", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} = {getattr(self, name)}: it is at least {least}")


class Attack(ABC):
    """Honest but curious: copies of messages in, nothing out.

    An attack is a dataclass; its fields are its options, with the paper's values as defaults.
    """

    paper: ClassVar[str]
    """The source, as one would cite it in a sentence."""
    plain: ClassVar[str]
    """The threat model in plain words: who, seeing what, knowing what, obtains what."""
    setting: ClassVar[Setting] = Setting()
    watches: ClassVar[frozenset[Kind]] = frozenset(Kind)
    """The kinds of message it wants copies of; copying fewer costs the honest run less."""
    anytime: ClassVar[bool] = False
    """Whether ``infer`` may be called after every epoch of the training it attends, each time about new targets."""
    stream: ClassVar[str] = ""
    """Attacks of the same stream draw the same numbers, and so make the same of the same things; empty: its own."""
    narrow: ClassVar[bool] = False
    """Whether it makes its forward passes in the type of the training, which large networks gain from; else float32."""
    deciding: ClassVar[tuple[str, ...]] = ("",)
    """Names of guesses that decide: few, and fixed before any run, as of many guesses one hits."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": {}, "rehearsal": {}}
    """Option values by the ``steps`` of an experiment; ``rehearsal`` is the shortest run that shows its pace."""

    @property
    @abstractmethod
    def threat(self) -> ThreatModel:
        """Its threat model with these options."""

    @property
    def only_watches(self) -> bool:
        """Whether, with these options, it changes nothing that passes: others can attend the same training."""
        return True

    def check(self, input_shape: tuple[int, ...], classes: int) -> None:
        """``ValueError`` where these options make no sense for such inputs; asked before anything is trained."""
        return

    def suit(self, smashed: tuple[int, ...], inputs: tuple[int, ...], auxiliary: int) -> None:
        """``ValueError`` where these options make no sense at a cut; asked before anything is trained.

        ``smashed`` and ``inputs``: the shapes of what one sample sends, () where the first layers are the adversary's
        own, and of one input; ``auxiliary``: samples of the adversary's own, 0 where none are granted.
        """
        return

    def idle(self) -> Mapping[str, str]:
        """Options that change nothing beside the values of the others, by name: why not."""
        return {}

    @abstractmethod
    def begin(self, view: View) -> None:
        """Called once before the first message, when no other seat can be asked for weights, gradients, queries."""

    @abstractmethod
    def observe(self, message: Message) -> None:
        """A copy of each message of the run and of the targets, in order. ``labels`` only where declared."""

    @abstractmethod
    def infer(self) -> Sequence[Guess]:
        """What it believes about the targets; called once, at the end, unless it is ``anytime``."""

    def checkpoint(self) -> Mapping[str, Tensor] | None:
        """All that it has made of the training so far, as tensors by name; None: it cannot tell.

        Asked of an attack that attends the training, between two steps. Without it an interrupted training begins anew.
        """
        return None

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Stand where ``checkpoint`` was taken; called right after ``begin``, of a new one with the same options.

        What it draws here, it draws from the start of its stream, which then goes on where it stood.
        """
        return

    def work(self, targets: int, auxiliary: int) -> int:
        """How many optimization steps these options take outside of the training; 0 where nothing is optimized.

        ``targets``: samples to be guessed; ``auxiliary``: samples of its own, 0 where none are granted.
        """
        return 0


class TamperingAttack(Attack):
    """Malicious: stands around the honest party of its seat."""

    @property
    def only_watches(self) -> bool:
        """Whether these options leave it nothing to tamper with."""
        return False

    @abstractmethod
    def around(self, request: Message, honest: Handler) -> Message:
        """May change the request, call the honest party or not, and change the reply.

        Only messages of the kinds in ``watches`` get here. ``request`` and what ``honest`` gives are copies without the
        tensors that the threat model does not declare; those pass the attack by, to the honest party and back.
        """

    def observe(self, message: Message) -> None:
        """Not called: all that it sees passes through ``around``."""

    def own_batch(self, batch: Batch) -> Batch:
        """What a malicious client that drives trains on instead of its own ``batch``: as many samples, of any kind."""
        return batch
