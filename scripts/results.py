"""Write docs/results/unsplit.md from the records under results/unsplit/: nothing in it is typed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean

from cutlayer.papers.unsplit import REFERENCE, TABLE_2, TABLE_3
from cutlayer.record import Record, Score, read_record, write_atomically
from cutlayer.report.wording import DASH

ROOT = Path(__file__).parent.parent
HEAD = """# UnSplit, measured

Written by `python scripts/results.py` from the records in `results/unsplit/`. *Printed* is the paper's value (Erdogan,
Kupcu, Cicek, WPES 2022). *Blind* is the same metric for the better of the mean training image and the best constant
image: a guess that never looks at the wire. Targets are the first test image of each class. Values are means over the
seeds, with their range where there are several. The MSE is that of the published code (unclipped; min-max normalized
on three channels).

Runs differ more than the printed single values suggest. Equations 1 and 2 leave brightness and sign of the inputs open:
a run that ends in sharp negatives has a clone with turned filters, which fits its own negatives and no real input.
"""
BEATEN = "The printed MSE does not beat the blind guess: SSIM and the pictures of the report decide there."


def main() -> None:
    """Read every record, write one page."""
    records = [
        r for path in sorted((ROOT / "results/unsplit").glob("**/record.json")) if (r := read_record(path.parent))
    ]
    parts = [HEAD]
    for dataset in TABLE_2:
        parts += _inversion(dataset, [r for r in records if r.cell.attack == "unsplit" and r.cell.dataset == dataset])
    parts += _labels([r for r in records if r.cell.attack == "label_inference"])
    page = ROOT / "docs" / "results" / "unsplit.md"
    write_atomically(page, "\n".join(parts).rstrip() + "\n")
    print(page)


def _inversion(dataset: str, records: Sequence[Record]) -> list[str]:
    groups: dict[tuple[str, int, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.cell.when, int(record.cell.cut), _setting(record)].append(record)
    if not groups:
        return []
    found = mean(r.utility for r in records if r.utility is not None)
    lines = [
        f"\n## Table 2, {dataset}\n",
        f"Accuracy of our victims {found:.1%}, printed {REFERENCE[dataset]:.0%}.\n",
        "| when | depth | order, share of the published steps | seeds | MSE | blind | printed | SSIM | blind "
        "| SSIM, stretched | blind | accuracy with the clone | printed | seconds an image |",
        "|" + "---|" * 14,
    ]
    beaten = False
    for (when, depth, setting), cells in sorted(groups.items()):
        printed = TABLE_2[dataset][depth]
        said = printed.after if when == "after" else printed.before
        blind = mean(_score(r, "mse_published").blind or 0.0 for r in cells)
        beaten |= said >= blind
        clone = f"{printed.clone:.1%}" if when == "after" else DASH
        seconds = mean((r.attack_seconds or 0.0) / max(1, len(r.pictures.labels if r.pictures else ())) for r in cells)
        columns = [
            *(when, str(depth), setting, str(len(cells))),
            *(_values(cells, "mse_published"), f"{blind:.3f}", f"{said:.3f}"),
            *(_values(cells, "ssim"), _blind(cells, "ssim"), _values(cells, "ssim_stretched")),
            *(_blind(cells, "ssim_stretched"), _values(cells, "accuracy", percent=True), clone, f"{seconds:.0f}"),
        ]
        lines.append(f"| {' | '.join(columns)} |")
    return [*lines, f"\n{BEATEN}"] if beaten else lines


def _labels(records: Sequence[Record]) -> list[str]:
    groups: dict[tuple[str, int, str, str, str], list[Score]] = defaultdict(list)
    for record in records:
        last = int(record.cell.cut.rpartition(":")[2])
        # A linear layer and the activation before it are one layer of the paper.
        depth = 1 if last >= _deepest(record) else 2
        options = record.attack.options
        for score in record.scores:
            if score.goal == "labels":
                how = f"{options['observes']}, match={options['match']}"
                groups[record.cell.dataset, depth, record.cell.protocol, how, score.guess].append(score)
    if not groups:
        return []
    lines = [
        "\n## Table 3, label inference\n",
        "100 test images, batch size 1, all parts untrained at the start.\n",
        "| dataset | client depth | protocol | observes | guess | accuracy | blind | printed |",
        "|" + "---|" * 8,
    ]
    for (dataset, depth, protocol, how, guess), scores in sorted(groups.items()):
        value, blind = mean(s.value or 0.0 for s in scores), mean(s.blind or 0.0 for s in scores)
        printed = f"{TABLE_3[dataset][depth]:.1%}" if dataset in TABLE_3 else DASH
        columns = (dataset, str(depth), protocol, how, guess or DASH, f"{value:.1%}", f"{blind:.1%}", printed)
        lines.append(f"| {' | '.join(columns)} |")
    return lines


def _deepest(record: Record) -> int:
    return {"unsplit_mnist": 9, "unsplit_cifar": 16}[record.cell.model]


def _setting(record: Record) -> str:
    return f"{record.attack.options['order']}, {record.attack.fraction or 0:.0%}"


def _score(record: Record, metric: str) -> Score:
    return next(score for score in record.scores if score.metric == metric)


def _values(records: Iterable[Record], metric: str, percent: bool = False) -> str:
    found = [value for r in records if (value := _score(r, metric).value) is not None]
    spell = (lambda value: f"{value:.1%}") if percent else (lambda value: f"{value:.3f}")
    spread = f" ({spell(min(found))} to {spell(max(found))})" if len(found) > 1 else ""
    return f"{spell(mean(found))}{spread}"


def _blind(records: Iterable[Record], metric: str) -> str:
    return f"{mean(_score(r, metric).blind or 0.0 for r in records):.3f}"


if __name__ == "__main__":
    main()
