"""The words of the report: verdicts, threat models and numbers as a reader without the code would say them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from cutlayer.data.auxiliary import OWN_SPLITS, SHARE
from cutlayer.knowledge import Knows, Source
from cutlayer.metric import Metric
from cutlayer.record import LEAK, NONE, PARTIAL, Record, Thresholds
from cutlayer.report.finding import ScoreRow, Spread

DASH = "\u2013"
GOALS = {
    "inputs": "Private inputs",
    "labels": "Private labels",
    "model": "The other party's model",
    "backdoor": "A backdoor",
    "evasion": "Changed predictions",
}
_KNOWS = {
    "own_part": "a copy of its own part of the network",
    "own_party": "its own live party, to train as it likes",
    "labels": "the labels of the training samples",
    "peer_architecture": "the other party's layers (not their weights)",
    "peer_weights": "the weights of the other party's part",
    "peer_gradients": "the gradients of the other party's own weights",
    "peer_queries": "answers of the other party's part to inputs of its choice",
    "aux_inputs": "other inputs of the same kind",
    "aux_labels": "the labels of those other inputs",
    "natural_inputs": "natural inputs to perturb",
    "natural_labels": "the labels of those inputs to perturb",
    "schedule": "the learning rate at each step",
    "class_prior": "how often each class occurs",
}
# A copy of the part one runs oneself is not knowledge about the other side; saying it would bury what is.
_OWN = {what for what in Knows if what.facts.source is Source.PARTY}
# What costs an attacker data, and how that reads.
_DATA = {
    "aux_inputs": "other inputs of the same kind",
    "aux_labels": "their labels",
    "natural_inputs": "inputs to perturb",
    "natural_labels": "their labels",
    "peer_queries": "queries to the other party",
}
# What stands beside a score where it is not a guess that never looks at the wire.
_BESIDE: dict[str, dict[str, str]] = {
    "backdoor": {
        Metric.ATTACK_SUCCESS: "without the attack or the trigger",
        Metric.UNPLANTED_SUCCESS: "trained without the attack",
        Metric.CLEAN_ACCURACY: "trained without the attack",
        Metric.RECOGNITION_RATE: "always naming one class; the value, too, is of the one trained without the attack",
    },
    "evasion": {
        Metric.ACCURACY_DROP: "random signs, here or trained without the attack, whichever cost more",
        Metric.RANDOM_SIGNS_DROP: "trained without the attack",
        Metric.UNIFORM_NOISE_DROP: "trained without the attack",
        Metric.EXCHANGED_DROP: "random signs",
        Metric.PATTERN_DROP: "trained without the attack",
        Metric.ADVERSARIAL_ACCURACY: "random signs, trained without the attack",
        Metric.NATURAL_ACCURACY: "trained without the attack",
        Metric.PERTURBATION_SIZE: "random signs",
        Metric.LOSS_CORRELATION: "random signs",
        Metric.FEATURE_SIMILARITY: "random signs",
        Metric.LAYER_DISTANCE: "a shadow that always gives the mean",
        Metric.SLOPE_SIMILARITY: "an unrelated shadow",
    },
}
_PICTURED = {
    "mean": "the blind guess, which is the mean of other data",
    "constant": "the blind guess, which is the best constant",
    "": "the mean of other data, a blind guess",
}
_METRICS: dict[str, str] = {Metric.SSIM: "SSIM", Metric.MSE: "MSE", Metric.PSNR: "PSNR"}
_IN_PERCENT = {metric.value for metric in Metric if metric.percent}


def join(parts: Iterable[str], last: str = "and") -> str:
    """``a, b and c``."""
    items = list(parts)
    return f"{', '.join(items[:-1])} {last} {items[-1]}" if len(items) > 1 else "".join(items)


def goal(name: str) -> str:
    """What an attack wants, as the head of a sentence."""
    return GOALS.get(name, name.replace("_", " ").capitalize())


def metric(name: str) -> str:
    """A metric's name as printed."""
    head, _, rest = name.partition("_")
    return " ".join(filter(None, (_METRICS.get(head, head), rest.replace("_", " "))))


