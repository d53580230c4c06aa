"""What the paper concludes, and whether the records bear it out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from cutlayer.metric import Metric
from cutlayer.papers.sladv import claims
from cutlayer.papers.sladv.basis import basis
from cutlayer.papers.sladv.claims import HONEST, Claim, Point
from cutlayer.papers.sladv.cost import costs
from cutlayer.papers.sladv.course import readings
from cutlayer.papers.sladv.criteria import CORRELATED, CRITERIA
from cutlayer.papers.sladv.rows import ALPHAS, CLEAN, DROP, READINGS, SIGNS, of
from cutlayer.papers.sladv.setup import BLOCKS, LAST, NARROW, WHOLE
from cutlayer.papers.sladv.tables import TABLE_6, table_1, table_3, table_5
from cutlayer.papers.sladv.telling import DIVERGED, NO_DROP, UNCHANGED, USELESS
from cutlayer.papers.sladv.theory import theory
from cutlayer.papers.sladv.transfers import PERFECT, table_2
from cutlayer.reproduction.block import Block, Table, Text
from cutlayer.reproduction.comparison import Number
from cutlayer.reproduction.found import Found, Group
from cutlayer.reproduction.paper import Exhibit

_OWN = of("cifar10")
_MANY = {**_OWN, "aux_rows": 4096}
_CORRELATION = Number("rank correlation", Metric.LOSS_CORRELATION, "evasion")
_DISTANCE = Number("distance d", Metric.LAYER_DISTANCE, "evasion")
_COSINE = Number("cosine", Metric.SLOPE_SIMILARITY, "evasion")

_COST = "at alpha 1 the clients lose no more than 5 points of accuracy"

_KINDS = ("tiny_imagenet", "cifar10")
_NETWORKS = (WHOLE, "efficientnet_b0", "densenet", "mobilenet_v2")
"""The two that the paper finds less vulnerable first."""

_Places = dict[str, dict[str, Any]]


def _alphas(model: str) -> _Places:
    return {f"alpha {alpha:g}": {**_MANY, "sladv.alpha": alpha} for alpha in ALPHAS}


def _pulled(model: str) -> _Places:
    return {place: wanted for place, wanted in _alphas(model).items() if place != HONEST}


def _cuts(shadow: str) -> Callable[[str], _Places]:
    own = {**_OWN, "sladv.shadow": shadow}
    return lambda model: {f"cut {n}": {**own, "cut": f"{at}:{LAST[model]}"} for n, at in enumerate(BLOCKS[model], 1)}


_CLAIMS = (
    Claim("the drop grows with alpha", table_3, _alphas, DROP, claims.grows, NO_DROP, least=3, whole=True),
    Claim(
        "what the drop has beyond random signs grows with alpha",
        *(table_3, _alphas, DROP, claims.grows, NO_DROP),
        ours=True,
        least=3,
    ),
    Claim(
        "what random signs take grows with alpha",
        *(table_3, _alphas, SIGNS, claims.grows, USELESS),
        ours=True,
        least=3,
        whole=True,
    ),
    Claim(
        "the drop falls with the depth of the clients' layers",
        *(table_5, _cuts("single"), DROP, claims.falls, UNCHANGED),
        least=2,
    ),
    Claim(
        "the drop falls with their depth, too, under a shadow that grows with them (multi)",
        *(table_5, _cuts("multi"), DROP, claims.falls, UNCHANGED),
        least=2,
    ),
    Claim(
        "the drop saturates near 2,000 images",
        table_1,
        lambda model: {str(n): {**_OWN, "aux_rows": n} for n in (128, 256, 1024, 2048, 4096, 8192)},
        *(DROP, claims.saturates, NO_DROP),
        least=3,
    ),
    Claim(
        "the drop is larger with images of CIFAR-10 than with Tiny-ImageNet's",
        table_3,
        lambda model: {column: {**of(column), "aux_rows": 4096, "sladv.alpha": 1.0} for column in _KINDS},
        *(DROP, claims.more, NO_DROP),
        least=2,
    ),
    Claim(
        "the clients' accuracy falls as alpha grows",
        *(table_3, _alphas, CLEAN, claims.falls),
        least=3,
        whole=True,
    ),
    Claim(
        "the drop is larger with DenseNet and MobileNet than with ResNet and EfficientNet",
        lambda model: TABLE_6,
        lambda model: {name: {**_MANY, "model": name} for name in _NETWORKS} if model == WHOLE else {},
        *(DROP, claims.above, NO_DROP),
        least=4,
    ),
    Claim(
        "at alpha 1 the drop is beyond random signs",
        table_3,
        lambda model: {"": {**_MANY, "sladv.alpha": 1.0}},
        *(DROP, claims.beats_blind, NO_DROP),
        ours=True,
    ),
    Claim(
        "with the victim's own layers for a shadow, the drop is beyond random signs",
        table_2,
        lambda model: {"": {**_OWN, **PERFECT, "pgd.iterations": 1, "under": ""}},
        *(DROP, claims.beats_blind),
        ours=True,
    ),
    Claim(
        "the drop is more than VR's on as many images",
        table_2,
        lambda model: {
            "VR": {**_MANY, "attack": "vmi_fgsm", "under": "sladv"},
            "SLADV": {**_MANY, "attack": "sladv", "sladv.alpha": 1.0},
        },
        *(DROP, claims.more, NO_DROP),
        least=2,
        alike=False,
    ),
    Claim(
        "aligning at the server's output is worse than at the cut",
        readings,
        lambda model: {
            "output": {**_OWN, "protocol": "u_shaped", "sladv.align": "server_output"},
            "cut": {**_OWN, "protocol": "u_shaped", "sladv.align": "cut", "sladv.alpha": 1.0},
        },
        *(DROP, claims.more, NO_DROP),
        least=2,
    ),
    Claim(
        "the attack carries over to vanilla split learning",
        readings,
        lambda model: {"": {**_OWN, "protocol": "vanilla"}},
        *(DROP, claims.beats_blind, NO_DROP),
    ),
    Claim(
        "the lower the similarity, the higher the loss",
        *(theory, _alphas, _CORRELATION, claims.negative, NO_DROP),
        everywhere=True,
        most=CORRELATED,
    ),
    Claim(
        "the lower the similarity, the higher the loss, more so than by random signs",
        *(theory, _alphas, _CORRELATION, claims.more_negative, NO_DROP),
        ours=True,
        everywhere=True,
        most=CORRELATED,
    ),
    Claim(
        "above alpha 0 the true layers are nearer to the shadow than at alpha 0",
        *(theory, _alphas, _DISTANCE, claims.less_than_honest, DIVERGED),
        everywhere=True,
    ),
    Claim(
        "above alpha 0 the true layers are nearer to the shadow than to a constant",
        *(theory, _pulled, _DISTANCE, claims.below_blind, DIVERGED),
        ours=True,
        everywhere=True,
    ),
    Claim(
        "above alpha 0 their input gradients are more alike than at alpha 0",
        *(theory, _alphas, _COSINE, claims.more_alike_than_honest, DIVERGED),
        everywhere=True,
    ),
    Claim(
        "above alpha 0 their input gradients are more alike than those of unrelated layers",
        *(theory, _pulled, _COSINE, claims.alike, DIVERGED),
        ours=True,
        everywhere=True,
    ),
)


_Series = tuple[str, list[Point]]
"""A setting, and what is known in it."""


def _all_series(found: Found, claim: Claim, model: str, but: Sequence[str] = ()) -> list[_Series]:
    """In every setting that names none of ``but``, the one nearest to what was published last."""
    settings = defaultdict[tuple[str, ...], list[Point]](list)
    for place, wanted in claim.places(model).items():
        all_ = found.groups(claim.exhibit(model).cells, wanted)
        groups = [group for group in all_ if not group.differs_in(but)]
        for group in groups if claim.alike else groups[-1:]:
            if point := claim.point(place, group):
                settings[group.setting if claim.alike else ()].append(point)
    told = [("; ".join(dict.fromkeys(p.group.told for p in points)), points) for points in settings.values()]
    return sorted(told, key=lambda one: -len(one[1][-1].group.differences))


def _series(found: Found, claim: Claim, model: str) -> list[_Series]:
    """By setting. Of a conclusion over several places in that in which enough of them tell something, then in that
    which has enough of them; of several, and where they are not alike, in that nearest to what was published."""
    told = _all_series(found, claim, model)
    if claim.everywhere or len(claim.places(model)) == 1:
        # What one place says is not the better known for being said in one setting alone.
        return told[::-1]

    def known(one: _Series) -> tuple[bool, bool, int, int]:
        telling, all_ = sum(point.tells for point in one[1]), len(one[1])
        return telling >= claim.least, all_ >= claim.least, telling, all_

    return sorted(told, key=known)[-1:]


def _short(found: Found) -> list[Block]:
    """Outcomes alone, of the attack as it is unless told otherwise, and from how much they are."""
    rows, used = [], {model: list[Group]() for model in (WHOLE, NARROW)}
    for claim in _CLAIMS:
        rows.append([claim.what, claim.criterion])
        for model, groups in used.items():
            series = _all_series(found, claim, model, READINGS)
            points = series[-1][1] if series else []
            rows[-1].append(claim.outcome_in_short(points) if points else "not run")
            groups += [point.group for point in points]
    told = [basis(model, groups) for model, groups in used.items() if groups]
    heads = ["conclusion", "criterion", "whole ResNet18", "narrow ResNet18"]
    return [*map(Text, told), Table(heads, rows)] if told else []


def _blocks(found: Found) -> list[Block]:
    rows = []
    for claim in _CLAIMS:
        for model, network in ((WHOLE, "whole"), (NARROW, "narrow")):
            for setting, points in _series(found, claim, model):
                numbers = f"{claim.number.head}: {'; '.join(point.told(claim.number) for point in points)}"
                rows.append([claim.what, claim.criterion, network, claim.outcome(points), numbers, setting])
    for model, network in ((WHOLE, "whole"), (NARROW, "narrow")):
        rows += [[_COST, "ours", network, *row] for row in costs(found, model)]
    heads = ["conclusion", "criterion", "ResNet18", "here", "number (blind or honest)", "setting"]
    return [Table(heads, rows)] if rows else []


SHORT = Exhibit(
    name="in short",
    title="Do the paper's conclusions hold?",
    text="""Whether each conclusion holds here for SLADV with its default loss (L2 norm over the batch). Rows marked
*ours* are stricter questions that the paper does not ask. The next table has the numbers, the other readings of the
loss (*distance*, *clip*), and why something cannot be told.""",
    cells=lambda scale: (),
    blocks=_short,
)
CONCLUSIONS = Exhibit(
    name="conclusions",
    title="What they are judged by, in every reading of the attack",
    text=CRITERIA,
    cells=lambda scale: (),
    blocks=_blocks,
)
