"""What the paper concludes, and whether the records bear it out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from cutlayer.papers.sladv.course import readings, theory
from cutlayer.papers.sladv.rows import ALPHAS, CLEAN, DROP, of
from cutlayer.papers.sladv.setup import BLOCKS, LAST, NARROW, WHOLE
from cutlayer.papers.sladv.tables import table_1, table_3, table_5
from cutlayer.papers.sladv.transfers import table_2
from cutlayer.reproduction.block import Block, Table
from cutlayer.reproduction.comparison import Number
from cutlayer.reproduction.found import Found, Group
from cutlayer.reproduction.paper import Exhibit

_OWN = of("cifar10")
_MANY = {**_OWN, "aux_rows": 4096}
_ENOUGH = 2048
"""Images of its own from which on, the paper says, more of them add little."""


@dataclass(frozen=True)
class _Point:
    """One place of a series, means over seeds."""

    place: str
    value: float
    blind: float
    group: Group

    @property
    def gain(self) -> float:
        """What it is beyond blind: of a drop only this is the attack's."""
        return self.value - self.blind


@dataclass(frozen=True)
class _Claim:
    """A conclusion: of which cells which number is compared, and how."""

    what: str
    exhibit: Callable[[str], Exhibit]
    places: Callable[[str], Mapping[str, Mapping[str, Any]]]
    """By the name of a place, what its cells have; from the first to the last."""
    number: Number
    holds: Callable[[Sequence[_Point], float], bool | None]
    """From the points, and what two gains on as many targets differ by through chance; None: too few are there."""
    least: int = 1
    """Places below which nothing can be said."""
    alike: bool = True
    """Whether all places are of one setting, as those of one attack are."""


def _grows(points: Sequence[_Point], chance: float) -> bool | None:
    # What is less than blind is no attack, and one is as little of it as the other.
    gains = [max(point.gain, 0.0) for point in points]
    return gains[-1] - gains[0] > chance and all(after > before - chance / 2 for before, after in pairwise(gains))


def _falls(points: Sequence[_Point], chance: float) -> bool | None:
    return _grows(list(reversed(points)), chance)


def _saturates(points: Sequence[_Point], chance: float) -> bool | None:
    few = [point.gain for point in points if int(point.place) < _ENOUGH]
    enough = [point.gain for point in points if int(point.place) >= _ENOUGH]
    if not few or len(enough) < 2:
        return None
    return min(enough) - min(few) > chance and max(enough) - min(enough) <= chance


def _beats_blind(points: Sequence[_Point], chance: float) -> bool | None:
    return points[-1].gain > chance


def _below_blind(points: Sequence[_Point], chance: float) -> bool | None:
    return points[-1].gain < 0


def _cheap(points: Sequence[_Point], chance: float) -> bool | None:
    return points[-1].gain >= -0.05


def _alike(points: Sequence[_Point], chance: float) -> bool | None:
    return points[-1].gain > 0.1


def _cuts(model: str) -> dict[str, dict[str, Any]]:
    shadow = {"sladv.shadow": "multi"}
    return {f"cut {n}": {**_OWN, **shadow, "cut": f"{block}:{LAST[model]}"} for n, block in enumerate(BLOCKS[model], 1)}


def _one(**wanted: Any) -> Callable[[str], dict[str, dict[str, Any]]]:
    return lambda model: {"": {**_MANY, "sladv.alpha": 1.0, **wanted}}


