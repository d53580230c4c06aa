"""The defenses that an experiment names, made and put in order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from cutlayer import registry
from cutlayer.codec import encode
from cutlayer.compression import Compression, compression_of
from cutlayer.defense import Defense
from cutlayer.experiment import AUTO, Experiment
from cutlayer.message import Kind, Message
from cutlayer.protocol import Protocol
from cutlayer.seat.making import make_protocol
from cutlayer.stream import derive, drawing
from cutlayer.threat import Seat

_SAMPLES = ((3, 4, 4), (8,))  # one at a cut: of a feature map, of a dense layer's outputs
_BATCHES = ((2, 1.0), (2, 0.1), (3, 10.0))  # samples, and how large their values are
_STATELESS = set[tuple[object, ...]]()  # what has been found to be so: every client has its own of each


def make_defenses(experiment: Experiment, client: int = 0) -> list[Defense]:
    """The defenses of client number ``client`` in the order they act; a wire codec comes last.

    Each is on a stream of its own: clients that drew the same noise would show it, where they send much the same.
    ``PluginError`` for one that ``check_stateless`` finds out.
    """
    found: list[Defense] = []
    for number, name in enumerate(experiment.defenses):
        made = partial(_made, experiment, name)
        defense = made()
        tried = type(defense), repr(experiment.options.get(name, {})), experiment.protocol
        if tried not in _STATELESS:
            check_stateless(name, made, _protocols(experiment))
            _STATELESS.add(tried)
        defense.seed = derive(experiment.seed, "defense", client, number)
        found.append(defense)
    compression_of(found)
    return sorted(found, key=lambda defense: isinstance(defense, Compression))


def codec_name(experiment: Experiment) -> str:
    """The defense that is a wire codec, empty where there is none."""
    kinds = {name: registry.cls("defenses", name, Defense, experiment.plugins) for name in experiment.defenses}
    return next((name for name, kind in kinds.items() if issubclass(kind, Compression)), "")


def check_stateless(name: str, made: Callable[[], Defense], protocols: Sequence[Protocol]) -> None:
    """``PluginError`` where a message leaves the defense otherwise than before, or than it leaves another one ``made``.

    The messages are small ones such as a client sends in ``protocols``; those that the defense does not take are passed
    over.
    """
    for sample in _SAMPLES:
        # A defense that draws from torch's own stream draws on in it, and leaves it where it stood.
        with drawing(0):
            sent, one, other = list(_sent(protocols, sample)), made(), made()
            there, back, alike = _left(one, sent), _left(one, sent[::-1]), _left(other, sent[::-1])
        if not there == back[::-1] == alike[::-1]:
            raise registry.PluginError(
                f"{name}: the same message does not leave it the same each time: a defense keeps nothing from message "
                "to message, draws random numbers from self.draws alone, and goes by no prediction's step"
            )


def _made(experiment: Experiment, name: str) -> Defense:
    kind = registry.cls("defenses", name, Defense, experiment.plugins)
    defense: Defense = registry.make(kind, experiment.options.get(name, {}), name)
    return defense


def _protocols(experiment: Experiment) -> list[Protocol]:
    """The experiment's own one, or all of the package where it is left open."""
    names = registry.names("protocols") if experiment.protocol == AUTO else [experiment.protocol]
    return [make_protocol(name, experiment.plugins) for name in names]


def _sent(protocols: Sequence[Protocol], sample: tuple[int, ...]) -> Iterator[Message]:
    """What a client sends in them, where one sample at a cut is of the shape ``sample``."""
    for protocol in protocols:
        for kind, frame in protocol.wire.items():
            names = frame.request if protocol.driver is Seat.CLIENT else frame.reply
            for step, (samples, scale) in enumerate(_BATCHES):
                values = {name: scale * torch.randn(samples, *sample) for name in names}
                counted = {name: torch.arange(samples) for name in names if name in {"labels", "rows"}}
                total = {name: torch.rand(()) for name in names if name == "loss"}
                yield Message(kind, "client-0", step, {**values, **counted, **total})


def _left(defense: Defense, messages: Sequence[Message]) -> list[bytes | None]:
    """What leaves instead of each of ``messages``, one after another; None where the defense raises."""
    found: list[bytes | None] = []
    for number, message in enumerate(messages):
        # That of a prediction says how many were asked for before.
        step = number if message.kind is Kind.PREDICT else message.step
        found.append(None)
        with contextlib.suppress(Exception):
            left = defense.guard(Message(message.kind, message.sender, step, message.copy().tensors))
            found[-1] = encode(Message(message.kind, message.sender, 0, left.tensors))
    return found
