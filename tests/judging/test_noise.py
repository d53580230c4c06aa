"""What noise leaves of a deployment: tried on as many targets as there are, or on the first, and measured once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from cutlayer.budget import Budget
from cutlayer.experiment import ExperimentError
from cutlayer.judging.noise import BESIDE, Deployed, Remembered, patterned
from tests.evasions import linear, natural

NETWORK = linear()
BUDGET = Budget((0.2,))
COUNT = BESIDE + 500
PATTERNS = 5  # of images


class Asked:
    """A deployment that counts what it is asked."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, inputs: Tensor) -> Tensor:
        self.sizes.append(len(inputs))
        return torch.as_tensor(NETWORK(inputs))


def deployed(asked: Asked, count: int = COUNT) -> Deployed:
    inputs = natural(count)
    labels = NETWORK(inputs).argmax(1)
    # The first are right, of the others half.
    labels[BESIDE::2] = 1 - labels[BESIDE::2]
    return Deployed(asked, inputs, labels)


@pytest.mark.parametrize(("shape", "patterns"), [((2, 9, 10), 5), ((7,), 3)])
def test_patterns_take_the_whole_budget_and_are_the_same_for_all_inputs(shape: tuple[int, ...], patterns: int) -> None:
    inputs = torch.full((3, *shape), 0.5)
    found = [changed - inputs for changed in patterned(inputs, BUDGET)]
    assert len(found) == patterns
    for change in found:
        torch.testing.assert_close(change.abs(), torch.full_like(change, 0.2))
        assert torch.equal(change, change[:1].expand_as(change))
    assert (found[0] > 0).all()
    assert (found[1] < 0).all()
    drawn = [change[0].sign() for change in found[2:]]
    assert not any(torch.equal(one, drawn[0]) for one in drawn[1:])
    for width, signs in zip((4, 8), drawn[1:], strict=False):
        blocks = [block for rows in signs.split(width, 1) for block in rows.split(width, 2)]
        assert all((block == block[:, :1, :1]).all() for block in blocks)
        assert len({tuple(block[:, 0, 0].tolist()) for block in blocks}) > 1
    assert min(changed.min().item() for changed in patterned(torch.zeros(1, *shape), BUDGET)) == 0


def test_signs_are_tried_on_all_targets_and_uniform_noise_on_the_first() -> None:
    asked = Asked()
    found = deployed(asked).accuracies(BUDGET)
    assert found.natural == pytest.approx((BESIDE + 250) / COUNT)
    assert asked.sizes == [COUNT, COUNT, *[BESIDE] * PATTERNS, BESIDE]
    assert found.first_pattern_drop is not None
    assert found.first_pattern_drop > found.first_signs_drop
    beside = deployed(Asked()).accuracies(Budget((0.2,), "51/255"))
    assert beside.first_pattern_drop is None, "a budget beside the first one decides nothing"
    assert 0 < found.first_uniform_drop < found.first_signs_drop
    # Of the others half are right, whatever comes.
    assert found.first_signs_drop > found.natural - found.signs
    half = deployed(Asked())
    assert half.drop(half.natural[:BESIDE]) == 0, "held against what is right of the same targets"
    assert half.accuracy(half.natural[:BESIDE]) == 1


def test_few_targets_are_given_noise_several_times() -> None:
    asked = Asked()
    deployed(asked, 300).accuracies(BUDGET)
    assert asked.sizes == [300] * (1 + 4 + PATTERNS + 4)
    asked.sizes.clear()
    deployed(asked, 5).accuracies(BUDGET)
    assert asked.sizes == [5] * (1 + 10 + PATTERNS + 10)


def test_what_many_cells_ask_for_is_measured_once(tmp_path: Path) -> None:
    asked = Asked()
    first = Remembered(deployed(asked), tmp_path, "vanilla (1,)").accuracies(BUDGET)
    calls = len(asked.sizes)
    assert Remembered(deployed(asked), tmp_path, "vanilla (1,)").accuracies(BUDGET) == first
    assert len(asked.sizes) == calls
    assert first == deployed(Asked()).accuracies(BUDGET)


def test_other_deployments_targets_and_budgets_are_others(tmp_path: Path) -> None:
    Remembered(deployed(Asked(), 20), tmp_path, "vanilla (1,)").accuracies(BUDGET)
    same = deployed(Asked(), 20)
    others = [
        Remembered(same, tmp_path, "u_shaped (1,)"),
        Remembered(deployed(Asked(), 21), tmp_path, "vanilla (1,)"),
        Remembered(Deployed(Asked(), same.natural, 1 - same.labels), tmp_path, "vanilla (1,)"),
    ]
    for other in others:
        other.accuracies(BUDGET)
        assert isinstance(other.deployed.answers, Asked)
        assert other.deployed.answers.sizes, other.told
    again = deployed(Asked(), 20)
    for budget in (Budget((0.1,)), Budget((0.2,), "51/255")):
        Remembered(again, tmp_path, "vanilla (1,)").accuracies(budget)
    assert isinstance(again.answers, Asked)
    assert len(again.answers.sizes) == 1 + 2 * 20 + PATTERNS


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    Remembered(deployed(Asked(), 20), tmp_path, "vanilla (1,)").accuracies(BUDGET)
    (file,) = tmp_path.iterdir()
    for content in (b"half", b'{"natural": 1.0}'):
        file.write_bytes(content)
        with pytest.raises(ExperimentError, match=f"{file.name} is of another version, or damaged: remove it"):
            Remembered(deployed(Asked(), 20), tmp_path, "vanilla (1,)").accuracies(BUDGET)