_CLAIMS = (
    _Claim(
        "the drop grows with alpha",
        table_3,
        lambda model: {f"alpha {alpha:g}": {**_MANY, "sladv.alpha": alpha} for alpha in ALPHAS},
        DROP,
        _grows,
        least=3,
    ),
    _Claim("it falls with the depth of the clients' layers", table_5, _cuts, DROP, _falls, least=2),
    _Claim(
        "it saturates near 2,000 images",
        table_1,
        lambda model: {str(n): {**_OWN, "aux_rows": n} for n in (128, 256, 1024, 2048, 4096, 8192)},
        DROP,
        _saturates,
    ),
    _Claim("at alpha 1 it is more than chance does", table_3, _one(), DROP, _beats_blind),
    _Claim(
        "it is more than VR's on as many images",
        table_2,
        lambda model: {
            "VR": {**_MANY, "attack": "vmi_fgsm", "under": "sladv"},
            "SLADV": {**_MANY, "attack": "sladv", "sladv.alpha": 1.0},
        },
        DROP,
        _grows,
        least=2,
        alike=False,
    ),
    _Claim("at alpha 1 the clients lose no more than 5 points of accuracy", table_3, _one(), CLEAN, _cheap),
    _Claim(
        "aligning at the server's output is worse than at the cut",
        readings,
        lambda model: {
            "output": {**_OWN, "protocol": "u_shaped", "sladv.align": "server_output"},
            "cut": {**_OWN, "protocol": "u_shaped", "sladv.align": "cut", "sladv.alpha": 1.0},
        },
        DROP,
        _grows,
        least=2,
    ),
    _Claim(
        "it carries over to vanilla",
        readings,
        lambda model: {"": {**_OWN, "protocol": "vanilla"}},
        DROP,
        _beats_blind,
    ),
    _Claim(
        "the lower the similarity, the higher the loss, more than by random signs",
        theory,
        _one(),
        Number("rank correlation", "loss_correlation", "evasion"),
        _below_blind,
    ),
    _Claim(
        "the true layers come nearer to the shadow than to a constant",
        theory,
        _one(),
        Number("distance d", "layer_distance", "evasion"),
        _below_blind,
    ),
    _Claim(
        "their input gradients become alike (a cosine above 0.1)",
        theory,
        _one(),
        Number("cosine", "slope_similarity", "evasion"),
        _alike,
    ),
)


def _series(found: Found, claim: _Claim, model: str) -> list[tuple[str, list[_Point]]]:
    """By setting. Of a conclusion over several places in that which has most of them; of several, and where they are
    not alike, that nearest to what was published."""
    settings = defaultdict[tuple[str, ...], list[_Point]](list)
    for place, wanted in claim.places(model).items():
        groups = found.groups(claim.exhibit(model).cells, wanted)
        for group in groups if claim.alike else groups[-1:]:
            ours, blind = claim.number.measured(group.records)
            if ours:
                point = _Point(place, ours.mean, blind.mean if blind else 0.0, group)
                settings[group.setting if claim.alike else ()].append(point)
    told = [("; ".join(dict.fromkeys(p.group.told for p in points)), points) for points in settings.values()]
    if len(claim.places(model)) == 1:
        # What one place says is not the better known for being said in one setting alone.
        return told[::-1]
    return sorted(told, key=lambda one: (len(one[1]), -len(one[1][-1].group.differences)))[-1:]


def _outcome(claim: _Claim, points: Sequence[_Point]) -> tuple[str, str]:
    """Whether it holds, and the numbers behind that."""
    targets = min(record.experiment["targets"] or 1 for p in points for record in p.group.records)
    # Two gains are of four shares, each with a variance of no more than a quarter.
    holds = claim.holds(points, 2 / math.sqrt(targets)) if len(points) >= claim.least else None
    spell = claim.number.spell
    values = "; ".join(f"{p.place} {spell(p.value)} ({spell(p.blind)})".strip() for p in points)
    return {True: "holds", False: "does not hold", None: "too few cells"}[holds], f"{claim.number.head}: {values}"


def _blocks(found: Found) -> list[Block]:
    rows = []
    for claim in _CLAIMS:
        for model, told in ((WHOLE, "whole"), (NARROW, "narrow")):
            for setting, points in _series(found, claim, model):
                rows.append([claim.what, told, *_outcome(claim, points), setting])
    heads = ["the paper's conclusion", "ResNet18", "here", "number (blind or honest)", "setting"]
    return [Table(heads, rows)] if rows else []


CONCLUSIONS = Exhibit(
    name="conclusions",
    title="Do the paper's conclusions hold?",
    text="""From the records of the tables: what is said of one cell in every setting that it has run in, what compares
several in the setting with most of them. Of a drop only what is beyond
blind is compared, and counts where it is more than chance makes of as many images: 4.5 points of 2,000 images, 8.8 of
512. That is the error of drawing images; what another seed of the training does can be more, and is unknown where there
is one seed. Correlations, distances and cosines are compared as they are.""",
    cells=lambda scale: (),
    blocks=_blocks,
)
