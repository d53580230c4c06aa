"""What every deployment is made of, in one process or in many: protocol, attack, codec, and the party at a seat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cutlayer import registry
from cutlayer.attack import Attack, TamperingAttack
from cutlayer.compression import Compression
from cutlayer.computing import Computing
from cutlayer.data.samples import Samples
from cutlayer.defense import Defense
from cutlayer.optimization import Optimization
from cutlayer.party import Party
from cutlayer.protocol import Protocol
from cutlayer.stream import derive
from cutlayer.threat import Knows, Seat, ThreatModel

_MOST_DECIDING = 3  # names of guesses that decide


def make_protocol(name: str, plugins: Path | None = None) -> Protocol:
    """The protocol plug-in ``name``."""
    protocol: Protocol = registry.cls("protocols", name, Protocol, plugins)()
    return protocol


def make_attack(name: str, options: Mapping[str, Any], plugins: Path | None = None) -> Attack:
    """The attack plug-in ``name`` with ``options``."""
    attack: Attack = registry.make(registry.cls("attacks", name, Attack, plugins), options, name)
    threat = _declared(attack, name)
    if threat.tampers is not isinstance(attack, TamperingAttack):
        kind = "a TamperingAttack" if isinstance(attack, TamperingAttack) else "no TamperingAttack"
        raise registry.PluginError(f"attack {name!r} is {kind}, its threat model has tampers={threat.tampers}")
    if Knows.OWN_PARTY in threat.knows and not threat.tampers:
        raise registry.PluginError(
            f"attack {name!r} does not tamper and declares {Knows.OWN_PARTY}, the live one: {Knows.OWN_PART} is a copy"
        )
    if not isinstance(attack.deciding, tuple):
        raise registry.PluginError(f"attack {name!r}: deciding = {attack.deciding!r} is no tuple of names of guesses")
    if len(attack.deciding) > _MOST_DECIDING:
        raise registry.PluginError(
            f"attack {name!r}: {len(attack.deciding)} names of guesses are to decide, at most {_MOST_DECIDING} may: "
            "of many guesses one hits"
        )
    return attack


def _declared(attack: Attack, name: str) -> ThreatModel:
    """The attack's threat model; a ``PluginError`` where its code gives none."""
    try:
        threat: object = attack.threat
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        raise registry.PluginError(f"attack {name!r}: its threat model cannot be told: {told}") from error
    if not isinstance(threat, ThreatModel):
        hint = "; write @property above it" if callable(threat) else ""
        raise registry.PluginError(f"attack {name!r}: threat is of type {type(threat).__name__}, no ThreatModel{hint}")
    return threat


def make_codec(name: str, options: Mapping[str, Any], plugins: Path | None = None) -> Compression | None:
    """The wire codec that both ends agreed on: the defense plug-in ``name`` with ``options``; none without a name."""
    if not name:
        return None
    codec: Compression = registry.make(registry.cls("defenses", name, Defense, plugins), options, name)
    return codec


def seat_label(seat: Seat, number: int = 0) -> str:
    """What a party is called by where it sits: ``server``, or ``client-`` and its ``number`` in the order of turns."""
    return seat.value if seat is Seat.SERVER else f"{seat.value}-{number}"


def party_seed(root: int, seat: Seat, number: int = 0) -> int:
    """The seed of a party's own stream: of ``root`` and of where it sits, whatever its name."""
    return derive(root, "party", seat_label(seat, number))


def party_of(
    seat: Seat,
    number: int,
    parts: Sequence[nn.Module],
    optimization: Optimization,
    root: int,
    computing: Computing,
    name: str = "",
) -> Party:
    """The party that sits there and trains ``parts``, on its own stream of ``root``; without ``name`` by its label."""
    return make_party(name or seat_label(seat, number), parts, optimization, party_seed(root, seat, number), computing)


def make_party(
    name: str, parts: Sequence[nn.Module], optimization: Optimization, seed: int, computing: Computing
) -> Party:
    """A party that trains ``parts``."""
    held = nn.ModuleList(parts)
    computing.place(held)
    return Party(
        name=name,
        parts=held,
        optimizer=optimization.make(held.parameters()),
        schedule=optimization.rate,
        seed=seed,
        computing=computing,
    )


def held_labels(samples: Samples, rows: Tensor) -> Tensor:
    """What a client with the training ``rows`` looks labels up in, int64 by row number: those of others are -1."""
    labels = torch.full((len(samples),), -1)
    for held in filter(len, (rows, samples.validation_rows, samples.test_rows)):
        labels[held] = samples.labels(held)
    return labels
