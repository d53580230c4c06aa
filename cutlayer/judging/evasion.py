"""What adversarial inputs do to a deployment within their budget, and how like it the attacker's layers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from cutlayer.attack import Guess
from cutlayer.budget import Budget
from cutlayer.judging.labeling import share
from cutlayer.judging.noise import BESIDE, Accuracies, Deployed, Noisy
from cutlayer.methods.perturbation import PROBED, probe
from cutlayer.metric import Metric
from cutlayer.stream import generator

_CORRELATED = 512  # targets that the correlation of similarity and loss is taken over


class EvasionError(ValueError):
    """Adversarial inputs that make no sense."""


@dataclass(frozen=True)
class EvasionTruth:
    """The deployment, as it answers and as it is."""

    deployed: Deployed
    honest: Noisy | None
    """The deployment trained without the attack; None where no attack was there while it trained."""
    tampered: bool
    """Whether the attack that is judged was there then, and not another one."""
    budgets: Mapping[str, Budget]
    """By name, as a guess has it."""
    parts: Sequence[nn.Module]
    """All parts in order, on the CPU: for what shows why an attack works, not for its score."""

    @cached_property
    def unchanged(self) -> Tensor:
        """What enters the last of three parts (of two: the logits) for the first natural inputs."""
        return self.passed(self.deployed.natural[:_CORRELATED])[0]

    def passed(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The same for ``inputs`` [n, ...], and the logits for them."""
        *inner, last = (part.eval() for part in self.parts)
        with torch.no_grad():
            entering = nn.Sequential(*inner)(inputs)
            logits = last(entering)
        # Where the server's part is the last one, its outputs are the logits.
        return (logits if len(self.parts) == 2 else entering), logits


@dataclass(frozen=True)
class Theory:
    """What changes make of what enters the last of three parts (of two: of the logits), as in section 4.3 of Fan et al.

    Over the first 512 targets.
    """

    correlation: float
    """Rank correlation of its cosine similarity, with and without the change, and the loss: negative where changing it
    is as good as raising the loss (conclusion 1)."""
    similarity: float
    """That similarity in the mean: 1 where nothing changes."""


@dataclass(frozen=True)
class Evaded:
    """What one set of adversarial inputs does; accuracies from 0 to 1."""

    own: Accuracies
    """Of the deployment that the inputs are meant for."""
    honest: Accuracies
    """Of the same one trained without the attack; ``own`` where no attack was there while it trained."""
    adversarial: float
    exchanged_drop: float
    """What is lost when each of the first ``BESIDE`` targets is given the change that was made for another one: no more
    than random signs take says that changes are their inputs' own."""
    size: float
    """Mean change of a value as judged, in budgets: from 0 to 1."""
    noise_size: float
    """The same of random signs, which leave [0, 1] and are clipped, too."""
    inputs: Tensor
    """The adversarial inputs as judged: clipped to the budget and to [0, 1]."""
    after: Tensor
    """The deployment's predictions for them, int64 [n]."""
    theory: Theory
    noise_theory: Theory
    """For random signs."""

    @property
    def beside(self) -> dict[Metric, tuple[float, float]]:
        """What is shown beside the score, each with what stands beside it: a report says what that is."""
        own, honest = self.own, self.honest
        return {
            Metric.UNIFORM_NOISE_DROP: (own.first_uniform_drop, honest.first_uniform_drop),
            Metric.EXCHANGED_DROP: (self.exchanged_drop, own.first_signs_drop),
            Metric.ADVERSARIAL_ACCURACY: (self.adversarial, honest.signs),
            Metric.NATURAL_ACCURACY: (own.natural, honest.natural),
            Metric.PERTURBATION_SIZE: (self.size, self.noise_size),
            Metric.LOSS_CORRELATION: (self.theory.correlation, self.noise_theory.correlation),
            Metric.FEATURE_SIMILARITY: (self.theory.similarity, self.noise_theory.similarity),
        }


