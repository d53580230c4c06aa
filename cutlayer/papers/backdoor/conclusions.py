"""What the paper concludes, and whether the records bear it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import mean
from typing import Any, TypeAlias

from cutlayer.papers.backdoor.appendix import FIGURE_9, MALICIOUS_CLIENT, SMALL, VARIANTS
from cutlayer.papers.backdoor.figures import CLEAN, FIGURES, SUCCESS
from cutlayer.papers.backdoor.injector import FIGURE_6, SHARES
from cutlayer.papers.backdoor.setup import ALPHAS, BLOCKS, CLIENTS, ONE_CUT
from cutlayer.reproduction.block import Block, Table
from cutlayer.reproduction.comparison import Number, spelled
from cutlayer.reproduction.found import Found, Group
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import Interval, interval

_STRONG, _WEAK = 0.04, 0.5
"""The published alphas at both ends: the smaller one minds the clients' loss less."""
_SEEDS = 3
"""Which an interval takes."""


@dataclass(frozen=True)
class _Place:
    """Cells of an exhibit that differ in their seeds."""

    exhibit: Exhibit
    wanted: Mapping[str, Any]


_Pair: TypeAlias = "tuple[_Place | None, _Place | None]"
"""What is said to be more, and what to be less; None: what stands beside the other, blind or without the attack."""


@dataclass(frozen=True)
class _Claim:
    """A conclusion, and the networks with the datasets that the paper draws it from."""

    what: str
    number: Number
    pairs: Callable[[str, str], Sequence[_Pair]]
    """Of a network and a dataset; what decides is the mean over those that were measured."""
    drawn_from: Sequence[tuple[str, str]]
    slack: float = 0.0
    """By how much the one may even be less."""


def _surrogate(model: str, dataset: str, cut: int = 1, clients: int = 1, alpha: float = _STRONG) -> _Place:
    wanted = {"dataset": dataset, "model": model, "clients": clients, "cut": str(BLOCKS[model][cut - 1])}
    return _Place(FIGURES[dataset], {**wanted, "surrogate_client.alpha": alpha})


def _cuts(model: str) -> list[int]:
    """Without those at which the same networks are trained as at another one."""
    return [cut for cut in (1, 2, 3) if (model, cut) not in ONE_CUT]


def _injected(model: str, dataset: str) -> list[_Place]:
    wanted = {"dataset": dataset, "model": model}
    places = product(BLOCKS[model], CLIENTS, SHARES)
    return [
        _Place(FIGURE_6, {**wanted, "cut": str(block), "clients": clients, "injector_autoencoder.share": share})
        for block, clients, share in places
    ]


def _varied(variant: str) -> _Place:
    return _Place(FIGURE_9, {**VARIANTS[variant], "clients": 1, "surrogate_client.alpha": _STRONG})


_LENET, _STRIPNET = (tuple((model, data) for data in ("mnist", "fashion_mnist")) for model in ("lenet", "stripnet"))
_CLAIMS = (
    _Claim(
        "success grows as alpha falls from .5 to .04 (cut 1)",
        SUCCESS,
        lambda m, d: [(_surrogate(m, d, clients=k), _surrogate(m, d, clients=k, alpha=_WEAK)) for k in CLIENTS],
        (("lenet", "mnist"), ("stripnet", "cifar10")),
    ),
    _Claim(
        "success falls from cut 1 to cut 3 (alpha .04)",
        SUCCESS,
        lambda m, d: [(_surrogate(m, d, clients=k), _surrogate(m, d, cut=3, clients=k)) for k in CLIENTS],
        (*_LENET, *_STRIPNET),
    ),
    _Claim(
        "at cut 3 the attack fails: no more than 10 points beyond blind",
        SUCCESS,
        lambda m, d: [(None, _surrogate(m, d, 3, k, alpha)) for k, alpha in product(CLIENTS, ALPHAS)],
        _LENET,
        slack=0.1,
    ),
    _Claim(
        "success falls from one client to three (cut 1)",
        SUCCESS,
        lambda m, d: [(_surrogate(m, d, alpha=alpha), _surrogate(m, d, clients=3, alpha=alpha)) for alpha in ALPHAS],
        (("lenet", "mnist"),),
    ),
    _Claim(
        "clean accuracy falls by no more than 5 points",
        CLEAN,
        lambda m, d: [(_surrogate(m, d, *at), None) for at in product(_cuts(m), CLIENTS, ALPHAS)],
        (*_LENET, *_STRIPNET),
        slack=0.05,
    ),
    _Claim(
        "success on Fashion-MNIST is less than on MNIST (cut 1)",
        SUCCESS,
        lambda m, d: [
            (_surrogate(m, "mnist", 1, *at), _surrogate(m, "fashion_mnist", 1, *at)) for at in product(CLIENTS, ALPHAS)
        ],
        (("lenet", "fashion_mnist"), ("stripnet", "fashion_mnist")),
    ),
    _Claim(
        "success on letters is no more than 10 points below MNIST's (cut 1, alpha .04)",
        SUCCESS,
        lambda m, d: [(_varied("EMNIST, letters A to J"), _surrogate(m, d))],
        (("stripnet", "mnist"),),
        slack=0.1,
    ),
    _Claim(
        "a trigger of 4x4 reaches no more than 30 points beyond blind (cut 1, alpha .04)",
        SUCCESS,
        lambda m, d: [(None, _Place(SMALL, {"model": m, "surrogate_client.alpha": _STRONG}))],
        (("lenet", "mnist"), ("stripnet", "mnist")),
        slack=0.3,
    ),
    _Claim(
        "the injector's success is close to none: no more than 10 points beyond blind",
        SUCCESS,
        lambda m, d: [(None, place) for place in _injected(m, d)],
        (*_LENET, ("stripnet", "mnist")),
        slack=0.1,
    ),
    _Claim(
        "the injector takes no more than 2 points of clean accuracy",
        CLEAN,
        lambda m, d: [(place, None) for place in _injected(m, d)],
        (*_LENET, ("stripnet", "mnist")),
        slack=0.02,
    ),
    _Claim(
        "one malicious client of three reaches more than the server (cut 1, its alpha .04)",
        SUCCESS,
        lambda m, d: [
            (
                _Place(MALICIOUS_CLIENT, {"dataset": d, "client_backdoor.trigger": "patch"}),
                _surrogate(m, d, clients=3),
            )
        ],
        _LENET,
    ),
)