def beside(row: ScoreRow) -> str:
    """What stands beside the value of a row, where it is no blind guess; else empty."""
    return _BESIDE.get(row.goal, {}).get(row.metric, "")


def pictured(blind: str) -> str:
    """The picture made without a look at the wire, by its name in the record."""
    return _PICTURED.get(blind, _PICTURED[""])


def knows(name: str) -> str:
    """One thing an adversary can know, in words."""
    return _KNOWS.get(name.lower(), name.replace("_", " "))


def number(value: float | None, name: str = "") -> str:
    """One value of the metric ``name``: rates in percent, PSNR in dB, the rest with three decimals; a dash for none."""
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if value > 0 else "\u2212∞"
    if name == Metric.PSNR:
        text = f"{value:.1f} dB"
    elif name in _IN_PERCENT:
        text = f"{value:.1%}".replace("%", " %")
    else:
        text = f"{value:.1e}" if 0 < abs(value) < 0.0005 else f"{value:.3f}"
    # What rounds to zero has no sign.
    text = text if any(digit in text for digit in "123456789") else text.replace("-", "")
    return text.replace("-", "\u2212")


def mean(value: Spread | None, name: str = "") -> str:
    """The mean of a spread as printed."""
    return number(value.mean if value else None, name)


def span(value: Spread | None, name: str = "") -> str:
    """The range over seeds as printed; empty where it is a single value."""
    ends = [number(end, name) for end in (value.low, value.high)] if value and value.count > 1 else []
    if len(set(ends)) < 2:
        return ""
    # The unit once, behind the second end.
    return f"{ends[0].split()[0]} to {ends[1]}"


def advantage(value: Spread | float | None) -> str:
    """An advantage with two decimals; a dash where the metric has none.

    A positive one is rounded down: none reads like a threshold that it does not reach.
    """
    plain = value.mean if isinstance(value, Spread) else value
    if plain is None or math.isnan(plain):
        return DASH
    shown = math.floor(100 * plain + 1e-9) / 100 if plain > 0 else plain
    return f"{shown:.2f}".replace("-0.00", "0.00").replace("-", "\u2212")


def share(value: float | None) -> str:
    """A fraction in percent, small ones with more digits."""
    if value is None:
        return DASH
    percent = 100 * value
    return f"{percent:.2g} %" if 0 < percent < 1 else f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def seconds(value: float | None) -> str:
    """A duration in the unit that suits it."""
    if value is None:
        return DASH
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 100:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def count(value: float | None) -> str:
    """A count with thousands separated by thin spaces."""
    return DASH if value is None else f"{value:,.0f}".replace(",", "\u202f")


def size(value: float | None) -> str:
    """Bytes in the decimal unit that suits them."""
    if value is None:
        return DASH
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def who(record: Record) -> str:
    """The adversary by its seat and conduct."""
    return f"{'malicious' if record.threat.tampers else 'curious'} {record.threat.seat}"


def knowledge(record: Record) -> str:
    """What the adversary knows beyond the messages of its own seat."""
    words = _KNOWS | _data_of(record)
    told = [words.get(name, knows(name)) for name in record.threat.declared if name not in _OWN]
    return join(told) or "nothing but the messages of its own seat"


def data(record: Record) -> str:
    """What the attack needs to have beside the wire."""
    used, words = record.threat.used, _DATA | _data_of(record)
    parts = [f"{count(used[k])} {v}" if k == "peer_queries" and used[k] else v for k, v in words.items() if k in used]
    return join(parts) if parts else "no data of its own"


def _data_of(record: Record) -> dict[str, str]:
    """What an adversary's own inputs and labels are, where they are not just others of the same kind."""
    other = record.experiment.get("aux", SHARE)
    if other in ("train", record.cell.dataset):
        return {"aux_inputs": "the inputs that the clients train on", "aux_labels": "the labels of those"}
    return {} if other in OWN_SPLITS else {"aux_inputs": f"inputs of {other}"}


