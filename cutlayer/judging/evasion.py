"""What adversarial inputs do to a deployment within their budget, and how like it the attacker's layers are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from cutlayer.attack import Guess
from cutlayer.budget import Budget
from cutlayer.methods.perturbation import PROBED, probe
from cutlayer.stream import generator

Answers = Callable[[Tensor], Tensor]
"""The deployment's logits [n, classes] for inputs [n, ...] that take the place of the targets."""
_NOISY, _MOST_DRAWS = 1000, 10  # inputs with noise that a blind value rests on: few targets are drawn several times
_CORRELATED = 512  # targets that the correlation of similarity and loss is taken over


class EvasionError(ValueError):
    """Adversarial inputs that make no sense."""


@dataclass(frozen=True)
class EvasionTruth:
    """The deployment, as it answers and as it is."""

    answers: Answers
    honest: Answers | None
    """The deployment trained without the attack; None where no attack was there while it trained."""
    tampered: bool
    """Whether the attack that is judged was there then, and not another one."""
    budgets: Mapping[str, Budget]
    """By name, as a guess has it."""
    parts: Sequence[nn.Module]
    """All parts in order, on the CPU: for what shows why an attack works, not for its score."""
    natural: Tensor
    """The targets, float32 [n, ...] in [0, 1]."""
    labels: Tensor
    """int64 [n]."""

    @cached_property
    def before(self) -> Tensor:
        """The deployment's predictions for the targets as they are, int64 [n]."""
        return self.answers(self.natural).argmax(1)

    @cached_property
    def _honest_before(self) -> Tensor:
        assert self.honest is not None
        return self.honest(self.natural).argmax(1)

    def accuracies(self, answers: Answers, budget: Budget) -> Accuracies:
        """Of one of the two deployments: with noise drawn several times where there are few targets."""
        natural = self.before if answers is self.answers else self._honest_before
        return Accuracies(
            natural=_share(natural == self.labels),
            signs=self._under_noise(answers, budget, signs=True),
            uniform=self._under_noise(answers, budget, signs=False),
        )

    def _under_noise(self, answers: Answers, budget: Budget, signs: bool) -> float:
        draw = generator(0, "noise", budget.name)
        found = [
            _share(answers(budget.noise(self.natural, draw, signs)).argmax(1) == self.labels)
            for _ in range(min(_MOST_DRAWS, -(-_NOISY // len(self.natural))))
        ]
        return sum(found) / len(found)


@dataclass(frozen=True)
class Accuracies:
    """Of a deployment on the targets, from 0 to 1."""

    natural: float
    """On them as they are."""
    signs: float
    """With plus or minus the budget at every value, by chance."""
    uniform: float
    """With uniform noise within the budget."""


@dataclass(frozen=True)
class Evaded:
    """What one set of adversarial inputs does; accuracies from 0 to 1."""

    own: Accuracies
    """Of the deployment that the inputs are meant for."""
    honest: Accuracies
    """Of the same one trained without the attack; ``own`` where no attack was there while it trained."""
    adversarial: float
    exchanged: float
    """Of the deployment when every target is given the change that was made for another one: no less than
    ``adversarial`` says that changes are their inputs' own."""
    size: float
    """Mean change of a value as judged, in budgets: from 0 to 1."""
    noise_size: float
    """The same of random signs, which leave [0, 1] and are clipped, too."""
    inputs: Tensor
    """The adversarial inputs as judged: clipped to the budget and to [0, 1]."""
    after: Tensor
    """The deployment's predictions for them, int64 [n]."""
    correlation: float
    """Rank correlation of the cosine similarity of what enters the last of three parts (of two: of the logits), with
    and without the change, and the loss: negative where changing that is as good as raising the loss (section 4.3 of
    Fan et al., conclusion 1)."""
    noise_correlation: float
    """The same for random signs."""

    @property
    def beside(self) -> dict[str, tuple[float, float]]:
        """What is shown beside the score, each with what stands beside it: a report says what that is."""
        own, honest = self.own, self.honest
        return {
            "uniform_noise_drop": (own.natural - own.uniform, honest.natural - honest.uniform),
            "exchanged_drop": (own.natural - self.exchanged, own.natural - own.signs),
            "adversarial_accuracy": (self.adversarial, honest.signs),
            "natural_accuracy": (own.natural, honest.natural),
            "perturbation_size": (self.size, self.noise_size),
            "loss_correlation": (self.correlation, self.noise_correlation),
        }


def evade(guess: Guess, claimed: Tensor, truth: EvasionTruth) -> Evaded:
    """Clip ``claimed`` [n, ...] to the budget that ``guess`` names and to the range of inputs, and try it."""
    budget = truth.budgets.get(guess.name)
    if budget is None:
        known = ", ".join(map(repr, truth.budgets))
        raise EvasionError(f"the guess at evasion is for a budget {guess.name!r}; there are {known}")
    inputs = budget.clip(claimed, truth.natural)
    after = truth.answers(inputs).argmax(1)
    noisy = budget.noise(truth.natural, generator(0, "noise", budget.name), signs=True)
    exchanged = budget.clip(truth.natural + (inputs - truth.natural).roll(1, 0), truth.natural)
    own = truth.accuracies(truth.answers, budget)
    return Evaded(
        own=own,
        honest=truth.accuracies(truth.honest, budget) if truth.honest else own,
        adversarial=_share(after == truth.labels),
        exchanged=_share(truth.answers(exchanged).argmax(1) == truth.labels),
        size=_size(inputs, truth.natural, budget),
        noise_size=_size(noisy, truth.natural, budget),
        inputs=inputs,
        after=after,
        correlation=_correlation(truth, inputs),
        noise_correlation=_correlation(truth, noisy),
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


def _correlation(truth: EvasionTruth, changed: Tensor) -> float:
    *inner, last = (part.eval() for part in truth.parts)
    natural, changed, labels = (t[:_CORRELATED] for t in (truth.natural, changed, truth.labels))
    whole = len(truth.parts) == 2
    with torch.no_grad():
        before, after = (nn.Sequential(*inner)(inputs) for inputs in (natural, changed))
        outputs = last(after)
        if whole:
            # Where the server's part is the last one, its outputs are the logits.
            before, after = last(before), outputs
    # A second to import, which most commands never need.
    from scipy.stats import spearmanr

    likeness = cosine_similarity(before.flatten(1), after.flatten(1), dim=1)
    losses = cross_entropy(outputs, labels, reduction="none")
    # Equal values have a deviation of their own by rounding.
    if len(labels) < 3 or any(values.min() == values.max() for values in (likeness, losses)):
        return 0.0
    return float(spearmanr(likeness.numpy(), losses.numpy()).statistic)


def _share(hits: Tensor) -> float:
    return hits.double().mean().item()


def _size(changed: Tensor, natural: Tensor, budget: Budget) -> float:
    reach = budget.over(natural).expand_as(natural)
    allowed = reach > 0
    return ((changed - natural).abs()[allowed] / reach[allowed]).mean().item() if allowed.any() else 0.0
