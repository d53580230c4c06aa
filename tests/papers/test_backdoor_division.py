"""The division of the data that the backdoor paper's table 1 prints: as many samples for the server as for a client."""

from __future__ import annotations

import pytest
import torch

from cutlayer.dataset import Dataset, Split
from cutlayer.papers.backdoor.figures import FIGURES
from cutlayer.reproduction.cell import Cell
from cutlayer.reproduction.found import as_experiment
from cutlayer.scene import settle as settling
from cutlayer.scene.settle import settle

SHAPES = {"mnist": ((1, 28, 28), 60000), "cifar10": ((3, 32, 32), 50000)}


def split_of(count: int, shape: tuple[int, ...]) -> Split:
    # All samples are one and the same in memory.
    return Split(torch.zeros(1, *shape, dtype=torch.uint8).expand(count, *shape), torch.arange(count) % 10)


@pytest.mark.parametrize(("clients", "sizes"), [(1, {25000}), (3, {12500}), (5, {8333, 8334}), (7, {6250})])
@pytest.mark.parametrize("name", SHAPES)
def test_clients_and_server_have_what_table_1_says(
    name: str, clients: int, sizes: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, rows = SHAPES[name]
    data = Dataset(name, split_of(rows, shape), split_of(10000, shape), tuple("abcdefghij"), source="made")
    monkeypatch.setattr(settling, "load_dataset", lambda experiment: data)
    cell: Cell = next(c for c in FIGURES[name].cells("paper") if c.values["clients"] == clients)
    (scene,) = settle(as_experiment({**cell.values, **cell.how}))
    assert {len(shard) for shard in scene.deal()} == sizes
    assert scene.auxiliary is not None
    assert len(scene.auxiliary) in sizes
    kept = (10000, 10000) if name == "mnist" else (5000, 5000)
    assert (len(scene.samples.validation_rows), len(scene.samples.test_rows)) == kept
