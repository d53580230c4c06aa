"""The clustering that label inference uses: it finds groups, takes any points, and restarts pay."""

from __future__ import annotations

import pytest
import torch

from cutlayer.attacks.label_inference import clusters
from cutlayer.stream import Stream


def test_finds_groups_that_lie_apart():
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(60) % 6
    points = 10 * torch.eye(6)[truth] + torch.randn(60, 6, generator=generator)
    with Stream(0).taken_up():
        groups = clusters(points, 6, restarts=3)
    assert all(len(set(groups[truth == group].tolist())) == 1 for group in range(6))
    assert len(set(groups.tolist())) == 6


def test_more_restarts_are_never_looser():
    points = torch.rand(80, 3, generator=torch.Generator().manual_seed(0))

    def spread(seed: int, restarts: int) -> float:
        with Stream(seed).taken_up():
            groups = clusters(points, 8, restarts)
        means = [points[groups == group].mean(0) for group in range(8)]
        return sum(float((points[groups == g] - m).square().sum()) for g, m in enumerate(means))

    found = [(spread(seed, 4), spread(seed, 1)) for seed in range(8)]
    assert all(many <= one for many, one in found)
    assert any(many < one for many, one in found)


@pytest.mark.parametrize("points", [torch.rand(3, 2), torch.zeros(20, 2), torch.rand(1, 2)])
def test_takes_few_and_equal_points(points):
    groups = clusters(points, 10, restarts=2)
    assert groups.shape == (len(points),)
    assert int(groups.max()) < min(10, len(points))
