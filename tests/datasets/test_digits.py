from __future__ import annotations

import sys
from importlib import import_module

import pytest
import torch

from cutlayer.datasets import digits
from tests.handwriting import handwriting


def test_counts_shapes_and_classes() -> None:
    dataset = digits.load()
    assert (len(dataset.train), len(dataset.test)) == (1438, 359)
    assert dataset.input_shape == (1, 28, 28)
    assert dataset.classes == tuple("0123456789")
    assert dataset.source == "embedded"
    share = dataset.test.labels.bincount() / (dataset.test.labels.bincount() + dataset.train.labels.bincount())
    assert share.tolist() == pytest.approx([0.2] * 10, abs=0.003)


def test_every_image_is_there_once_and_keeps_its_label() -> None:
    from sklearn.datasets import load_digits

    dataset = digits.load()
    inputs = torch.cat([dataset.train.inputs, dataset.test.inputs])
    labels = torch.cat([dataset.train.labels, dataset.test.labels])
    found = load_digits()
    small = torch.from_numpy(found.images).float()[:, None]
    large = torch.nn.functional.interpolate(small, (28, 28), mode="bilinear")
    expected = (large * (255 / 16)).round().byte().flatten(1)
    ours = sorted(zip(inputs.flatten(1).tolist(), labels.tolist(), strict=True))
    assert ours == sorted(zip(expected.tolist(), found.target.tolist(), strict=True))
    images, numbers = handwriting()
    assert torch.equal(images, small / 16)
    assert numbers.tolist() == found.target.tolist()


def test_the_split_is_fixed_and_its_seed_changes_it() -> None:
    first, again, other = digits.load(), digits.load(), digits.load(split_seed=1)
    assert first.test.inputs.equal(again.test.inputs)
    assert first.test.labels[:12].tolist() == [9, 4, 9, 5, 0, 1, 7, 7, 9, 0, 1, 6]
    assert not first.test.inputs.equal(other.test.inputs)
    assert first.train.labels[:50].unique().numel() == 10, "classes are mixed"


def test_a_cached_load_does_not_import_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does anything of the package that it imports: all of it is imported anew, where scikit-learn cannot be."""
    digits.load()
    for name in [name for name in sys.modules if name.partition(".")[0] in {"cutlayer", "sklearn"}]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert len(import_module("cutlayer.datasets.digits").load().train) == 1438
