"""Who sits in the attacked seat of a cell, built from plain values: the same in this process and in another one.

The server's party with an adversary beside it or with none, or the adversary beside malicious clients.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cutlayer import network
from cutlayer.adversary import Adversary
from cutlayer.budget import Budget
from cutlayer.channel import Direct
from cutlayer.compression import PackedWire
from cutlayer.computing import Computing
from cutlayer.exchange.tape import Replayed
from cutlayer.message import Kind, Message
from cutlayer.model import split
from cutlayer.optimization import Optimization
from cutlayer.party import Party
from cutlayer.seat.companion import Companion
from cutlayer.seat.host import Carrier, LocalHost, LocalOccupant
from cutlayer.seat.making import make_attack, make_codec, make_party, make_protocol
from cutlayer.shelf import Shelf
from cutlayer.stream import Stream, derive
from cutlayer.tap import Tap
from cutlayer.threat import Architecture, Knows, Progress, Row, Seat, View

Outside = Callable[[Knows, Mapping[str, Tensor]], Mapping[str, Tensor]]
"""Answers what only the other seats know; tensors in, tensors out, so that it can be asked across processes."""

_GUARDED = {"labels": Knows.LABELS}


@dataclass(frozen=True)
class Brief:
    """All that one seat is told, the server's or that of malicious clients: seeds of streams, not the experiment's."""

    protocol: str
    model: str
    cuts: tuple[int, ...]
    input_shape: tuple[int, ...]
    classes: int
    optimization: Optimization
    scaling: network.Scaling
    party_seed: int
    """Of the stream of the server's party; beside malicious clients nobody draws from it."""
    attack_seed: int
    attack: str = ""
    """Empty: nobody curious."""
    options: Mapping[str, Any] = field(default_factory=dict)
    offers: tuple[Knows, ...] = ()
    targets: tuple[Row, ...] = ()
    budgets: tuple[Budget, ...] = ()
    plugins: str = ""
    tapes: tuple[str, ...] = ()
    """Recorded files whose replies stand in for the party."""
    codec: str = ""
    """The defense that is the agreed wire codec; empty: tensors cross as they are."""
    codec_options: Mapping[str, Any] = field(default_factory=dict)
    computing: Computing = field(default_factory=Computing)
    threads: int = 1

    @property
    def plugin_folder(self) -> Path | None:
        """``plugins`` as a path."""
        return Path(self.plugins) if self.plugins else None


def answerable(brief: Brief) -> frozenset[Knows]:
    """What the adversary of ``brief`` may ask the other seats for: declared by its threat model, and offered."""
    if not brief.attack:
        return frozenset()
    declared = make_attack(brief.attack, brief.options, brief.plugin_folder).threat.knows
    return frozenset(what for what in declared if what in brief.offers and what.facts.outside)


def seat_server(
    brief: Brief,
    outside: Outside | None = None,
    progress: Progress = lambda what, done, total: None,
    carrier: Carrier = Direct,
    beside: Tap | None = None,
    shelf: Shelf | None = None,
) -> LocalHost:
    """The server's party, with random weights until its state is restored, and the adversary of ``brief`` in its seat.

    ``NotOfferedError`` when the attack needs more than ``brief`` offers.
    """
    protocol = make_protocol(brief.protocol, brief.plugin_folder)
    model = _network(brief, derive(brief.party_seed, "init"))
    parts = protocol.deal(model, brief.cuts)
    party = make_party(Seat.SERVER.value, parts[Seat.SERVER], brief.optimization, brief.party_seed, brief.computing)
    agreement = protocol.agree(model, brief.cuts, brief.input_shape)
    codec = make_codec(brief.codec, brief.codec_options, brief.plugin_folder)
    packed = PackedWire(codec, protocol.wire, agreement) if codec else None
    adversary = None
    if brief.attack:
        known = {**_of_peers(brief), **_of_party(brief, lambda: party), **_from_outside(outside, Seat.SERVER)}
        adversary = _adversary(brief, known, progress, shelf)
    beside = Replayed([Path(tape) for tape in brief.tapes]) if brief.tapes else beside
    return LocalHost(protocol, party, agreement, carrier, adversary, packed, beside)


