"""PGD: projected sign steps from a random start, on a proxy or, as an upper bound, on the deployment itself.

Madry et al.: Towards Deep Learning Models Resistant to Adversarial Attacks (ICLR 2018), section 2.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from cutlayer.budget import Budget
from cutlayer.methods.perturbation import anywhere, cosine_slope, label_slope, outputs_of, sign_steps
from cutlayer.methods.proxy import ProxyAttack
from cutlayer.threat import Seat


@dataclass
class PGD(ProxyAttack):
    """Steps along the sign of the gradient of the cross-entropy, each brought back into the budget.

    The paper takes 7 steps of a quarter of the budget for CIFAR-10, and 20 to evaluate; 10 are what is usual. On the
    deployment itself the labels are the true ones: away from its own wrong answers lie right ones.

    ``objective="similarity"`` takes no label: it lowers the cosine similarity of what the server's part gives for the
    changed and for the natural input, as the second stage of SLADV does. On the deployment itself (``network=victim
    iterations=1 step=1 start=0.1``) it is that stage with a perfect shadow: its upper bound.
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
    objective: Literal["label", "similarity"] = "label"
    """What falls: the probability of the label, or the similarity to what the server's part gives for the input."""
    iterations: int = 10
    """Steps."""
    step: float = 0.25
    """Length of a step in budgets."""
    start: float = 1.0
    """Noise that it starts from, in budgets."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.iterations < 1:
            raise ValueError(f"iterations = {self.iterations}: it is at least 1")
        if not self.step > 0:
            raise ValueError(f"step = {self.step}: it is greater than 0")
        if not 0 <= self.start <= 1:
            raise ValueError(f"start = {self.start}: it goes from 0 to 1")
        if self.objective == "similarity" and self.start == 0:
            raise ValueError("start = 0.0: at the input itself the similarity has no slope; it is greater than 0")
        if self.objective == "similarity" and self.labels != "auto":
            raise ValueError(f"labels = {self.labels!r}: objective='similarity' uses none, and takes 'auto'")

    def perturb(self, proxy: nn.Module, natural: Tensor, labels: Tensor, budget: Budget) -> Tensor:
        """All steps, from anywhere in ``start`` budgets."""
        start = anywhere(natural, budget, self.start)
        if self.objective == "label":
            slope = label_slope(proxy, labels)
        else:
            inner = self._inner(proxy)
            slope = cosine_slope(inner, outputs_of(inner, natural))
        return sign_steps(natural, start, slope, budget, self.iterations, self.step)

    def _slopes(self) -> int:
        return self.iterations

    def _sees_victim(self) -> bool:
        return self.network == "victim"

    def _told(self) -> bool:
        return self.objective == "label" and super()._told()

    def _inner(self, proxy: nn.Module) -> nn.Module:
        """The parts of ``proxy`` up to the server's."""
        assert isinstance(proxy, nn.Sequential)
        return proxy[: self._view.layout.owners.index(Seat.SERVER) + 1]
