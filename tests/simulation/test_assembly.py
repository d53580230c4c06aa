"""What a deployment is built from: who holds which rows, at which rate everybody trains."""

from __future__ import annotations

import pytest

from cutlayer.simulation.assembly import brief
from tests.scenes import made, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")


@pytest.mark.parametrize("source", ["train", "test"])
def test_nobody_trains_or_is_tested_on_validation_rows(source: str) -> None:
    scene = scene_of(protocol="vanilla", cut="1", clients=3, validation_rows=8, validation_from=source, aux="share")
    samples = scene.samples
    kept = set(samples.validation_rows.tolist())
    assert len(kept) == 8
    held = [set(hand.tolist()) for hand in scene.deal()]
    assert all(kept.isdisjoint(rows) for rows in (*held, set(samples.test_rows.tolist())))
    train_rows = set(samples.train_rows.tolist())
    assert kept | train_rows | set(samples.test_rows.tolist()) == set(range(len(samples)))
    assert set().union(*held) < train_rows
    other = scene_of(protocol="vanilla", cut="1", validation_rows=8, validation_from=source, seed=2)
    assert set(other.samples.validation_rows.tolist()) != kept


def test_the_rate_falls_at_the_end_of_the_epochs_named() -> None:
    scene = scene_of(protocol="vanilla", cut="1", clients=2, milestones=(1, 3), decay=0.1, learning_rate=1.0)
    # Two clients with 22 rows each, in batches of 8: six steps an epoch.
    assert scene.optimization.milestones == (6, 18)
    assert [scene.optimization.rate(step) for step in (5, 6, 18)] == pytest.approx([1.0, 0.1, 0.01])
    assert brief(scene, attack=True).optimization == scene.optimization
