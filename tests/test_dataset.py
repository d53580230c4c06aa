from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cutlayer.dataset import Dataset, DatasetError, Split, stratified


def images(count: int, size: int = 4) -> Split:
    values = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 1, size, size).contiguous()
    return Split(values, torch.arange(count) % 2)


def test_take_scales_images_to_the_unit_interval_and_copies() -> None:
    split = Split(torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1, 1), torch.zeros(3, dtype=torch.int64))
    taken = split.take(torch.tensor([2, 1]))
    assert taken.dtype == torch.float32
    assert taken.flatten().tolist() == pytest.approx([1.0, 0.2])
    taken.zero_()
    assert split.inputs.flatten().tolist() == [0, 51, 255]


def test_take_leaves_table_values_alone() -> None:
    split = Split(torch.tensor([[0.25, 0.5], [0.75, 1.0]]), torch.tensor([0, 1]))
    taken = split.take(torch.tensor([1]))
    assert taken.tolist() == [[0.75, 1.0]]
    taken.zero_()
    assert split.inputs[1].tolist() == [0.75, 1.0]


def test_properties() -> None:
    dataset = Dataset("made", images(4), images(2), ("a", "b"))
    assert dataset.input_shape == (1, 4, 4)
    assert dataset.is_images
    table = Split(torch.zeros(2, 3), torch.tensor([0, 1]))
    assert not Dataset("table", table, table, ("a", "b"), features=("x", "y", "z")).is_images


def test_limited_spreads_over_the_split() -> None:
    dataset = Dataset("made", images(100), images(10), ("a", "b"), pixels="lossless").limited(4, 50)
    assert dataset.train.inputs[:, 0, 0, 0].tolist() == [0, 25, 50, 75]
    assert (len(dataset.test), dataset.pixels) == (10, "lossless")
    with pytest.raises(DatasetError, match="limited to 0 rows"):
        dataset.limited(train=0)


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (torch.zeros(2, 1, 4, 4), torch.zeros(2, dtype=torch.int64), "images are uint8"),
        (torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.int64), "tables float32"),
        (torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64), "2 inputs need int64"),
        (torch.zeros(2, 3), torch.zeros(2), "labels are torch.float32"),
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), "no rows"),
        (torch.zeros(2, 0), torch.zeros(2, dtype=torch.int64), "or nothing in them"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(inputs, labels, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        Split(inputs, labels)


def test_a_dataset_that_does_not_fit_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"a training input is \[1, 4, 4\] and a test input \[1, 5, 5\]"):
        Dataset("made", images(4), images(4, 5), ("a", "b"))
    with pytest.raises(DatasetError, match="go from 0 to 1, and there are 1 classes"):
        Dataset("made", images(4), images(4), ("a",))
    with pytest.raises(DatasetError, match="1 feature names"):
        Dataset("made", images(4), images(4), ("a", "b"), features=("x",))


@pytest.mark.parametrize("zero", [0, 0.0, None, True, ("a",)])
def test_names_that_are_no_texts_are_refused(zero: object) -> None:
    kind = type(zero).__name__
    with pytest.raises(DatasetError, match=r"made: .* is the name of a class, and of type " + kind):
        Dataset("made", images(4), images(4), ("a", zero))  # type: ignore[arg-type]
    table = Split(torch.zeros(2, 2), torch.tensor([0, 1]))
    with pytest.raises(DatasetError, match=r"made: .* is the name of a feature, and of type " + kind):
        Dataset("made", table, table, ("a", "b"), features=("x", zero))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([[0.0, 90.0], [0.5, 1.0]], "inputs go from 0 to 90, a table's values from 0 to 1: scale each feature by its"),
        ([[-0.1, 0.5], [0.5, 1.0]], r"inputs go from -0\.1 to 1"),
        ([[math.nan, 0.5], [0.5, 1.0]], "1 of 2 rows have values that are not finite: fill or leave them out"),
        ([[0.5, math.inf], [-math.inf, math.nan]], "2 of 2 rows have values that are not finite"),
    ],
)
def test_values_of_a_table_that_no_guess_is_judged_by_are_refused(values: list[list[float]], says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        Split(torch.tensor(values), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("labels", "is_sorted"),
    [
        ([0] * 9 + [1] * 9, True),
        ([0] * 6 + [1, 0, 1] + [1] * 6, True),
        ([number // 3 % 6 for number in range(90)], True),
        ([number % 2 for number in range(18)], False),
        (list(range(10)), False),
        ([1] * 9, False),
        ([0], False),
    ],
)
def test_rows_that_lie_by_class_are_told_from_others(labels: list[int], is_sorted: bool) -> None:
    split = Split(torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8), torch.tensor(labels))
    assert split.is_sorted is is_sorted


def test_a_mixed_split_has_the_same_rows_in_one_other_order() -> None:
    split = Split(images(60).inputs, torch.arange(60) // 30)
    one, again = split.mixed(), split.mixed()
    values = one.inputs[:, 0, 0, 0].long()
    assert sorted(values.tolist()) == list(range(60))
    assert one.labels.equal(values // 30)
    assert not one.is_sorted
    assert one.inputs.equal(again.inputs)


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=80).map(lambda found: found * 2), seed=st.integers(0, 2**31)
)
def test_stratified_parts_are_disjoint_complete_and_fair(labels: list[int], seed: int) -> None:
    values = torch.tensor(labels)
    train, test = stratified(values, seed)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(len(labels)))
    for label in set(labels):
        count = labels.count(label)
        assert int((values[test] == label).sum()) == max(1, round(0.2 * count))
    again = stratified(values, seed)
    assert again[0].equal(train)
    assert again[1].equal(test)


def test_stratified_needs_two_rows_of_each_class() -> None:
    with pytest.raises(DatasetError, match="class 1 has one row"):
        stratified(torch.tensor([0, 0, 1]), 0)


def test_the_first_classes_are_kept_with_their_rows() -> None:
    labels = torch.tensor([0, 2, 1, 3, 1])
    split = Split(torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1), labels)
    kept = Dataset("made", split, split, tuple("abcd")).of_classes(2)
    assert kept.classes == ("a", "b")
    assert kept.train.labels.tolist() == [0, 1, 1]
    assert kept.test.inputs.flatten().tolist() == [0, 2, 4]
    with pytest.raises(DatasetError, match="classes = 3: made has 2"):
        kept.of_classes(3)
