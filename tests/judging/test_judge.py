"""The judge against hand-computed values and other implementations; what cannot be judged is refused."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor

from cutlayer.attack import Guess
from cutlayer.judging.judge import GuessError, Truth, judge, judge_all
from cutlayer.judging.likeness import best_constants, image_metrics
from cutlayer.message import Kind
from cutlayer.record import LEAK, NONE, PARTIAL, Score
from cutlayer.threat import Goal, Row
from tests.guesses import THRESHOLDS, guess_of, images, inputs_scores, labels_truth, rows_of, truth_of


@pytest.mark.parametrize("mean_is_better", [True, False])
def test_blind_is_the_better_of_mean_image_and_best_constant(mean_is_better: bool) -> None:
    truth = truth_of()
    mean = truth.inputs.mean(0) if mean_is_better else 1 - truth.inputs.mean(0)
    found = inputs_scores(torch.zeros_like(truth.inputs), Truth(**{**vars(truth), "mean_input": mean}))
    of_mean, constants = image_metrics(mean.expand_as(truth.inputs), truth.inputs), best_constants(truth.inputs)
    for metric in ("mse", "ssim"):
        expected = of_mean[metric].mean().item() if mean_is_better else constants[metric].value
        assert found[metric].blind == pytest.approx(expected), metric


@pytest.mark.parametrize("side", [16, 8])
@pytest.mark.parametrize("mean_is_better", [True, False])
def test_the_blind_guess_that_is_pictured_is_the_one_that_decides(mean_is_better: bool, side: int) -> None:
    truth = truth_of(images()[..., :side, :side])
    mean = truth.inputs.mean(0) if mean_is_better else 1 - truth.inputs.mean(0)
    truth = Truth(**{**vars(truth), "mean_input": mean})
    judgement = judge(guess_of(Goal.INPUTS, 5, inputs=torch.zeros_like(truth.inputs)), truth, THRESHOLDS)
    about, blind = judgement.pictures, judgement.images["blind"]
    assert about is not None
    assert about.blind == ("mean" if mean_is_better else "constant")
    assert torch.equal(blind, mean.expand_as(blind)) == mean_is_better
    assert (blind.max() == blind.min()) != mean_is_better
    metric = "ssim" if side == 16 else "mse"
    decided = next(score.blind for score in judgement.scores if score.metric == metric)
    assert image_metrics(blind, truth.inputs)[metric].mean().item() == pytest.approx(decided)
    if metric == "ssim":
        assert sum(value or 0 for value in about.blind_ssim) / 5 == pytest.approx(decided)
    else:
        assert about.blind_ssim == ()


def test_advantage_is_1_for_the_truth_and_0_for_the_blind_guess() -> None:
    truth = truth_of()
    mean = truth.inputs.mean(0)
    truth = Truth(**{**vars(truth), "mean_input": mean})
    perfect, blind = inputs_scores(truth.inputs, truth), inputs_scores(mean.expand_as(truth.inputs), truth)
    for metric in ("ssim", "ssim_stretched", "mse", "mse_published"):
        assert perfect[metric].advantage == pytest.approx(1.0), metric
        assert blind[metric].advantage == pytest.approx(0.0, abs=1e-6), metric
    assert {name for name, score in perfect.items() if score.decides} == {"ssim", "ssim_stretched", "mse"}
    for metric in ("ssim", "mse"):
        assert perfect[metric].verdict == LEAK
        assert blind[metric].verdict == NONE
    assert perfect["mse_published"].verdict is None
    assert perfect["psnr"].advantage is None


def test_what_can_be_read_under_noise_is_a_leak_however_like_a_black_image_the_truth_is() -> None:
    """Strokes on black: by SSIM an all-black image is nearer to them than they are themselves under noise."""
    strokes = torch.zeros(6, 1, 28, 28)
    for number, image in enumerate(strokes):
        image[0, 4:24, 4 + 3 * number : 6 + 3 * number] = 1.0
    noise = 0.15 * torch.randn(strokes.shape, generator=torch.Generator().manual_seed(0))
    truth = Truth(**{**vars(truth_of(strokes)), "mean_input": strokes.mean(0)})
    found = inputs_scores(strokes + noise, truth)
    assert [found[metric].verdict for metric in ("ssim", "ssim_stretched", "mse")] == [NONE, NONE, LEAK]


def test_where_the_targets_are_hardly_more_than_their_mean_no_ssim_decides() -> None:
    one = 0.1 + 0.8 * images(1)
    alike = one + torch.linspace(-0.01, 0.01, 5).view(5, 1, 1, 1) * images(5, seed=4)
    found = inputs_scores(alike, Truth(**{**vars(truth_of(alike)), "mean_input": alike.mean(0)}))
    for metric in ("ssim", "ssim_stretched"):
        score = found[metric]
        assert 0.95 < (score.blind or 0) < 1, metric
        assert (score.value, score.best, score.advantage) == (pytest.approx(1.0), None, None), metric
    assert found["mse"].advantage == 1.0, "an error is no share: it has no room to need"
    assert not any(score.decides or score.verdict for score in found.values())


def test_advantage_is_the_share_of_the_way_from_blind_to_best() -> None:
    truth = truth_of(torch.ones(1, 1, 4, 4), [0])
    halfway = Truth(**{**vars(truth), "inputs": torch.tensor([0.0, 1.0]).repeat(8).view(1, 1, 4, 4)})
    found = inputs_scores(
        torch.full((1, 1, 4, 4), 0.5) + torch.tensor([-0.25, 0.25]).repeat(8).view(1, 1, 4, 4), halfway
    )
    assert found["mse"].value == pytest.approx(0.0625)
    assert found["mse"].blind == pytest.approx(0.25, abs=1e-3)
    assert found["mse"].advantage == pytest.approx(0.75, abs=1e-3)
    assert found["mse"].decides  # smaller than SSIM's window


@pytest.mark.parametrize(("advantage", "verdict"), [(0.25, LEAK), (0.2499, PARTIAL), (0.1, PARTIAL), (0.0999, NONE)])
def test_thresholds_are_reached_from_below(advantage: float, verdict: str) -> None:
    assert THRESHOLDS.verdict(advantage) == verdict


def test_pictures_lie_in_the_order_of_the_targets() -> None:
    truth = truth_of()
    turned = Guess(Goal.INPUTS, {"inputs": truth.inputs.flip(0)}, tuple(reversed(truth.rows)))
    judgement = judge(turned, truth, THRESHOLDS)
    assert torch.equal(judgement.images["guess"], truth.inputs)
    assert judgement.pictures is not None
    assert judgement.pictures.labels == ("a", "b", "c", "a", "b")
    assert judgement.pictures.mse == (0.0,) * 5


def bad_guesses() -> dict[str, tuple[Guess, str]]:
    truth = truth_of()
    some, rows = truth.inputs, truth.rows
    holed = some.clone()
    holed[0, 0, 0, 0] = float("nan")
    labels = torch.zeros(5, dtype=torch.int64)
    other = (*rows[:4], Row(Kind.TRAIN, 0, 4))

    def inputs(tensor: Tensor, about: tuple[Row, ...] = rows) -> Guess:
        return Guess(Goal.INPUTS, {"inputs": tensor}, about)

    return {
        "some rows": (inputs(some[:4], rows[:4]), "is about 4 samples, not the 5 targets"),
        "other rows": (inputs(some, other), "not the 5 targets"),
        "a row twice": (inputs(torch.cat([some, some[:1]]), (*rows, rows[0])), "is about 6 samples"),
        "NaN": (inputs(holed), "NaN or infinite values in 'inputs'"),
        "infinite": (inputs(some / 0), "NaN or infinite values in 'inputs'"),
        "too few": (inputs(some[:4]), r"'inputs' is of shape \[4, 1, 16, 20\], it must have shape \[5, 1, 16, 20\]"),
        "flat": (inputs(some.flatten(1)), "'inputs' is of shape"),
        "unnamed": (Guess(Goal.INPUTS, {"input": some}, rows), "'inputs' is missing"),
        "real labels": (Guess(Goal.LABELS, {"labels": labels.float()}, rows), "must be torch.int64"),
        "no class": (Guess(Goal.LABELS, {"labels": labels + 3}, rows), "'labels' go from 3 to 3, classes to 2"),
        "negative": (Guess(Goal.LABELS, {"labels": labels - 1}, rows), "'labels' go from -1 to -1"),
        "no model": (Guess(Goal.MODEL, {}), "no model to compare"),
        "another goal": (Guess(Goal.EVASION, {"inputs": some}, rows), "no deployment to try"),
    }


@pytest.mark.parametrize("case", bad_guesses())
def test_what_cannot_be_judged_is_refused(case: str) -> None:
    guess, says = bad_guesses()[case]
    with pytest.raises(GuessError, match=says):
        judge(guess, truth_of(), THRESHOLDS)


def label_scores(truth: Truth, claimed: list[int], relabeled: bool = False) -> Score:
    guess = Guess(Goal.LABELS, {"labels": torch.tensor(claimed)}, truth.rows, relabeled=relabeled)
    (found,) = judge(guess, truth, THRESHOLDS).scores
    return found


def test_labels_are_judged_beside_the_majority() -> None:
    truth = labels_truth([0, 0, 0, 1, 2])
    found = label_scores(truth, [0, 0, 1, 1, 2])
    assert (found.metric, found.value, found.blind, found.best) == ("accuracy", 0.8, 0.6, 1.0)
    assert found.advantage == pytest.approx(0.5)
    assert found.verdict == LEAK
    assert label_scores(truth, [0] * 5).advantage == 0.0
    assert label_scores(truth, [0, 0, 0, 1, 2]).advantage == 1.0


@pytest.mark.parametrize("relabeled", [False, True])
@pytest.mark.parametrize(
    ("others", "missed", "advantage", "verdict"),
    [
        (0, 0, None, None),
        (1, 0, None, None),
        (1, 2, None, None),
        (2, 0, 1.0, LEAK),
        (2, 2, 0.0, NONE),
        (2, 3, -0.5, NONE),
    ],
)
def test_of_40_targets_one_of_another_class_leaves_no_room_and_two_do(
    relabeled: bool, others: int, missed: int, advantage: float | None, verdict: str | None
) -> None:
    truth = [0] * (40 - others) + [1] * others
    found = label_scores(labels_truth(truth), [2] * missed + truth[missed:], relabeled)
    assert found.advantage == (None if advantage is None else pytest.approx(advantage))
    assert (found.verdict, found.decides) == (verdict, advantage is not None)


def test_of_many_guesses_only_those_decide_whose_names_were_fixed_beforehand() -> None:
    """Of three hundred random ones a few hit."""
    draw = torch.Generator().manual_seed(1)
    labels = torch.arange(20) % 2
    truth = labels_truth(labels.tolist())
    drawn = [torch.randint(2, (20,), generator=draw) for _ in range(300)]
    guesses = [Guess(Goal.LABELS, {"labels": one}, rows_of(20), name=str(n or "")) for n, one in enumerate(drawn)]
    scores = [judgement.scores[0] for judgement in judge_all(guesses, truth, THRESHOLDS)]
    assert max(score.advantage or 0.0 for score in scores) > 0.3
    assert [score.guess for score in scores if score.decides] == [""]
    assert {score.verdict for score in scores[1:]} == {None}
    scores = [judgement.scores[0] for judgement in judge_all(guesses, truth, THRESHOLDS, ("7", "9"))]
    assert [score.guess for score in scores if score.decides] == ["7", "9"]


def test_confusion_has_the_truth_in_rows() -> None:
    judgement = judge(
        guess_of(Goal.LABELS, 5, labels=torch.tensor([0, 0, 1, 1, 1])), labels_truth([0, 0, 0, 1, 2]), THRESHOLDS
    )
    assert judgement.confusion is not None
    assert judgement.confusion.counts == ((2, 1, 0), (0, 1, 0), (0, 1, 0))
    assert judgement.confusion.labels == ("a", "b", "c")


def best_by_trying(labels: list[int], clusters: list[int]) -> float:
    """Every way to give the clusters different names, where a name may stand for no class."""
    names = sorted(set(clusters))
    hits = (
        sum(dict(zip(names, chosen, strict=True))[c] == label for label, c in zip(labels, clusters, strict=True))
        for chosen in permutations(range(max(3, len(names))), len(names))
    )
    return max(hits) / len(labels)


@pytest.mark.parametrize("seed", range(8))
def test_relabeling_is_the_best_one(seed: int) -> None:
    draw = np.random.default_rng(seed)
    labels, clusters = draw.integers(0, 3, 12).tolist(), (draw.integers(0, 2 + seed % 4, 12) * 1000 - 5).tolist()
    found = label_scores(labels_truth(labels), clusters, relabeled=True)
    assert found.value == pytest.approx(best_by_trying(labels, clusters))
    assert found.metric == "relabeled_accuracy"


def test_blind_clusters_are_random_ones_or_the_majority() -> None:
    balanced = [n % 3 for n in range(300)]
    found = label_scores(labels_truth(balanced), balanced, relabeled=True)
    assert found.value == 1.0
    assert found.blind == pytest.approx(0.38, abs=0.02)
    assert label_scores(labels_truth([0] * 18 + [1, 2]), [0] * 20, relabeled=True).blind == 0.9
    again = label_scores(labels_truth(balanced), balanced, relabeled=True)
    assert again.blind == found.blind


def test_one_target_of_each_class_is_told_apart_blindly() -> None:
    found = label_scores(labels_truth([0, 1, 2]), [2, 0, 1], relabeled=True)
    assert (found.value, found.blind, found.verdict) == (1.0, 1.0, None)


def table() -> tuple[Tensor, Truth]:
    draw = torch.Generator().manual_seed(1)
    inputs = torch.rand(6, 3, generator=draw)
    inputs[:, 2] = 0.5
    return inputs, Truth(
        rows_of(6), inputs, torch.zeros(6, dtype=torch.int64), inputs.mean(0) + 0.1, ("a",), ("x", "y", "z")
    )


def test_a_table_is_judged_by_feature() -> None:
    inputs, truth = table()
    claimed = inputs.clone()
    claimed[:, 1] = inputs[:, 1].mean()
    claimed[0, 0] += 7
    judgement = judge(guess_of(Goal.INPUTS, 6, inputs=claimed), truth, THRESHOLDS)
    assert judgement.features is not None
    assert not judgement.images
    x, y, z = judgement.features
    assert (x.name, y.name, z.name) == ("x", "y", "z")
    assert x.mse == pytest.approx((1 - inputs[0, 0].item()) ** 2 / 6)
    assert y.mse == pytest.approx(inputs[:, 1].var(unbiased=False).item())
    assert y.blind == pytest.approx(y.mse)
    assert y.advantage == pytest.approx(0.0, abs=1e-6)
    assert z.advantage is None
    (found,) = judgement.scores
    assert (found.metric, found.decides) == ("mse", True)
    assert found.value == pytest.approx((x.mse + y.mse) / 3)
    assert inputs_scores(inputs, truth)["mse"].advantage == 1.0


def test_a_tables_blind_guess_is_the_better_of_mean_row_and_best_constant() -> None:
    inputs, truth = table()
    of_mean = (truth.mean_input - inputs).square().mean().item()
    assert inputs_scores(inputs, truth)["mse"].blind == pytest.approx(min(of_mean, inputs.var(unbiased=False).item()))
    exact = Truth(**{**vars(truth), "mean_input": inputs.mean(0)})
    assert inputs_scores(inputs.mean(0).expand(6, 3), exact)["mse"].advantage == pytest.approx(0.0, abs=1e-6)
