"""Figure 6: the injector autoencoder by clients, cut and share of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cutlayer.papers.backdoor import printed
from cutlayer.papers.backdoor.figures import CLEAN, FIGURES, SUCCESS, add_last, compared, drawn
from cutlayer.papers.backdoor.setup import BLOCKS, CLIENTS, deployment, noise_range, pair_falls, server_cell
from cutlayer.reproduction.block import Block, Table, Text
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import DASH, TableLine, spelled
from cutlayer.reproduction.found import Found, Group
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import Interval, interval

SHARES = (0.5, 0.25)


def _cells(scale: Scale) -> list[Cell]:
    cells = []
    for dataset in FIGURES:
        for model in BLOCKS:
            for count, share in _injected(dataset, model, scale):
                for cut in (1, 2, 3) if scale != "smoke" else (1,):
                    values = deployment("digits" if scale == "smoke" else dataset, model, count, cut, scale)
                    options = {"share": share, **noise_range(dataset), **_trained(dataset, model, scale)}
                    cells.append(replace(server_cell(values, "injector_autoencoder", scale, **options), quick_seeds=1))
    return cells


def _trained(dataset: str, model: str, scale: Scale) -> dict[str, Any]:
    """How long pairs and autoencoder train."""
    if scale == "smoke":
        return {"pair_epochs": 1, "autoencoder_epochs": 1}
    if scale == "quick":
        return {}
    longer = {"pair_epochs": 100, "autoencoder_epochs": 180} if dataset == "cifar10" else {}
    return {**pair_falls(model), **longer}


def _injected(dataset: str, model: str, scale: Scale) -> list[tuple[int, float]]:
    """Numbers of clients with shares of a batch."""
    if scale == "paper":
        return [(count, share) for count in CLIENTS for share in SHARES]
    if scale == "smoke":
        return [(1, 0.5)] if (dataset, model) == ("mnist", "lenet") else []
    if model == "lenet" and dataset != "cifar10":
        return [(1, share) for share in SHARES]
    return [(1, 0.5)] if (dataset, model) == ("mnist", "stripnet") else []


def _blocks(found: Found) -> list[Block]:
    lines, panels = [], dict[str, dict[str, list[tuple[float, Interval]]]]()
    for dataset in ("digits", *FIGURES):
        for model, places in BLOCKS.items():
            for count in CLIENTS:
                for cut, block in enumerate(places, start=1):
                    for share in SHARES:
                        wanted = {"dataset": dataset, "model": model, "cut": str(block), "clients": count}
                        groups = found.groups(FIGURE_6.cells, {**wanted, "injector_autoencoder.share": share})
                        place = (dataset, model, f"{share:g}", str(cut), str(count))
                        # Of which share they are is not said: once is enough.
                        at = (dataset, model, count, None, cut)
                        said = printed.INJECTOR.get(at, (None, None)) if share == SHARES[0] else (None, None)
                        lines += [TableLine(place, group, said, _course(group)) for group in groups]
                        panel = panels.setdefault(f"{dataset}, {model}, cut {cut}, share {share:g}", {})
                        add_last(panel, count, groups)
    if not lines:
        return []
    caption = "Attack success, clean accuracy and accuracy without the attack by number of clients."
    behind = ("pairs kept", "autoencoder's last loss")
    return [
        drawn("figure-6", caption, panels),
        *compared(("dataset", "model", "share", "cut", "clients"), lines, behind),
        *_overall(lines),
    ]


def _course(group: Group) -> tuple[str, str]:
    """Pairs of activations that were kept, and the autoencoder's loss in its last epoch."""
    runs = [record.attack for record in group.records]
    kept = interval(run.notes.get("pairs_kept") for run in runs)
    loss = interval(curve[-1] for run in runs if (curve := run.curves.get("autoencoder_loss")))
    return spelled(kept, _spelling(".0f")), spelled(loss, _spelling(".4f"))


def _spelling(how: str) -> Callable[[float | None], str]:
    return lambda value: DASH if value is None else format(value, how)


def _overall(lines: Sequence[TableLine]) -> list[Table | Text]:
    """The highest success and the range of the accuracy of each dataset and model, which is what was printed."""
    found = dict[tuple[str, str], list[Group]]()
    for line in lines:
        found.setdefault((line.place[0], line.place[1]), []).append(line.group)
    rows, apart = [], []
    for (dataset, model), groups in found.items():
        success, clean = (
            interval(ours.mean for group in groups if (ours := number.measured(group.records)[0]))
            for number in (SUCCESS, CLEAN)
        )
        highest, within = printed.injected(dataset, model) or (None, None)
        rows.append([dataset, model, SUCCESS.spell(success.values[-1] if success else None), SUCCESS.spell(highest)])
        rows[-1] += [_span((clean.values[0], clean.values[-1]) if clean else None), _span(within)]
        if clean and within and (clean.values[0] > within[1] or clean.values[-1] < within[0]):
            apart.append(f"{dataset} / {model}")
    heads = ["dataset", "model", "highest ASR here", "printed", "CDA here, lowest to highest", "printed"]
    told = "Ours are means over the seeds of a few cells, beside single runs of all cells there."
    if apart:
        told += f" All of our CDA lies outside the printed range at dataset / model {', '.join(apart)}."
    return [Table(heads, rows), Text(told)]


def _span(ends: tuple[float, float] | None) -> str:
    return " to ".join(map(CLEAN.spell, ends)) if ends else DASH


FIGURE_6 = Exhibit(
    name="figure 6",
    title="The injector autoencoder",
    text="""A share of each batch is replaced by what the autoencoder makes of it: half of it in the paper, a quarter in
the published code. The autoencoder ends in the printed Tanh. The paper says that CDA is "high and almost identical" to
BA in all cases; in its authors' result files, which do not say of which share they are, LeNet's goes far below. A
likely cause: in the published code the server goes on with the part and the learning rate of its clean pair, which has
fallen to a thousandth by then and falls further; ours starts with a fresh part and the agreed rate. As options there
are `injector_autoencoder.server=continued` with `injector_autoencoder.rate_factor`,
`injector_autoencoder.output=linear`, since a Tanh reaches no activation beyond 1, and
`injector_autoencoder.gradient=scaled`, after the ratios of section 6; none of them is measured here. *Pairs kept* are
those of clean and triggered activations that the autoencoder is trained on, of as many as the server has samples: where
the network that was trained on triggered images takes them for the target. As in the paper it has seen no other label,
and takes anything for it: all pairs are kept, and the filter leaves nothing out. The autoencoder's loss is the mean of
its last epoch.""",
    cells=_cells,
    blocks=_blocks,
)
