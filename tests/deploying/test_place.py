"""A party of a deployment where it stands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cutlayer.experiment import ExperimentError
from tests.deployments import Deployment, plan_of

BY_CLASS = """
import torch
from cutlayer.dataset import Dataset, Split

def load(data_dir, *, labeled=True):
    labels = torch.arange(40) // 10 * labeled
    split = Split(torch.arange(40, dtype=torch.uint8)[:, None, None, None].repeat(1, 1, 8, 8), labels)
    return Dataset("by_class", split, split, tuple("abcd"))
"""


@pytest.mark.parametrize("seat", ["c0", "server"])
def test_rows_that_the_labels_put_in_order_are_refused_where_one_side_has_none(seat: str, tmp_path: Path) -> None:
    rows = "".join(f"{n % 7},{n % 2}\n" for n in range(40))
    for name in ("train.csv", "test.csv", "all.csv"):
        (tmp_path / name).write_text(f"age,outcome\n{rows}")
    table = {"dataset": "table", "options": {"table": {"label": "outcome"}}}
    given = {"inputs": (1,), "classes": 2, "model": "dense", "cut": "1"}
    for protocol, place, refused in (
        ("label_only", tmp_path / "all.csv", True),
        ("label_only", tmp_path, False),
        ("vanilla", tmp_path / "all.csv", False),
    ):
        settings = {**table, "data_dir": place}
        deployed = Deployment(plan_of(protocol=protocol, **given), tmp_path / protocol / place.name, settings=settings)
        if refused:
            with pytest.raises(ExperimentError, match="draws its test part by the labels, which one side lacks"):
                deployed.place(seat)
        else:
            deployed.place(seat)


def test_rows_are_in_the_same_order_for_who_has_labels_and_who_has_none(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "by_class.py").write_text(BY_CLASS)
    settings = {"plugins": tmp_path, "dataset": "by_class"}
    own = {"options": {"by_class": {"labeled": True}}}
    deployed = Deployment(plan_of(protocol="label_only"), tmp_path, settings=settings, own=own)
    client = deployed.place("c0").samples
    deployed.settings = {**settings, "options": {"by_class": {"labeled": False}}}
    server = deployed.place("server").samples
    del sys.modules["cutlayer_plugins.datasets.by_class"]
    assert client
    assert server
    assert client.inputs(client.test_rows).equal(server.inputs(server.test_rows))
    assert client.labels(client.test_rows).tolist() == sorted(client.labels(client.test_rows).tolist())