def evade(guess: Guess, claimed: Tensor, truth: EvasionTruth) -> Evaded:
    """Clip ``claimed`` [n, ...] to the budget that ``guess`` names and to the range of inputs, and try it."""
    budget = truth.budgets.get(guess.name)
    if budget is None:
        known = ", ".join(map(repr, truth.budgets))
        raise EvasionError(f"the guess at evasion is for a budget {guess.name!r}; there are {known}")
    deployed, natural = truth.deployed, truth.deployed.natural
    inputs = budget.clip(claimed, natural)
    after = deployed.answers(inputs).argmax(1)
    noisy = budget.noise(natural, generator(0, "noise", budget.name), signs=True)
    first = natural[:BESIDE]
    exchanged = budget.clip(first + (inputs[:BESIDE] - first).roll(1, 0), first)
    own = deployed.accuracies(budget)
    return Evaded(
        own=own,
        honest=truth.honest.accuracies(budget) if truth.honest else own,
        adversarial=share(after == deployed.labels),
        exchanged_drop=deployed.drop(exchanged),
        size=_size(inputs, natural, budget),
        noise_size=_size(noisy, natural, budget),
        inputs=inputs,
        after=after,
        theory=_theory(truth, inputs),
        noise_theory=_theory(truth, noisy),
    )


@dataclass(frozen=True)
class Likeness:
    """How like the deployment's first part the attacker's shadow of it is, on a few natural inputs."""

    distance: float
    """Largest L2 distance of what one sample sends (d in section 4.3 of Fan et al.)."""
    blind_distance: float
    """The same for a shadow that always gives the mean of what is sent."""
    slope_similarity: float
    """Mean cosine similarity of the gradients of one projection of both at the inputs; of an unrelated shadow 0."""


def compare_layers(guess: Guess, truth: EvasionTruth, natural: Tensor) -> Likeness | None:
    """The shadow that the guess gives a probe of, beside the real part; ``None`` where it gives none.

    ``natural``: the targets [n, ...] in the order of the guess, which is about the first of them.
    """
    smashed, slopes = (guess.tensors.get(name) for name in ("smashed", "slopes"))
    if smashed is None or slopes is None:
        return None
    real, real_slopes = probe(truth.parts[0].eval(), natural[:PROBED])
    if smashed.shape != real.shape or slopes.shape != real_slopes.shape:
        shapes = f"{list(smashed.shape)} and {list(slopes.shape)}"
        raise EvasionError(
            f"the probe of the shadow has shapes {shapes}, the real part's are {list(real.shape)} and "
            f"{list(real_slopes.shape)}"
        )
    similarity = cosine_similarity(slopes.flatten(1), real_slopes.flatten(1), dim=1)
    return Likeness(
        distance=(smashed - real).flatten(1).norm(dim=1).max().item(),
        blind_distance=(real - real.mean(0)).flatten(1).norm(dim=1).max().item(),
        slope_similarity=similarity.mean().item(),
    )


def _theory(truth: EvasionTruth, changed: Tensor) -> Theory:
    labels, before = truth.deployed.labels[:_CORRELATED], truth.unchanged
    after, logits = truth.passed(changed[:_CORRELATED])
    # A second to import, which most commands never need.
    from scipy.stats import spearmanr

    likeness = cosine_similarity(before.flatten(1), after.flatten(1), dim=1)
    losses = cross_entropy(logits, labels, reduction="none")
    similarity = likeness.mean().item()
    # Equal values have a deviation of their own by rounding.
    if len(labels) < 3 or any(values.min() == values.max() for values in (likeness, losses)):
        return Theory(0.0, similarity)
    return Theory(float(spearmanr(likeness.numpy(), losses.numpy()).statistic), similarity)


def _size(changed: Tensor, natural: Tensor, budget: Budget) -> float:
    reach = budget.over(natural).expand_as(natural)
    allowed = reach > 0
    return ((changed - natural).abs()[allowed] / reach[allowed]).mean().item() if allowed.any() else 0.0
