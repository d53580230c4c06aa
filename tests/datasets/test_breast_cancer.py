from __future__ import annotations

import torch

from cutlayer.datasets import breast_cancer


def test_counts_shapes_and_names() -> None:
    dataset = breast_cancer.load()
    assert (len(dataset.train), len(dataset.test)) == (456, 113)
    assert dataset.input_shape == (30,)
    assert not dataset.is_images
    assert dataset.classes == ("malignant", "benign")
    assert (len(dataset.features), dataset.features[0]) == (30, "mean radius")
    assert dataset.train.labels.bincount().tolist() == [170, 286]


def test_the_training_part_spans_zero_to_one_and_the_test_part_is_clipped() -> None:
    dataset = breast_cancer.load()
    assert dataset.train.inputs.amin(0).tolist() == [0.0] * 30
    assert dataset.train.inputs.amax(0).tolist() == [1.0] * 30
    assert dataset.test.inputs.min() >= 0
    assert dataset.test.inputs.max() <= 1


def test_scaling_uses_the_training_part_alone() -> None:
    from sklearn.datasets import load_breast_cancer

    dataset = breast_cancer.load()
    raw = torch.from_numpy(load_breast_cancer().data)
    # Scaling by all rows would bring the maximum of every feature to 1 in one of the parts, and clip nothing.
    clipped = (dataset.test.inputs == 1).sum() + (dataset.test.inputs == 0).sum()
    touching = (raw == raw.amin(0)).sum() + (raw == raw.amax(0)).sum()
    ends = (dataset.train.inputs == 0).sum() + (dataset.train.inputs == 1).sum()
    assert clipped > 0
    assert clipped + ends > touching


def test_the_seed_draws_the_split() -> None:
    first, again, other = breast_cancer.load(), breast_cancer.load(), breast_cancer.load(split_seed=1)
    assert first.test.inputs.equal(again.test.inputs)
    assert not first.test.inputs.equal(other.test.inputs)
