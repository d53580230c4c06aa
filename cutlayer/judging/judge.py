"""The only place where truth and guess meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cutlayer.attack import Guess
from cutlayer.illustration import Confusion, Feature, Pictures
from cutlayer.judging.backdoor import BackdoorTruth, effect, trigger_of, unplanted_success
from cutlayer.judging.evasion import Evaded, EvasionTruth, compare_layers, evade
from cutlayer.judging.labeling import best_relabeling, blind_relabeling, commonest, confused, share
from cutlayer.judging.likeness import BEST, best_constants, better, developed, feature_scores, image_metrics
from cutlayer.judging.scoring import ERRORS, ROOM, Scorer, has_room
from cutlayer.judging.theft import ModelTruth, compare_parts
from cutlayer.metric import Metric
from cutlayer.record import Score, Thresholds
from cutlayer.threat import Goal, Row

_SHOWN = 20  # adversarial inputs that are kept as pictures
TRAININGS_APART = 0.1
"""What random signs take from two honest trainings of one seed differed by up to 6.6 points through rounding alone."""


class GuessError(ValueError):
    """A guess that cannot be judged: not about the targets, of another form, or not finite."""


@dataclass(frozen=True)
class Truth:
    """What the judge alone holds."""

    rows: tuple[Row, ...]
    """The targets, in the order of ``inputs`` and ``labels``."""
    inputs: Tensor
    """float32 [n, ...] in [0, 1]."""
    labels: Tensor
    """int64 [n]."""
    mean_input: Tensor
    """The mean of other data of the same dataset: its training split."""
    classes: tuple[str, ...]
    features: tuple[str, ...] = ()
    """The columns of a table; empty for images."""
    model: ModelTruth | None = None
    backdoor: BackdoorTruth | None = None
    evasion: EvasionTruth | None = None


@dataclass(frozen=True)
class Judgement:
    """The scores of a guess, and what a report shows beside them."""

    scores: tuple[Score, ...]
    pictures: Pictures | None = None
    images: Mapping[str, Tensor] = field(default_factory=dict)
    confusion: Confusion | None = None
    features: tuple[Feature, ...] | None = None


def admitted(guesses: Sequence[Guess], goals: Collection[Goal]) -> list[Guess]:
    """Those without a name first: pictures, and what a backdoor leaves behind, are theirs.

    A guess at none of the declared ``goals`` is a ``GuessError``: what is granted depends on them.
    """
    for guess in guesses:
        if guess.goal not in goals:
            declared = ", ".join(sorted(goals))
            raise GuessError(f"a guess at {guess.goal}: the threat model's goals are {declared}")
    return sorted(guesses, key=lambda guess: bool(guess.name))


def judge_all(
    guesses: Sequence[Guess], truth: Truth, thresholds: Thresholds, deciding: Collection[str] = ("",)
) -> list[Judgement]:
    """Score each of the ``guesses``; only those with a name among ``deciding`` decide, as one of many hits.

    Several of one goal, part and name are a ``GuessError``.
    """
    told = Counter((guess.goal, guess.part, guess.name) for guess in guesses)
    for (goal, _, name), count in told.items():
        if count > 1:
            called = f"the name {name!r}" if name else "no name"
            raise GuessError(
                f"{count} guesses at {goal} have {called}: only one can be meant; others are shown under names of "
                "their own, and decide nothing"
            )
    return [judge(guess, truth, thresholds, guess.name in deciding) for guess in guesses]


def judge(guess: Guess, truth: Truth, thresholds: Thresholds, deciding: bool = True) -> Judgement:
    """Score ``guess``. One that is not about exactly the targets, or not finite, is a ``GuessError``."""
    for name, tensor in guess.tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise GuessError(f"the guess at {guess.goal} holds NaN or infinite values in {name!r}")
    scorer = Scorer(guess.goal, guess.name, thresholds, deciding)
    if guess.goal is Goal.MODEL:
        return _judge_model(guess, truth, scorer)
    if guess.goal is Goal.BACKDOOR:
        return _judge_backdoor(guess, truth, scorer)
    if set(guess.rows) != set(truth.rows) or len(guess.rows) != len(truth.rows):
        raise GuessError(
            f"the guess at {guess.goal} is about {len(guess.rows)} samples, not the {len(truth.rows)} targets"
        )
    if guess.goal is Goal.INPUTS:
        claimed = _in_order(guess, "inputs", truth, truth.inputs.shape).float()
        return (_judge_table if truth.features else _judge_images)(claimed, truth, scorer)
    if guess.goal is Goal.LABELS:
        return _judge_labels(guess, _in_order(guess, "labels", truth, truth.labels.shape), truth, scorer)
    return _judge_evasion(guess, _in_order(guess, "inputs", truth, truth.inputs.shape).float(), truth, scorer)


def _in_order(guess: Guess, name: str, truth: Truth, shape: torch.Size) -> Tensor:
    claimed = guess.tensors.get(name)
    if claimed is None or claimed.shape != shape:
        found = "missing" if claimed is None else f"of shape {list(claimed.shape)}"
        raise GuessError(f"the guess at {guess.goal}: {name!r} is {found}, it must have shape {list(shape)}")
    return claimed[_places(guess.rows, truth.rows)]


def _places(of: Sequence[Row], wanted: Sequence[Row]) -> Tensor:
    """Where among ``of`` each of ``wanted`` stands."""
    place = {row: number for number, row in enumerate(of)}
    return torch.tensor([place[row] for row in wanted])


def _judge_images(claimed: Tensor, truth: Truth, scorer: Scorer) -> Judgement:
    own = image_metrics(claimed, truth.inputs)
    mean = truth.mean_input.expand_as(truth.inputs)
    of_mean, constants = image_metrics(mean, truth.inputs), best_constants(truth.inputs)
    blind = {m: better(m, [of_mean[m].mean().item(), constants[m].value]) for m in own}
    # By SSIM an image on a black background is more like a black one than like itself under noise, which can be read.
    errs = Metric.SSIM not in own or has_room(Metric.SSIM, blind[Metric.SSIM], 1.0)
    deciding = {Metric.SSIM, Metric.SSIM_STRETCHED, *([Metric.MSE] if errs else [])}
    scores = [scorer.score(m, v.mean().item(), blind[m], BEST[m], decides=m in deciding) for m, v in own.items()]
    shown = Metric.SSIM if Metric.SSIM in own else Metric.MSE
    by_mean = blind[shown] == of_mean[shown].mean().item()
    pictured = mean if by_mean else torch.full_like(truth.inputs, constants[shown].level)
    pictures = Pictures(
        labels=tuple(truth.classes[label] for label in truth.labels.tolist()),
        ssim=tuple(own[Metric.SSIM].tolist()) if Metric.SSIM in own else (),
        stretched_ssim=tuple(own[Metric.SSIM_STRETCHED].tolist()) if Metric.SSIM in own else (),
        blind="mean" if by_mean else "constant",
        blind_ssim=tuple(image_metrics(pictured, truth.inputs)[Metric.SSIM].tolist()) if Metric.SSIM in own else (),
        mse=tuple(own[Metric.MSE].tolist()),
    )
    images = {"truth": truth.inputs, "guess": claimed.clamp(0, 1), "blind": pictured}
    if Metric.SSIM in own:
        images["stretched"] = developed(claimed, truth.inputs)
    return Judgement(tuple(scores), pictures, images)


def _judge_table(claimed: Tensor, truth: Truth, scorer: Scorer) -> Judgement:
    features = feature_scores(claimed, truth.inputs, truth.mean_input, truth.features)
    value = (claimed.clamp(0, 1) - truth.inputs).square().mean().item()
    constant = truth.inputs.var(unbiased=False).item()
    blind = min((truth.mean_input - truth.inputs).square().mean().item(), constant)
    found = scorer.score(Metric.MSE, value, blind, 0.0, decides=True)
    return Judgement((found,), features=features)


def _judge_labels(guess: Guess, claimed: Tensor, truth: Truth, scorer: Scorer) -> Judgement:
    number = len(truth.classes)
    if claimed.dtype != torch.int64:
        raise GuessError(f"the guess at {guess.goal}: 'labels' are {claimed.dtype}, they must be torch.int64")
    if guess.relabeled:
        value, blind = best_relabeling(truth.labels, claimed), blind_relabeling(truth.labels, number)
        return Judgement((scorer.score(Metric.RELABELED_ACCURACY, value, blind, 1.0, decides=True),))
    low, high = int(claimed.min()), int(claimed.max())
    if low < 0 or high >= number:
        raise GuessError(f"the guess at {guess.goal}: 'labels' go from {low} to {high}, classes to {number - 1}")
    value, blind = share(claimed == truth.labels), commonest(truth.labels)
    found = scorer.score(Metric.ACCURACY, value, blind, 1.0, decides=True)
    counts = tuple(tuple(row) for row in confused(truth.labels, claimed, number, number).tolist())
    return Judgement((found,), confusion=Confusion(guess=guess.name, labels=truth.classes, counts=counts))


def _judge_model(guess: Guess, truth: Truth, scorer: Scorer) -> Judgement:
    if truth.model is None:
        raise GuessError("there is no model to compare a stolen one with")
    found = compare_parts(guess, truth.model)
    stolen, blind = found.stolen, found.blind
    # A part that nobody has trained, or that these samples hardly tell from a blind guess, is nothing to steal.
    gained = truth.model.learned and found.real - blind.accuracy >= ERRORS * found.real_error
    best, error = found.real if gained else None, found.stolen_error
    return Judgement(
        (
            scorer.score(Metric.ACCURACY, stolen.accuracy, blind.accuracy, best, decides=True, error=error),
            scorer.score(Metric.AGREEMENT, stolen.agreement, blind.agreement, 1.0),
        )
    )


def _judge_backdoor(guess: Guess, truth: Truth, scorer: Scorer) -> Judgement:
    if truth.backdoor is None:
        raise GuessError("there is no deployment whose answers to the trigger could be compared")
    trigger = trigger_of(guess, tuple(truth.mean_input.shape), len(truth.classes))
    attacked = effect(trigger, truth.backdoor.attacked, truth.backdoor.labels)
    clean = truth.backdoor.clean(trigger)
    unplanted = unplanted_success(trigger, truth.backdoor.attacked, truth.backdoor.labels)
    unplanted_before = truth.backdoor.clean.unplanted(trigger)
    # A deployment that takes everything for the target obeys no trigger.
    blind = max(clean.success, attacked.unprompted)
    usual = commonest(truth.backdoor.labels)
    # What a deployment that is of no use obeys proves nothing; and a trigger that leaves nothing of an input to
    # recognize takes the input's place, which no model can be blamed for.
    useful = min(attacked.accuracy - usual, clean.recognized - clean.guessed) >= ROOM
    best = 1.0 if useful else None
    scores = (
        # Of several triggers only the unnamed one decides: with enough of them one succeeds.
        scorer.score(Metric.ATTACK_SUCCESS, attacked.success, blind, best, decides=not guess.name),
        # As high as the success, it says that the deployment obeys whatever covers that place, not this trigger alone.
        scorer.score(Metric.UNPLANTED_SUCCESS, unplanted, unplanted_before),
        scorer.score(Metric.CLEAN_ACCURACY, attacked.accuracy, clean.accuracy),
        scorer.score(Metric.RECOGNITION_RATE, clean.recognized, clean.guessed),
    )
    pictures = Pictures(kind="trigger", labels=tuple(truth.classes[label] for label in truth.labels.tolist()))
    alone = trigger.alone().expand_as(truth.inputs)
    return Judgement(scores, pictures, {"truth": truth.inputs, "guess": trigger.stamp(truth.inputs), "blind": alone})


def _judge_evasion(guess: Guess, claimed: Tensor, truth: Truth, scorer: Scorer) -> Judgement:
    if truth.evasion is None:
        raise GuessError("there is no deployment to try adversarial inputs on")
    # A probe is about the first rows of the guess, which need not be those of the truth.
    deployed = truth.evasion.deployed
    likeness = compare_layers(guess, truth.evasion, deployed.natural[_places(truth.rows, guess.rows)])
    found = evade(guess, claimed, truth.evasion)
    own, untouched = found.own, found.honest
    # What noise does to the attacked deployment needs no adversarial inputs, what it does to the one trained without
    # the attack no tampering.
    noise, unattacked = own.natural - own.signs, untouched.natural - untouched.signs
    pattern, unpatterned = own.first_pattern_drop, untouched.first_pattern_drop
    blind = max(noise, unattacked)
    # What any fixed pattern would take needs neither the wire nor the inputs.
    floor = max(blind, pattern or 0, unpatterned or 0)
    usual = commonest(deployed.labels)

    def room(above: float) -> float | None:
        """The best, but where no more is right than in naming one class: there is nothing that could be taken away.

        An advantage would be a quotient of little, or change its sign.
        """
        return own.natural if own.natural - max(above, 0) - usual >= ROOM else None

    beside = found.beside
    if "predicted" in guess.tensors:
        predicted = _in_order(guess, "predicted", truth, truth.labels.shape)
        beside[Metric.PROXY_ACCURACY] = (share(predicted == deployed.labels), usual)
        agreed = share(predicted == deployed.predicted)
        beside[Metric.PROXY_AGREEMENT] = (agreed, commonest(deployed.predicted))
    if likeness:
        beside[Metric.LAYER_DISTANCE] = (likeness.distance, likeness.blind_distance)
        beside[Metric.SLOPE_SIMILARITY] = (likeness.slope_similarity, 0.0)
    tampered = truth.evasion.tampered
    first = not guess.name
    # A training that opens the deployment to any noise has done harm, whatever is then fed to it.
    opened = [(Metric.RANDOM_SIGNS_DROP, noise, unattacked)]
    if pattern is not None and unpatterned is not None:
        opened.append((Metric.PATTERN_DROP, pattern, unpatterned))
    scores = (
        # Only the first budget decides.
        scorer.score(Metric.ACCURACY_DROP, own.natural - found.adversarial, blind, room(floor), first, floor),
        *(
            scorer.score(name, value, honest, room(honest) if tampered else None, first, honest + TRAININGS_APART)
            for name, value, honest in opened
        ),
        *(scorer.score(metric, *pair) for metric, pair in beside.items()),
    )
    return Judgement(scores, *_evasion_pictures(found, truth, deployed.predicted)) if first else Judgement(scores)


def _evasion_pictures(found: Evaded, truth: Truth, before: Tensor) -> tuple[Pictures, Mapping[str, Tensor]]:
    natural, changed = truth.inputs[:_SHOWN], found.inputs[:_SHOWN]
    difference = changed - natural
    largest = difference.abs().max().item()
    scale = 0.5 / largest if largest else 1.0
    names = [tuple(truth.classes[i] for i in t[:_SHOWN].tolist()) for t in (truth.labels, before, found.after)]
    pictures = Pictures(kind="evasion", labels=names[0], before=names[1], after=names[2], scale=scale)
    return pictures, {"truth": natural, "guess": changed, "blind": (0.5 + scale * difference).clamp(0, 1)}