@dataclass(frozen=True)
class _Difference:
    """Of one pair, by seed, how much more the one has than the other; and the settings of both."""

    by_seed: Mapping[int, float]
    settings: tuple[str, ...] = ()


def _difference(found: Found, pair: _Pair, number: Number) -> _Difference:
    """In the setting, the same on both sides, with most of the seeds; of several that nearest to what was published."""
    places = [place for place in pair if place]
    sides = [{_shared(g): g for g in found.groups(place.exhibit.cells, place.wanted)} for place in places]
    sign, best = 1 if pair[0] else -1, _Difference({})
    for setting in sides[0]:
        groups = [side[setting] for side in sides if setting in side]
        if len(groups) < len(sides):
            continue
        first, *others = (_beyond(group, number) for group in groups)
        told = {s: sign * first[s] - sum(other[s] for other in others) for s in set(first).intersection(*others)}
        if len(told) >= len(best.by_seed):
            best = _Difference(told, tuple(group.told for group in groups))
    return best


def _shared(group: Group) -> tuple[str, ...]:
    """A setting without the options that one attack or dataset alone has."""
    return tuple(part for part in group.setting if "." not in part.partition("=")[0])


def _beyond(group: Group, number: Number) -> dict[int, float]:
    """By seed, how far it is from what stands beside it; without the seeds that decide nothing where others do."""
    scores = {record.cell.seed: score for record in group.records if (score := number.of(record))}
    deciding = {seed: score for seed, score in scores.items() if score.decides} or scores
    known = {seed: (score.value, score.blind) for seed, score in deciding.items()}
    return {seed: ours - beside for seed, (ours, beside) in known.items() if ours is not None and beside is not None}


def _common(measured: Sequence[_Difference]) -> set[int]:
    """The seeds to take the means of: three if there are so many, then those that most pairs have, then most seeds."""
    own = [frozenset(one.by_seed) for one in measured if one.by_seed]
    sets = sorted({one & other for one in own for other in own} - {frozenset()}, key=sorted)
    return set(max(sets, key=lambda s: (min(len(s), _SEEDS), sum(s <= one for one in own), len(s)), default=()))


def _row(found: Found, claim: _Claim, model: str, dataset: str) -> list[str] | None:
    measured = [_difference(found, pair, claim.number) for pair in claim.pairs(model, dataset)]
    seeds = _common(measured)
    kept = [one for one in measured if seeds <= set(one.by_seed)]
    means = [mean(one.by_seed[seed] for one in kept) for seed in sorted(seeds)]
    over = interval(means, -1.0, 1.0)
    if over is None:
        return None
    # What is to be little is shown as what it is, and not as how much less that is than nothing.
    shown = over if claim.pairs(model, dataset)[0][0] else interval((-value for value in means), -1.0, 1.0)
    settings = "; ".join(dict.fromkeys(told for one in kept for told in one.settings))
    return [
        *(claim.what, model, dataset, _outcome(over, claim.slack)),
        *(_told(shown, claim.number), str(len(kept)), settings),
    ]


def _outcome(over: Interval, slack: float) -> str:
    low, high = (end + slack for end in over.ends)
    if over.few:
        return "too few seeds"
    if low <= 0 <= high:
        return "undecided"
    if over.half is None:
        return "in all seeds" if low > 0 else "in no seed"
    return "holds" if low > 0 else "does not hold"


def _told(found: Interval | None, number: Number) -> str:
    if found is None or found.half is None:
        return spelled(found, number.signed)
    return f"{number.signed(found.mean)} ± {number.signed(found.half).lstrip('+')}"


def _blocks(found: Found) -> list[Block]:
    rows = [_row(found, claim, *of) for claim in _CLAIMS for of in claim.drawn_from]
    heads = ["the paper's conclusion", "model", "dataset", "here", "difference, or beyond blind", "cells", "setting"]
    return [Table(heads, kept)] if (kept := [row for row in rows if row]) else []


CONCLUSIONS = Exhibit(
    name="conclusions",
    title="Do the paper's conclusions hold?",
    text="""Of each seed the mean over the cells that all of these seeds have, or over pairs of cells of one setting:
ASR beyond blind, CDA beyond BA. A conclusion holds where the 95 % interval over seeds (Student's t) lies on its side,
does not hold where it lies on the other, and is undecided where it lies on both; where the interval would reach beyond
what a difference of shares can be, there is none, and *in all seeds* or *in no seed* says less. Each conclusion is
judged by itself: among so many, chance alone may decide one. What *close to none* or *fails* means is ours: the paper
gives no numbers for it. The last conclusion is what the paper conjectures.""",
    cells=lambda scale: (),
    blocks=_blocks,
)
