"""A party of a deployment where it stands."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.deployments import Deployment, plan_of

BY_CLASS = """
import torch
from cutlayer.dataset import Dataset, Split

def load(data_dir, *, labeled=True):
    labels = torch.arange(40) // 10 * labeled
    split = Split(torch.arange(40, dtype=torch.uint8)[:, None, None, None].repeat(1, 1, 8, 8), labels)
    return Dataset("by_class", split, split, tuple("abcd"))
"""


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
