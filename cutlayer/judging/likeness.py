"""How alike a guessed and a true input are: per image, or per column of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import torch
from torch import Tensor

from cutlayer.illustration import Feature
from cutlayer.metric import Metric

BEST = {Metric.SSIM: 1.0, Metric.SSIM_STRETCHED: 1.0, Metric.MSE: 0.0, Metric.PSNR: None, Metric.MSE_PUBLISHED: 0.0}
"""The best possible value of each metric; PSNR has none."""

_WINDOW = 11  # pixels: the side of SSIM's Gaussian window; smaller images have no SSIM
_LEVELS = 52  # grey levels tried for the best constant image
_PSNR_LIMIT = 100.0  # dB: equal images have infinite PSNR, which JSON cannot hold


@dataclass(frozen=True)
class Constant:
    """An image of one level everywhere: the best one by some metric."""

    level: float
    """From 0 to 1."""
    value: float
    """The metric's mean over the true images."""


def image_metrics(claimed: Tensor, truth: Tensor) -> dict[Metric, Tensor]:
    """Per image [n]: SSIM, MSE, PSNR of ``claimed`` clipped to [0, 1], and two more; both are float32 [n, C, H, W].

    SSIM is averaged over all pixels; windows at the border are completed by reflection (scikit-image leaves them out).
    ``ssim_stretched``: SSIM after each image's own range is stretched to [0, 1], the truth's too, as a positive or as
    a negative, whichever is liker. Where inputs and first layer are both unknown, brightness, contrast and sign are
    undetermined: who looks at such a guess stretches it, and reads a negative as well.
    ``mse_published``: of unclipped values, as UnSplit's code computes it; three channels are stretched before.
    """
    clipped = claimed.clamp(0, 1)
    mse = _per_image_mse(clipped, truth)
    metrics = {Metric.MSE: mse, Metric.PSNR: _psnr(clipped, truth)}
    if min(truth.shape[-2:]) >= _WINDOW:
        readable = torch.maximum(*_both_ways(claimed, truth))
        metrics = {Metric.SSIM: _ssim(clipped, truth), Metric.SSIM_STRETCHED: readable, **metrics}
    published = stretched(claimed) if truth.shape[1] == 3 else claimed
    return {**metrics, Metric.MSE_PUBLISHED: _per_image_mse(published, truth)}


def stretched(images: Tensor) -> Tensor:
    """Each image [n, C, H, W] with its lowest value at 0 and its highest at 1; a constant image stays as it is."""
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low).clamp(min=torch.finfo(images.dtype).tiny), images)


def developed(claimed: Tensor, truth: Tensor) -> Tensor:
    """``claimed`` stretched, each image as a positive or a negative, whichever has the higher SSIM with ``truth``."""
    positive, (as_positive, as_negative) = stretched(claimed), _both_ways(claimed, truth)
    return torch.where((as_negative > as_positive)[:, None, None, None], 1 - positive, positive)


def better(metric: Metric, values: Sequence[float]) -> float:
    """The better of some values of ``metric``."""
    return max(values) if metric.higher else min(values)


def best_constants(truth: Tensor) -> Mapping[Metric, Constant]:
    """For each metric the constant image that suits ``truth`` [n, C, H, W] best by it."""
    return _best_constants(truth.cpu().numpy().tobytes(), truth.shape)


@lru_cache(maxsize=32)
def _best_constants(pixels: bytes, shape: torch.Size) -> Mapping[Metric, Constant]:
    # The cells of a grid and the guesses of a cell are judged by the same targets, and this is most of judging.
    truth = torch.frombuffer(bytearray(pixels), dtype=torch.float32).view(shape)
    found: dict[Metric, list[Constant]] = {}
    for level in torch.linspace(0, 1, _LEVELS).tolist():
        for metric, values in image_metrics(torch.full_like(truth, level), truth).items():
            found.setdefault(metric, []).append(Constant(level, values.mean().item()))
    return MappingProxyType(
        {
            metric: (max if metric.higher else min)(tried, key=lambda constant: constant.value)
            for metric, tried in found.items()
        }
    )


def feature_scores(claimed: Tensor, truth: Tensor, mean: Tensor, names: Sequence[str]) -> tuple[Feature, ...]:
    """Per column of a table: MSE over the samples beside that of the better of ``mean`` and the best constant."""
    own = (claimed.clamp(0, 1) - truth).square().mean(0)
    blind = torch.minimum((mean - truth).square().mean(0), truth.var(0, unbiased=False))
    return tuple(
        Feature(name=name, mse=mse, blind=base, advantage=1 - mse / base if base > 0 else None)
        for name, mse, base in zip(names, own.tolist(), blind.tolist(), strict=True)
    )


def _both_ways(claimed: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM of the stretched images, as positives and as negatives."""
    positive, target = stretched(claimed), stretched(truth)
    return _ssim(positive, target), _ssim(1 - positive, target)


def _per_image_mse(claimed: Tensor, truth: Tensor) -> Tensor:
    return (claimed - truth).square().flatten(1).mean(1)


# torchmetrics takes seconds to import, and most commands never measure an image: it is imported where it is used.


def _ssim(claimed: Tensor, truth: Tensor) -> Tensor:
    from torchmetrics.functional.image import structural_similarity_index_measure

    found = structural_similarity_index_measure(claimed, truth, data_range=1.0, reduction="none")
    assert isinstance(found, Tensor)
    return found


def _psnr(claimed: Tensor, truth: Tensor) -> Tensor:
    from torchmetrics.functional.image import peak_signal_noise_ratio

    found = peak_signal_noise_ratio(claimed, truth, data_range=1.0, reduction="none", dim=(1, 2, 3))
    return found.clamp(max=_PSNR_LIMIT)
