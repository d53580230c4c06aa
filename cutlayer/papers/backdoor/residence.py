"""Section 6 and appendix D: where the backdoor lives, from the records of figures 3 to 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cutlayer.metric import Metric
from cutlayer.papers.backdoor.figures import FIGURES, SUCCESS
from cutlayer.papers.backdoor.setup import BLOCKS
from cutlayer.record import Residence
from cutlayer.reproduction.block import Block, Table
from cutlayer.reproduction.comparison import DASH, Number
from cutlayer.reproduction.found import Found, nearest
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import interval

_PAIRS = {
    "attacked client and server": ("attacked", "attacked"),
    "clean client, attacked server": ("clean", "attacked"),
    "attacked client, clean server": ("attacked", "clean"),
    "the surrogate, attacked server": ("adversary", "attacked"),
}
_ENERGY = ("attacked", "clean", "untrained")
_ACCURACY = Number("accuracy", Metric.ACCURACY)
_CHANCE, _NEAR = 0.1, 0.05
"""One class's share of the ten, and how near to it an accuracy says nothing."""


def _blocks(found: Found) -> list[Block]:
    rows: list[list[str]] = []
    for dataset, exhibit in FIGURES.items():
        for cell in (cell for scale in ("paper", "quick") for cell in exhibit.cells(scale)):
            group = nearest(found.groups(exhibit.cells, cell.values))
            lives = [record.residence for record in group.records if record.residence] if group else []
            place = _place(dataset, cell.values)
            if group and lives and place not in [row[:5] for row in rows]:
                rows.append([*place, str(len(lives)), *_told(lives)])
    heads = [f"{pair}: {head}" for pair in _PAIRS for head in (SUCCESS.head, SUCCESS.beside, _ACCURACY.head)]
    heads += [f"{what}, {who} client" for what in ("energy", "cosine") for who in _ENERGY]
    return [Table(["dataset", "model", "alpha", "cut", "clients", "seeds", *heads], rows)] if rows else []


def _place(dataset: str, values: Mapping[str, Any]) -> list[str]:
    model = str(values["model"])
    cut = BLOCKS[model].index(int(values["cut"])) + 1
    return [dataset, model, f"{values['surrogate_client.alpha']:g}", str(cut), str(values["clients"])]


def _told(lives: Sequence[Residence]) -> list[str]:
    told = []
    for pair in _PAIRS.values():
        stitched = [s for life in lives for s in life.stitched if (s.client, s.server) == pair]
        # What answers at random, always the same, or worse, obeys no trigger.
        apt = [s for s in stitched if s.accuracy - _CHANCE > _NEAR]
        told += [
            _share([s.attack_success for s in apt], len(stitched)),
            _share([s.unprompted for s in apt], len(stitched)),
            _ACCURACY.spelled(_ACCURACY.over(s.accuracy for s in stitched)),
        ]
    told += [_ratio([life.energy.get(who) for life in lives]) for who in _ENERGY]
    cosines = ("similarity", "similarity_clean", "similarity_untrained")
    return [*told, *(_ratio([getattr(life, name) for life in lives]) for name in cosines)]


def _share(values: Sequence[float | None], seeds: int) -> str:
    """Over the values that are there, and of how many of the seeds these are."""
    known = [value for value in values if value is not None]
    some = f" ({len(known)} of {seeds} seeds)" if 0 < len(known) < seeds else ""
    return SUCCESS.spelled(SUCCESS.over(known)) + some


def _ratio(values: Sequence[float | None]) -> str:
    found = interval(values)
    return f"{found.mean:.2f}" if found else DASH


RESIDENCE = Exhibit(
    name="section 6",
    title="Where the backdoor lives",
    text="""ASR and accuracy of networks put together from parts of the attacked deployment and of the same one trained
without the attack, on 2,000 test images. Parts of two trainings need not fit each other: seeds whose accuracy is not
5 points above chance, one class's share of the ten, are left out of the ASR, and a dash stands where none is left.
*Blind*, over the same seeds, is the share of inputs of other classes that are taken for class 0 without the trigger:
an ASR that is no higher is not the trigger's doing. Older records do not have it, which is a dash as well.
*Energy* is how far the trigger moves what a client sends, relative to what it sends; *cosine* how alike a client's
outputs on triggered images are to the surrogate's; both are means over the seeds. LeNet's cut 2 lies behind a pooling:
the runs of cut 1 are its runs, but energy and cosine behind it were not measured.""",
    cells=lambda scale: (),
    blocks=_blocks,
)
