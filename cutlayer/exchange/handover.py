"""The hand-over of a client part between turns: from client to client, or through somebody who keeps it meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import torch
from torch import Tensor

from cutlayer.message import Kind, Message
from cutlayer.party import Party
from cutlayer.state import named, under
from cutlayer.wire import NotFiniteError, WireError


class Route(StrEnum):
    """Who carries a client part to the next client."""

    PEER = "peer"
    """The client trained last, directly."""
    TRUSTED_PARTY = "trusted_party"
    """A third party that both trust."""
    SERVER = "server"
    """The server, which thereby learns the client's weights."""


class OptimizerState(StrEnum):
    """What becomes of the optimizer's state when a client takes over."""

    OWN = "own"
    """Each client goes on with its own state of its last turn."""
    CARRIED = "carried"
    """The state travels with the weights."""
    RESET = "reset"
    """Each turn starts with a fresh state."""


_OPTIMIZER = "optimizer"


def give(party: Party, request: Message, carried: bool) -> Message:
    """What ``party`` hands over: weights and buffers, the step it is at, and with ``carried`` its optimizer state."""
    tensors = party.weights()
    if carried:
        tensors |= named(_OPTIMIZER, party.optimizer_state())
    return Message(request.kind, party.name, party.step, tensors)


def take_over(party: Party, offered: Message, state: OptimizerState) -> None:
    """Let ``party`` go on where the sender of ``offered`` stopped. A part that does not fit is a ``WireError``."""
    weights = {name: t for name, t in offered.tensors.items() if not name.startswith(f"{_OPTIMIZER}.")}
    optimizer = under(_OPTIMIZER, offered.tensors)
    own = party.parts.state_dict()
    for name in sorted(own.keys() ^ weights.keys()):
        whose = "is missing" if name in own else "is unknown"
        raise WireError(f"hand-over from {offered.sender!r} to {party.name!r}: weight {name!r} {whose}")
    for name, tensor in weights.items():
        _same_form(f"hand-over from {offered.sender!r} to {party.name!r}: weight {name!r}", tensor, own[name])
    if state is OptimizerState.CARRIED:
        _check_optimizer(party, offered.sender, optimizer)
    party.parts.load_state_dict(weights)
    if state is OptimizerState.CARRIED:
        party.load_optimizer_state(optimizer)
    elif state is OptimizerState.RESET:
        party.load_optimizer_state({})
    party.step = offered.step


def _check_optimizer(party: Party, sender: str, offered: Mapping[str, Tensor]) -> None:
    """Refuse a state that the party's optimizer could not go on with: it would fail only in the next step."""
    parameters = [parameter for group in party.optimizer.param_groups for parameter in group["params"]]
    probe = torch.zeros(1, requires_grad=True)
    probe.grad = torch.zeros(1)
    # What one step leaves behind; other names or forms are no state of this optimizer.
    trial = type(party.optimizer)([probe], **party.optimizer.defaults)
    trial.step()
    forms = {name: value.shape for name, value in trial.state[probe].items() if isinstance(value, Tensor)}
    where = f"hand-over from {sender!r} to {party.name!r}: optimizer state"
    found: dict[str, set[str]] = {}
    for full, tensor in offered.items():
        number, _, name = full.partition(".")
        if not (number.isascii() and number.isdigit() and len(number) < 10 and int(number) < len(parameters)):
            raise WireError(f"{where} {full!r} belongs to none of its {len(parameters)} weights")
        if name not in forms or str(int(number)) != number:
            raise WireError(f"{where} {full!r} is unknown; it has {', '.join(forms) or 'none'}")
        own = parameters[int(number)]
        # One value for all of a weight, or one for each of its entries.
        _same_form(f"{where} {full!r}", tensor, own.new_zeros(own.shape if forms[name] else ()))
        found.setdefault(number, set()).add(name)
    for number, names in found.items():
        if names != forms.keys():
            raise WireError(f"{where} of weight {number} lacks {', '.join(sorted(forms.keys() - names))}")


def _same_form(where: str, tensor: Tensor, own: Tensor) -> None:
    if tensor.shape != own.shape or tensor.dtype != own.dtype:
        raise WireError(f"{where} is {tensor.dtype} {list(tensor.shape)}, its own is {own.dtype} {list(own.shape)}")
    if not torch.isfinite(tensor).all():
        raise NotFiniteError(f"{where} holds NaN or infinite values")


class Keeper:
    """Holds the client part between turns: the trusted third party, or the server in that role."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._kept: Message | None = None

    def __call__(self, request: Message) -> Message:
        """Keep what ``request`` brings; without tensors, give back what was kept last."""
        if request.tensors:
            self._kept = request
            return request.reply(self._name)
        if self._kept is None:
            raise WireError(f"{request.sender!r} asks {self._name!r} for a client part, none has been left yet")
        return self._kept


def ask_for_weights(taker: Party) -> Message:
    """The request that a client starts its turn with."""
    return Message(Kind.WEIGHTS, taker.name, taker.step, {})
