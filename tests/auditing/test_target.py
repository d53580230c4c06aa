"""Targets on their way over the wire."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cutlayer.auditing import target
from cutlayer.auditing.target import at_once, send_targets
from cutlayer.simulation.assembly import assemble, honest_host
from tests.scenes import made, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")


@pytest.mark.parametrize(
    ("asked", "largest"), [({}, 5), ({"target_batch": 4}, 4), ({"target_batch": 40}, 11), ({"targets": 2}, 2)]
)
def test_one_message_holds_a_bounded_number_of_targets(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], largest: int
) -> None:
    monkeypatch.setattr(target, "_MOST", 5)
    scene = scene_of(**{"protocol": "vanilla", "cut": "1", "targets": 11, **asked})
    sent = send_targets(scene, assemble(scene, honest_host(scene)))
    assert at_once(scene) == largest
    assert max(row.row for row in sent) == largest - 1
    assert sorted(sent.values()) == scene.target_rows.sort().values.tolist()


@pytest.mark.parametrize("targets", [None, 8])
def test_the_order_of_the_targets_tells_no_label(targets: int | None) -> None:
    """By itself it would: one of each class is chosen by class, and these files have the classes in turn."""
    orders = set()
    for seed in range(4):
        scene = scene_of(protocol="vanilla", cut="1", targets=targets, seed=seed)
        sent = send_targets(scene, assemble(scene, honest_host(scene)))
        assert sorted(sent.values()) == scene.target_rows.sort().values.tolist()
        orders.add(tuple(scene.samples.labels(torch.tensor(list(sent.values()))).tolist()))
    assert len(orders) > 1
