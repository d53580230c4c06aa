"""FGSM: one step of the whole budget along the sign of a proxy's gradient.

Goodfellow, Shlens, Szegedy: Explaining and Harnessing Adversarial Examples (ICLR 2015), section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from cutlayer.budget import Budget
from cutlayer.methods.perturbation import label_slope, sign_steps
from cutlayer.methods.proxy import ProxyAttack


@dataclass
class FGSM(ProxyAttack):
    """x + budget * sign of the gradient of the cross-entropy, as a transfer attack.

    The paper perturbs on the attacked network itself, with the true label.
    """

    paper: ClassVar[str] = "Goodfellow, Shlens, Szegedy: Explaining and Harnessing Adversarial Examples (ICLR 2015)"

    def perturb(self, proxy: nn.Module, natural: Tensor, labels: Tensor, budget: Budget) -> Tensor:
        """One step."""
        return sign_steps(natural, natural, label_slope(proxy, labels), budget, iterations=1, step=1.0)
