"""SSA: sign steps along the mean gradient over inputs whose spectrum was randomly changed.

Long et al.: Frequency Domain Model Augmentation for Adversarial Attack (ECCV 2022), algorithm 1, without momentum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cutlayer.budget import Budget
from cutlayer.methods.perturbation import dct2, drawn, idct2, label_slope
from cutlayer.methods.proxy import ProxyAttack


@dataclass
class SSA(ProxyAttack):
    """Noise is added, every frequency is scaled by chance, and the gradient is taken at what comes of it.

    As in the published code the gradient at the changed image is taken for that at the image itself, instead of being
    led back through the transform, and changed images may leave [0, 1]. The label is the proxy's own prediction for the
    natural input, unless ``labels`` says that it is the true one.
    """

    paper: ClassVar[str] = "Long et al.: Frequency Domain Model Augmentation for Adversarial Attack (ECCV 2022)"

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **ProxyAttack.presets,
        "quick": {"epochs": 6, "spectra": 5},
        "rehearsal": {"epochs": 1, "least_steps": 0, "iterations": 2, "spectra": 3},
    }

    iterations: int = 10
    """Steps, each of the budget divided by their number."""
    spectra: int = 20
    """Changed images in each step (N)."""
    rho: float = 0.5
    """Frequencies are scaled by factors from 1 - rho to 1 + rho."""
    sigma: float = 16.0
    """Standard deviation of the noise, in 255ths of the pixel range."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("iterations", "spectra"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: it is at least 1")
        for name in ("rho", "sigma"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: it is at least 0")

    def check(self, input_shape: tuple[int, ...], classes: int) -> None:
        """``ValueError`` for inputs without a spectrum."""
        if len(input_shape) != 3:
            raise ValueError(f"it changes the spectrum of images, and inputs are of shape {list(input_shape)}")

    def perturb(self, proxy: nn.Module, natural: Tensor, labels: Tensor, budget: Budget) -> Tensor:
        """All steps, from the natural inputs."""
        slope, reach, changed = label_slope(proxy, labels), budget.over(natural), natural
        for _ in range(self.iterations):
            mean = torch.zeros_like(natural)
            for _ in range(self.spectra):
                noisy = changed + self.sigma / 255 * torch.randn(changed.shape).to(changed)
                mask = drawn(changed, 1 - self.rho, 1 + self.rho)
                mean += slope(idct2(dct2(noisy) * mask)) / self.spectra
            changed = budget.clip(changed + reach / self.iterations * mean.sign(), natural)
        return changed

    def _slopes(self) -> int:
        return self.iterations * self.spectra
