"""What is measured of a guess: the names that records have, and how such a number is read."""

from __future__ import annotations

import math
from enum import StrEnum


class Metric(StrEnum):
    """One number of a score."""

    SSIM = "ssim"
    SSIM_STRETCHED = "ssim_stretched"
    MSE = "mse"
    MSE_PUBLISHED = "mse_published"
    PSNR = "psnr"
    ACCURACY = "accuracy"
    RELABELED_ACCURACY = "relabeled_accuracy"
    AGREEMENT = "agreement"
    ATTACK_SUCCESS = "attack_success"
    UNPLANTED_SUCCESS = "unplanted_success"
    CLEAN_ACCURACY = "clean_accuracy"
    RECOGNITION_RATE = "recognition_rate"
    ACCURACY_DROP = "accuracy_drop"
    RANDOM_SIGNS_DROP = "random_signs_drop"
    UNIFORM_NOISE_DROP = "uniform_noise_drop"
    EXCHANGED_DROP = "exchanged_drop"
    PATTERN_DROP = "pattern_drop"
    ADVERSARIAL_ACCURACY = "adversarial_accuracy"
    NATURAL_ACCURACY = "natural_accuracy"
    PROXY_ACCURACY = "proxy_accuracy"
    PROXY_AGREEMENT = "proxy_agreement"
    PERTURBATION_SIZE = "perturbation_size"
    LOSS_CORRELATION = "loss_correlation"
    FEATURE_SIMILARITY = "feature_similarity"
    LAYER_DISTANCE = "layer_distance"
    SLOPE_SIMILARITY = "slope_similarity"

    @property
    def drop(self) -> bool:
        """Whether it is the difference of two shares, from -1 to 1."""
        return self in _DROPS

    @property
    def percent(self) -> bool:
        """Whether it is told in percent: a share, from 0 to 1, or a drop."""
        return self in _SHARES or self in _DROPS

    @property
    def bounds(self) -> tuple[float, float]:
        """From where to where it can be."""
        if self.percent:
            return -1.0 if self.drop else 0.0, 1.0
        if self in {Metric.SSIM, Metric.SSIM_STRETCHED}:
            return -1.0, 1.0
        return 0.0 if self in {Metric.MSE, Metric.MSE_PUBLISHED} else -math.inf, math.inf

    @property
    def higher(self) -> bool:
        """Whether more of it is nearer to the truth; of images."""
        return self in {Metric.SSIM, Metric.SSIM_STRETCHED, Metric.PSNR}


_DROPS = {
    *(Metric.ACCURACY_DROP, Metric.RANDOM_SIGNS_DROP, Metric.UNIFORM_NOISE_DROP),
    *(Metric.EXCHANGED_DROP, Metric.PATTERN_DROP),
}
_SHARES = {
    *(Metric.ACCURACY, Metric.RELABELED_ACCURACY, Metric.AGREEMENT),
    *(Metric.ATTACK_SUCCESS, Metric.UNPLANTED_SUCCESS, Metric.CLEAN_ACCURACY, Metric.RECOGNITION_RATE),
    *(Metric.ADVERSARIAL_ACCURACY, Metric.NATURAL_ACCURACY, Metric.PROXY_ACCURACY, Metric.PROXY_AGREEMENT),
}
