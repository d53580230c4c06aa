"""The paper's setups as cells: victims, attacks on them, and what is cut short at which scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cutlayer.metric import Metric
from cutlayer.record import Record, Score
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.found import Group

DEPTHS = {"digits": (2,), "mnist": range(1, 7), "fashion_mnist": range(1, 7), "cifar10": range(1, 9)}
"""Split depths by dataset; the client holds blocks 0 to depth. The embedded digits stand in at the scale ``smoke``."""
PAPERS_OWN = ("mnist", "fashion_mnist", "cifar10")


def datasets(scale: Scale, own: Sequence[str] = PAPERS_OWN) -> Sequence[str]:
    """What runs at a scale."""
    return ("digits",) if scale == "smoke" else own


def victim(dataset: str, scale: Scale) -> dict[str, Any]:
    """The deployment that is attacked, as the published code trains it; the sizes that a smaller scale takes."""
    values: dict[str, Any] = {
        "dataset": dataset,
        "model": "unsplit_cifar" if dataset == "cifar10" else "unsplit_mnist",
        "protocol": "vanilla",
        "epochs": 10,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "train_rows": None,
        "test_rows": None,
    }
    if scale == "smoke":
        return {**values, "epochs": 1, "train_rows": 300, "test_rows": 100}
    if scale == "quick" and dataset == "cifar10":
        # Ten epochs on the whole of it take two hours on two cores; 300 steps leave this network at chance.
        return {**values, "epochs": 5, "train_rows": 20000, "test_rows": 1000}
    return values


def steps(scale: Scale) -> str:
    """The length of an attack."""
    return "paper" if scale == "paper" else "quick"


def unsplit_cells(
    scale: Scale, own: Sequence[str] = PAPERS_OWN, times: Sequence[tuple[str, int]] = (("after", 10),)
) -> list[Cell]:
    """UnSplit on every dataset at every depth, at ``times``: before the training or after so many epochs of it."""
    cells = []
    for dataset in datasets(scale, own):
        # Where seconds count, the process that isolates a cell takes longest.
        how: dict[str, Any] = {"unsplit.rounds": 2, "isolate": False} if scale == "smoke" else {}
        if scale == "quick" and dataset == "cifar10":
            how = {"unsplit.rounds": 10, "unsplit.restarts": 1}
        whole = victim(dataset, scale)
        for when, epochs in times:
            trained = whole if epochs == 10 else {**whole, "epochs": epochs}
            for depth in DEPTHS[dataset]:
                values = {**trained, "attack": "unsplit", "cut": str(depth), "when": when, "steps": steps(scale)}
                cells.append(Cell(values, how))
    return cells


def mse(record: Record) -> float | None:
    """The published form of the MSE, of the final guess."""
    return published_mse(record.scores)


def published_mse(scores: Sequence[Score]) -> float | None:
    """The published form of the MSE among ``scores``."""
    return next((score.value for score in scores if score.metric == Metric.MSE_PUBLISHED), None)


def seeds(groups: Sequence[Group]) -> str:
    """How many the groups have, from the fewest to the most."""
    counts = sorted({len(group.runs) for group in groups})
    return " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