def compared(row: ScoreRow, pattern: ScoreRow | None = None) -> str:
    """One result beside its blind value, in a clause; ``pattern``: what fixed patterns take, where that is known."""
    what, value, blind = metric(row.metric), mean(row.value, row.metric), mean(row.blind, row.metric)
    seeds = f", mean of {row.value.count} seeds" if row.value and row.value.count > 1 else ""
    seeds += f", nothing decided in {row.undecided} more" if row.undecided else ""
    if row.goal == "backdoor":
        if row.beats_blind is False:
            return f"{what} {value} is no more than without the attack or the trigger ({blind}{seeds})"
        gain = f"advantage {advantage(row.advantage)}{seeds}"
        return f"{what} {value} where without the attack or the trigger it is {blind} ({gain})"
    if row.goal == "evasion":
        return _evaded(row, f"{what} {value}", blind, seeds, pattern)
    if row.beats_blind is False:
        return f"{what} {value} does not beat a blind guess ({blind}{seeds})"
    return f"{what} {value} where a blind guess scores {blind} (advantage {advantage(row.advantage)}{seeds})"


def _evaded(row: ScoreRow, told: str, blind: str, seeds: str, pattern: ScoreRow | None) -> str:
    more = row.value is not None and row.blind is not None and row.value.mean > row.blind.mean
    gain = f"(advantage {advantage(row.advantage)}{seeds})"
    if row.metric in {Metric.RANDOM_SIGNS_DROP, Metric.PATTERN_DROP}:
        noise = f"without the attack {'they cause' if row.metric == Metric.RANDOM_SIGNS_DROP else 'it is'}"
        if row.beats_blind is False:
            return f"{told}, {'less than 10 points' if more else 'no'} more than {noise} ({blind}{seeds})"
        return f"{told} where {noise} {blind} {gain}"
    where = ", here or without the attack"
    fixed = f"the best of a few fixed patterns {mean(pattern.value, pattern.metric)}" if pattern else ""
    if row.beats_blind is False and more and fixed:
        return f"{told}, no more than fixed patterns take: {fixed}{seeds}"
    if row.beats_blind is False:
        return f"{told}, no more than random signs of the same budget cause{where} ({blind}{seeds})"
    beside = f", and {fixed}" if fixed else ""
    return f"{told} where random signs of the same budget cause {blind}{where}{beside} {gain}"


def opened(noise: ScoreRow | None, natural: ScoreRow | None) -> str:
    """What tampering alone has made of a deployment, in a sentence; empty where nothing has tampered with it."""
    if not noise or not natural or all(row.value == row.blind for row in (noise, natural)):
        return ""
    (costs, costs_without), (right, right_without) = (
        (mean(row.value, row.metric), mean(row.blind, row.metric)) for row in (noise, natural)
    )
    return (
        f"Random signs of the budget alone cost this deployment {costs}, one trained without the attack "
        f"{costs_without}; their accuracies on natural targets are {right} and {right_without}."
    )


def budget(record: Record) -> str:
    """How far adversarial inputs may be from natural ones, in the experiment's units and in those of pixels."""
    reaches = record.budgets.get("", ())
    if not reaches:
        return "not recorded"
    pixels = join(dict.fromkeys(f"{255 * reach:.1f}/255" for reach in reaches))
    by = " by channel" if len(set(reaches)) > 1 else ""
    if record.experiment.get("budget_unit") != "normalized":
        return f"{pixels} of the pixel range"
    return f"{record.experiment.get('budget')} in normalized units, that is {pixels} of the pixel range{by}"


def rule(thresholds: Thresholds) -> str:
    """How an advantage becomes a verdict."""
    return (
        f"An advantage of {thresholds.leak:g} or more is a {LEAK}, from {thresholds.partial:g} a {PARTIAL}, "
        f"below that {NONE}."
    )


def isolation(record: Record) -> str:
    """Where the attack ran, and what that proves."""
    if record.isolated:
        return "Ran in a process of its own; the truth stayed outside it."
    if record.verified_by:
        return (
            f"Ran in the auditor's own process; in one of its own, {record.verified_by} ended in the same bits: "
            "guesses, and the network that an attack on the training leaves."
        )
    return "Ran in the auditor's own process." if record.isolated is False else "Not recorded where it ran."


def told(*parts: str) -> str:
    """What tells a series from others of the same attack, in parentheses; empty when there is nothing to tell."""
    named = ", ".join(filter(None, parts))
    return f" ({named})" if named else ""
