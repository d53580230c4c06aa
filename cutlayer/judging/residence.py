"""Where a backdoor lives: in the client's part, in the server's, or in the way a trigger passes through both."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from cutlayer.attack import Guess
from cutlayer.judging.backdoor import TriggerError, effect
from cutlayer.model import split
from cutlayer.record import Residence, Stitched
from cutlayer.scene.scene import Scene
from cutlayer.state import under
from cutlayer.threat import Seat
from cutlayer.trigger import Trigger

OWN_CLIENT = "client"
"""Before the names of weights in a guess: the client part that the adversary trained itself."""
_INPUTS = 2000
_CHUNK = 500


@torch.no_grad()
def residence(
    guess: Guess, trigger: Trigger, models: Mapping[str, nn.Sequential], untrained: nn.Sequential, scene: Scene
) -> Residence:
    """What ``trigger`` does to networks stitched from the ``attacked`` and the ``clean`` one of ``models``.

    Parts of two trainings need not fit each other: a success means little where the accuracy beside it is chance.
    Predictions pass no defense here. Measured on up to 2,000 test inputs, spread evenly.
    """
    rows = scene.samples.test_rows
    rows = rows[torch.arange(min(_INPUTS, len(rows))) * len(rows) // min(_INPUTS, len(rows))]
    inputs, labels = scene.samples.inputs(rows), scene.samples.labels(rows)
    parts = {name: _parts(model, scene) for name, model in models.items()}
    own = _own(guess, parts["attacked"], scene)
    if own:
        parts["adversary"] = own
    pairs = [(client, server) for server in models for client in models]
    pairs += [("adversary", "attacked")] if own else []
    stitched = []
    for client, server in pairs:
        whole = [parts[client if o is Seat.CLIENT else server][n] for n, o in enumerate(scene.protocol.owners)]
        found = effect(trigger, lambda change, whole=whole: _through(whole, change(inputs)), labels)  # type: ignore[misc]
        told = {"attack_success": found.success, "accuracy": found.accuracy, "unprompted": found.unprompted}
        stitched.append(Stitched(client=client, server=server, **told))
    energy: dict[str, float] = {}
    similarity: dict[str, float] = {}
    if scene.protocol.owners[0] is Seat.CLIENT:
        firsts = {**{name: held[0] for name, held in parts.items()}, "untrained": _parts(untrained, scene)[0]}
        energy = {name: _energy(first, trigger, inputs) for name, first in firsts.items()}
        if own:
            adversary, triggered = firsts.pop("adversary"), trigger.stamp(inputs)
            similarity = {name: _similarity(first, adversary, triggered) for name, first in firsts.items()}
    return Residence(
        stitched=tuple(stitched),
        energy=energy,
        similarity=similarity.get("attacked"),
        similarity_clean=similarity.get("clean"),
        similarity_untrained=similarity.get("untrained"),
        inputs=len(rows),
    )


def _parts(model: nn.Sequential, scene: Scene) -> list[nn.Module]:
    return [part.cpu().eval() for part in split(copy.deepcopy(model), scene.cuts)]


def _own(guess: Guess, attacked: list[nn.Module], scene: Scene) -> list[nn.Module] | None:
    """The attacked parts with the first of the client's replaced by the adversary's own, where it shows one."""
    state = under(OWN_CLIENT, guess.tensors)
    if not state:
        return None
    place = scene.protocol.owners.index(Seat.CLIENT)
    found = [*attacked]
    found[place] = copy.deepcopy(attacked[place])
    try:
        found[place].load_state_dict(state)
    except RuntimeError as error:
        raise TriggerError(f"the client part beside the trigger is not of the clients' form: {error}") from None
    return found


def _through(parts: list[nn.Module], inputs: Tensor) -> Tensor:
    return torch.cat([nn.Sequential(*parts)(chunk) for chunk in torch.split(inputs, _CHUNK)])


def _pairs(one: nn.Module, other: nn.Module, inputs: Tensor, others: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for chunk, second in zip(torch.split(inputs, _CHUNK), torch.split(others, _CHUNK), strict=True):
        yield one(chunk).flatten(1), other(second).flatten(1)


def _energy(first: nn.Module, trigger: Trigger, inputs: Tensor) -> float:
    ratios = []
    for plain, triggered in _pairs(first, first, inputs, trigger.stamp(inputs)):
        norm = plain.norm(dim=1)
        ratios.append(((triggered - plain).norm(dim=1) / norm)[norm > 0])
    return torch.cat(ratios).mean().item() if sum(map(len, ratios)) else 0.0


def _similarity(one: nn.Module, other: nn.Module, inputs: Tensor) -> float:
    found = [cosine_similarity(a, b) for a, b in _pairs(one, other, inputs, inputs)]
    return torch.cat(found).mean().item()
