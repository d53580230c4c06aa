"""Put a run into the README: `scripts/showcase.py runs/NAME` writes docs/audit.png and the table of the audit.

The picture: for each cut the originals, UnSplit's reconstructions (range stretched) and the blind guess.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from cutlayer.disk import write_whole
from cutlayer.record import Record
from cutlayer.report import wording
from cutlayer.report.evidence import Evidence, read_run
from cutlayer.report.finding import findings

ROOT = Path(__file__).parent.parent
SCALE, GAP, SHOWN = 2, 4, 10


def picture(evidence: list[Evidence]) -> Image.Image:
    """One strip a cut, one below the other."""
    strips = []
    for item in sorted(evidence, key=lambda item: int(item.record.cell.cut.partition(":")[0])):
        images = item.images()
        if images:
            rows = [_row(images[name][:SHOWN]) for name in ("truth", "stretched", "blind")]
            strips.append(np.concatenate(rows))
    gap = np.full((4 * GAP, strips[0].shape[1], strips[0].shape[2]), 255, np.uint8)
    whole = np.concatenate([part for strip in strips for part in (strip, gap)][:-1])
    grown = whole.repeat(SCALE, 0).repeat(SCALE, 1)
    return Image.fromarray(grown[..., 0] if grown.shape[-1] == 1 else grown)


def table(evidence: list[Evidence]) -> str:
    """The deciding scores in Markdown."""
    lines = [
        "| cut | attack | goal | metric | value | blind | advantage | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for finding in findings(evidence):
        for row in (row for row in finding.rows if row.decides):
            told = " ".join(filter(None, (finding.first.cell.attack, finding.variant, row.guess)))
            value, blind = wording.mean(row.value, row.metric), wording.mean(row.blind, row.metric)
            cells = (finding.cut, told, row.goal, wording.metric(row.metric), value, blind)
            lines.append(
                f"| {' | '.join(cells)} | {wording.advantage(row.advantage)} | {row.verdict or wording.DASH} |"
            )
    return "\n".join(lines)


def caption(record: Record) -> str:
    """What the table was made from."""
    commit = str(record.code.get("commit") or "")[:10]
    return f"`{record.command}` at {commit}, seed {record.cell.seed}; accuracy of the split model {record.utility:.1%}."


def main() -> None:
    """Rewrite the README between its two marks."""
    evidence = read_run(Path(sys.argv[1]))
    picture(evidence).save(ROOT / "docs" / "audit.png", optimize=True)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = f"<!-- audit -->\n{table(evidence)}\n\n{caption(evidence[0].record)}\n<!-- /audit -->"
    changed, count = re.subn(r"<!-- audit -->.*<!-- /audit -->", lambda _: block, text, flags=re.DOTALL)
    if count != 1:
        sys.exit("README.md has no <!-- audit --> ... <!-- /audit -->")
    write_whole(ROOT / "README.md", changed)


def _row(images: np.ndarray) -> np.ndarray:
    framed = np.pad(images, ((0, 0), (0, 0), (0, GAP), (0, GAP)), constant_values=1.0)
    return (np.concatenate([image.transpose(1, 2, 0) for image in framed], axis=1) * 255).round().astype(np.uint8)


if __name__ == "__main__":
    main()
