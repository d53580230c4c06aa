"""PGD: projected sign steps from a random start, on a proxy or, as an upper bound, on the deployment itself.

Madry et al.: Towards Deep Learning Models Resistant to Adversarial Attacks (ICLR 2018), section 2.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from cutlayer.budget import Budget
from cutlayer.methods.perturbation import anywhere, label_slope, sign_steps
from cutlayer.methods.proxy import ProxyAttack


@dataclass
class PGD(ProxyAttack):
    """Steps along the sign of the gradient of the cross-entropy, each brought back into the budget.

    The paper takes 7 steps of a quarter of the budget for CIFAR-10, and 20 to evaluate; 10 are what is usual. On the
    deployment itself the labels are the true ones: away from its own wrong answers lie right ones.
    """

    paper: ClassVar[str] = "Madry et al.: Towards Deep Learning Models Resistant to Adversarial Attacks (ICLR 2018)"
    plain: ClassVar[str] = (
        "A curious server knows the layers of the clients' parts and has labeled data of the same kind. It trains a "
        "network like the deployment's, and changes natural inputs until that network takes them for something else. "
        "With network=victim it knows the clients' weights and the inputs' labels instead and perturbs on the "
        "deployment itself: what an attack at this budget can do at best, as far as sign steps find it."
    )

    network: Literal["proxy", "victim"] = "proxy"
    """What it perturbs on: a proxy trained with labels, or the deployment itself."""
    iterations: int = 10
    """Steps."""
    step: float = 0.25
    """Length of a step in budgets."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.iterations < 1:
            raise ValueError(f"iterations = {self.iterations}: it is at least 1")
        if not self.step > 0:
            raise ValueError(f"step = {self.step}: it is greater than 0")

    def perturb(self, proxy: nn.Module, natural: Tensor, labels: Tensor, budget: Budget) -> Tensor:
        """All steps, from anywhere in the budget."""
        start = anywhere(natural, budget)
        return sign_steps(natural, start, label_slope(proxy, labels), budget, self.iterations, self.step)

    def _slopes(self) -> int:
        return self.iterations

    def _sees_victim(self) -> bool:
        return self.network == "victim"
