"""Image metrics against hand-computed values and scikit-image's."""

from __future__ import annotations

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn

from cutlayer.judging.likeness import best_constants, developed, image_metrics, stretched
from tests.guesses import images


def skimage_ssim(one: Tensor, other: Tensor) -> list[float]:
    """Wang et al. 2004: Gaussian window, population variances; borders reflected, as torchmetrics does."""
    padded = (nn.functional.pad(images, (5, 5, 5, 5), mode="reflect").numpy() for images in (one, other))
    settings = {"channel_axis": 0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return [structural_similarity(a, b, data_range=1.0, **settings) for a, b in zip(*padded, strict=True)]


@pytest.mark.parametrize("channels", [1, 3])
def test_image_metrics_are_those_of_scikit_image(channels: int) -> None:
    truth, claimed = images(4, channels), images(4, channels, seed=4)
    found = image_metrics(claimed, truth)
    psnr = [peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=1.0) for a, b in zip(truth, claimed, strict=True)]
    assert found["ssim"].tolist() == pytest.approx(skimage_ssim(claimed, truth), abs=2e-4)
    assert found["psnr"].tolist() == pytest.approx(psnr, rel=1e-5)
    flat = stretched(claimed)
    either = [max(pair) for pair in zip(*(skimage_ssim(f, stretched(truth)) for f in (flat, 1 - flat)), strict=True)]
    assert found["ssim_stretched"].tolist() == pytest.approx(either, abs=2e-4)


def test_a_dim_negative_is_as_good_as_the_picture() -> None:
    truth = stretched(images(3))
    found = image_metrics(-0.2 - 0.1 * truth, truth)
    assert found["ssim_stretched"].tolist() == pytest.approx([1.0] * 3, abs=1e-4)
    assert max(found["ssim"].tolist()) < 0.6
    assert torch.allclose(developed(-0.1 * truth, truth), truth, atol=1e-5)


def test_guesses_are_clipped_but_not_for_the_published_error() -> None:
    truth = torch.tensor([[1.0, 0.0]]).view(1, 1, 1, 2)
    found = image_metrics(torch.tensor([[3.0, -1.0]]).view(1, 1, 1, 2), truth)
    assert found["mse"].item() == 0.0
    assert found["mse_published"].item() == pytest.approx((4 + 1) / 2)
    assert "ssim" not in found


def test_on_three_channels_the_published_error_is_of_stretched_images() -> None:
    truth = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)
    found = image_metrics(torch.tensor([10.0, 15.0, 20.0]).view(1, 3, 1, 1), truth)
    assert found["mse_published"].item() == pytest.approx(0.0)
    assert found["mse"].item() == pytest.approx((1 + 0.25) / 3)


def test_a_constant_image_cannot_be_stretched() -> None:
    constant = torch.full((1, 1, 12, 12), 0.3)
    assert torch.equal(stretched(constant), constant)
    assert stretched(torch.cat([constant, images(1)[..., :12, :12]])).aminmax()[1] == 1.0


def test_psnr_of_equal_images_is_a_number() -> None:
    assert image_metrics(images(), images())["psnr"].tolist() == [100.0] * 5


def test_the_best_constant_suits_its_metric_best() -> None:
    truth = torch.cat([torch.zeros(3, 1, 12, 12), torch.ones(1, 1, 12, 12)])
    found = best_constants(truth)
    assert found["mse"].value == pytest.approx(0.1875, abs=1e-4)  # at 1/4: 3/4 * 1/16 + 1/4 * 9/16
    assert found["ssim"].value == pytest.approx(0.75, abs=0.01)  # at 0 three of four are perfect
    assert found["psnr"].value == pytest.approx(75.0, abs=0.01)
    assert found["mse"].level == pytest.approx(0.25, abs=0.01)
    assert found["ssim"].level == found["psnr"].level == 0


def test_the_best_constant_of_other_images_is_another() -> None:
    truth = torch.cat([torch.zeros(3, 1, 12, 12), torch.ones(1, 1, 12, 12)])
    one, half, together = map(best_constants, (truth, truth / 2, truth.view(1, 4, 12, 12)))
    assert half["mse"].value == pytest.approx(one["mse"].value / 4, abs=1e-4)
    assert together["psnr"].value == pytest.approx(7.27, abs=0.01)  # of one image: 1 over an MSE of 3/16
    assert one["psnr"].value > 70
