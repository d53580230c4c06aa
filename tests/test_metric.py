"""How a metric is read: as a share, a difference of two, or a plain number."""

from __future__ import annotations

from cutlayer.metric import Metric

PLAIN = {
    *("ssim", "ssim_stretched", "mse", "mse_published", "psnr"),
    *("perturbation_size", "loss_correlation", "feature_similarity", "layer_distance", "slope_similarity"),
}
DROPS = {"accuracy_drop", "random_signs_drop", "uniform_noise_drop", "exchanged_drop", "pattern_drop"}


def test_all_but_the_plain_ones_are_told_in_percent() -> None:
    assert {metric.value for metric in Metric if not metric.percent} == PLAIN
    assert {metric.value for metric in Metric if metric.drop} == DROPS


def test_of_images_more_is_better_but_for_errors() -> None:
    assert {metric.value for metric in Metric if metric.higher} == {"ssim", "ssim_stretched", "psnr"}
