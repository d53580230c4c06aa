"""What UnSplit's printed values are judged by: the blind guess at the first test images of the official lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cutlayer.data.samples import Samples
from cutlayer.experiment import make
from cutlayer.judging.likeness import best_constants, image_metrics
from cutlayer.papers.unsplit.printed import BLIND
from cutlayer.scene.loading import load_dataset


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BLIND))
def test_the_blind_value_of_the_published_targets_is_that_of_the_official_order(name: str, real: Path) -> None:
    dataset = load_dataset(make({"dataset": name, "data_dir": real}))
    # The files hold the official order permuted: row k of the official list is where the permutation has k.
    mixed = np.random.default_rng(0).permutation(len(dataset.test))
    official = torch.from_numpy(np.argsort(mixed))
    labels = dataset.test.labels[official]
    truth = dataset.test.take(torch.stack([official[labels == label][0] for label in range(10)]))
    mean = image_metrics(Samples(dataset).mean_input.expand_as(truth), truth)["mse_published"].mean().item()
    found = min(mean, best_constants(truth)["mse_published"].value)
    assert found == pytest.approx(BLIND[name], abs=5e-5)
