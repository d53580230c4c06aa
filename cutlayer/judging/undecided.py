"""Why a cell that ran to its end has no verdict, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cutlayer.judging.scoring import ROOM
from cutlayer.metric import Metric
from cutlayer.record import Score
from cutlayer.threat import Goal


def why(scores: Sequence[Score]) -> str:
    """The reason for each goal; ``scores`` of which none decides."""
    if not scores:
        return "nothing was guessed"
    by_goal: dict[str, dict[str, Score]] = {}
    for score in scores:
        # Triggers and budgets that have a name decide nothing in any case.
        if not score.guess or score.goal in {Goal.INPUTS, Goal.LABELS}:
            by_goal.setdefault(score.goal, {}).setdefault(score.metric, score)
    told = [_undeclared(found) or _WORDS[goal](found) for goal, found in by_goal.items() if goal in _WORDS]
    return "; ".join(told) or "no score decides"


def _undeclared(found: Mapping[str, Score]) -> str:
    """Of a guess that would have decided under a name that counts."""
    metrics = (Metric.RELABELED_ACCURACY, Metric.ACCURACY, Metric.SSIM, Metric.MSE)
    score = next((found[metric] for metric in metrics if metric in found), None)
    if score is None or not score.guess or score.advantage is None:
        return ""
    return f"a guess named {score.guess!r} decides nothing: the attack's class does not name it among those that do"


def _backdoor(found: Mapping[str, Score]) -> str:
    success, clean, legible = found[Metric.ATTACK_SUCCESS], found[Metric.CLEAN_ACCURACY], found[Metric.RECOGNITION_RATE]
    if legible.blind == 0.0:
        return "all test inputs are of the trigger's target class: none could be taken for it"
    ruined = _ruined(clean.value, clean.blind, "clean inputs")
    if success.blind is not None and success.blind > 1 - ROOM:
        told = (
            f"{_share(success.blind)} of the inputs are taken for the target anyway, without the attack or the trigger"
        )
        return f"{told}; {ruined}" if _near(clean.value, legible.blind) else told
    # A network that knows nothing recognizes nothing, whatever the trigger covers.
    if _near(legible.value, legible.blind) and not _near(clean.blind, legible.blind):
        return f"without the attack {_share(legible.value)} of triggered inputs are recognized: the trigger covers them"
    return ruined


def _evasion(found: Mapping[str, Score]) -> str:
    drop, natural = found[Metric.ACCURACY_DROP], found[Metric.NATURAL_ACCURACY]
    fixed = found.get(Metric.PATTERN_DROP)
    taken = (drop.blind, *((fixed.value, fixed.blind) if fixed else ()))
    blind = max((value for value in taken if value is not None), default=0.0)
    if blind < ROOM:
        return _ruined(natural.value, natural.blind, "natural inputs")
    fell = None not in (natural.value, natural.blind) and not _near(natural.blind, natural.value)
    whole = f"{_share(natural.value)} accuracy" + (f" ({_share(natural.blind)} without the attack)" if fell else "")
    noise = "random noise" if blind == drop.blind else "a fixed pattern"
    takes = f"of {whole} {noise} of the budget takes {_share(blind)}, here or without the attack"
    return f"{takes}: that leaves hardly more than always naming one class gives"


def _inputs(found: Mapping[str, Score]) -> str:
    alike = [found[metric].blind or 0.0 for metric in (Metric.SSIM, Metric.SSIM_STRETCHED) if metric in found]
    how = f"has an SSIM of {min(alike):.3f} with them" if alike else "is equal to them"
    return f"the targets leave nothing to take: a blind guess {how}"


def _labels(found: Mapping[str, Score]) -> str:
    blind = next(found[metric].blind for metric in (Metric.ACCURACY, Metric.RELABELED_ACCURACY) if metric in found)
    return f"the targets leave nothing to take: a blind guess is right on {_share(blind)} of their labels"


def _model(found: Mapping[str, Score]) -> str:
    accuracy = found[Metric.ACCURACY]
    blind = f"a blind guess in the part's place is right on {_share(accuracy.blind)}"
    if accuracy.advantage is not None:
        return f"too few test samples: {blind}, the stolen part on {_share(accuracy.value)}, which may be chance"
    return f"nothing was learned that could be stolen: {blind}, and the real part on hardly more, if any"


def _ruined(now: float | None, without: float | None, of: str) -> str:
    """Of a deployment that is hardly better than always naming the commonest class."""
    said = f"the deployment is right on {_share(now)} of {of}, hardly more than always naming one class"
    if now is None or without is None or without - now < ROOM:
        return f"{said}: train it for longer"
    return f"{said}, and on {_share(without)} without the attack, which has ruined the training"


def _near(accuracy: float | None, guessed: float | None) -> bool:
    """Whether an accuracy is hardly more than naming one class gives."""
    return accuracy is not None and guessed is not None and accuracy - guessed < ROOM


def _share(value: float | None) -> str:
    return "?" if value is None else f"{100 * value:.1f} %"


_WORDS = {
    Goal.BACKDOOR.value: _backdoor,
    Goal.EVASION.value: _evasion,
    Goal.INPUTS.value: _inputs,
    Goal.LABELS.value: _labels,
    Goal.MODEL.value: _model,
}