def seat_companion(
    brief: Brief, host: LocalHost, outside: Outside, progress: Progress, shelf: Shelf | None
) -> Companion:
    """The adversary of ``brief`` in the server's seat at ``host``, beside whoever is there.

    ``NotOfferedError`` when the attack needs more than ``brief`` offers.
    """
    known = {**_of_peers(brief), **_of_party(brief, lambda: host.party), **_from_outside(outside, Seat.SERVER)}
    companion = Companion(_adversary(brief, known, progress, shelf))
    host.join(companion)
    return companion


def seat_clients(
    brief: Brief,
    own: Callable[[], Party],
    outside: Outside | None = None,
    progress: Progress = lambda what, done, total: None,
) -> LocalOccupant:
    """The adversary of ``brief`` beside one or several clients that act as one; ``own``: the one whose turn it is.

    ``NotOfferedError`` when the attack needs more than ``brief`` offers.
    """
    known = {**_from_outside(outside, Seat.CLIENT), **_of_party(brief, own)}
    return LocalOccupant(_adversary(brief, known, progress))


def _adversary(
    brief: Brief,
    known: Mapping[Knows, Callable[..., Any]],
    progress: Progress,
    shelf: Shelf | None = None,
) -> Adversary:
    """The attack of ``brief``, to which of what is ``known`` in its seat all that is offered is granted."""
    attack = make_attack(brief.attack, brief.options, brief.plugin_folder)
    offered = {what: grant for what, grant in known.items() if what in brief.offers}
    layout = make_protocol(brief.protocol, brief.plugin_folder).layout(brief.protocol)
    view = View(attack.threat, offered, brief.targets, layout, progress, brief.budgets, shelf=shelf)
    return Adversary(attack, view, Stream(brief.attack_seed), _guarded, brief.computing)


def _network(brief: Brief, seed: int) -> nn.Sequential:
    return network.build(brief.model, brief.input_shape, brief.classes, seed, brief.plugin_folder, brief.scaling)


def _guarded(message: Message) -> Mapping[str, Knows]:
    if message.kind is Kind.WEIGHTS:
        return dict.fromkeys(message.tensors, Knows.PEER_WEIGHTS)
    return _GUARDED


def _of_party(brief: Brief, party: Callable[[], Party]) -> dict[Knows, Callable[..., Any]]:
    """What a seat knows by being there."""
    return {
        Knows.OWN_PART: lambda number=0: copy.deepcopy(party().parts[number]),
        Knows.OWN_PARTY: party,
        Knows.LABELS: lambda: None,
        Knows.SCHEDULE: lambda: brief.optimization.rate,
    }


def _of_peers(brief: Brief) -> dict[Knows, Callable[..., Any]]:
    protocol = make_protocol(brief.protocol, brief.plugin_folder)

    def parts(seed: int) -> list[nn.Sequential]:
        return split(_network(brief, seed), brief.cuts)

    def architecture() -> Architecture:
        shapes, value = [], torch.zeros(1, *brief.input_shape)
        with torch.no_grad():
            for part, owner in zip(parts(0), protocol.owners, strict=True):
                if owner is Seat.CLIENT:
                    shapes.append(tuple(value.shape[1:]))
                value = part.eval()(value)
        numbers = [number for number, owner in enumerate(protocol.owners) if owner is Seat.CLIENT]
        return Architecture(lambda part: parts(_draw_seed())[numbers[part]], tuple(shapes), brief.classes)

    return {Knows.PEER_ARCHITECTURE: architecture}


def _from_outside(outside: Outside | None, seat: Seat) -> dict[Knows, Callable[..., Any]]:
    """What only others know, of which an adversary at ``seat`` may be told."""
    if outside is None:
        return {}
    told = (what for what in Knows if what.facts.outside and (seat is Seat.SERVER or not what.facts.server_only))
    return {what: _asking(outside, what) for what in told}


def _asking(outside: Outside, what: Knows) -> Callable[..., Any]:
    def ask(*arguments: Tensor) -> Any:
        answer = outside(what, {str(number): tensor for number, tensor in enumerate(arguments)})
        return dict(answer) if what.facts.state else answer["value"]

    return ask


def _draw_seed() -> int:
    return int(torch.randint(1 << 62, ()))
