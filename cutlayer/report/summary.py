"""The first lines of a report: what was audited, what leaks where and to whom, at what cost to either side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cutlayer.metric import Metric
from cutlayer.record import DONE, NOT_APPLICABLE, Record
from cutlayer.report import wording
from cutlayer.report.finding import Finding, ScoreRow, Spread, as_written, cut_order, spread, tampered, untrained, worst
from cutlayer.report.toll import left

# What leaks takes a verb of its own; what is done to a model is a sentence of its own.
_LEAKING = {"inputs": "private inputs", "labels": "private labels", "model": "the other party's model"}
_DONE = {
    "backdoor": "a backdoor can be planted",
    "obedience": "the deployment obeys any noise in the trigger's place",
    "evasion": "predictions can be overturned",
}
OBEDIENT = 0.9
"""Of a trigger's success the part from which on any noise in its place does as well: no backdoor of its own."""

LEARNED = 0.05
"""The part of what naming the commonest class gets wrong from which on a network has learned something."""


def headline(found: Sequence[Finding], severe: str) -> str:
    """Which goals are reached, and at which cuts, with ``severe`` as the worst verdict there; empty when none is."""
    at: dict[str, list[str]] = {}
    cuts = {(finding.panel, finding.cut) for finding in found}
    for goal in ranked({_reached(f, row) for f in found for row in f.deciding}):
        places = _places(found, goal)
        # A cut where one attack fully succeeds is not also one where another half does.
        here = [place for place, verdicts in places.items() if worst(verdicts) == severe]
        if here:
            at.setdefault(cuts_told([cut for _, cut in here], len(here) == len(cuts)), []).append(goal)
    clauses: list[str] = []
    for where, goals in at.items():
        leaking, done = [_LEAKING[g] for g in goals if g in _LEAKING], [_DONE[g] for g in goals if g in _DONE]
        if leaking:
            verb = "" if any("leak" in clause for clause in clauses) else " leaks" if goals == ["model"] else " leak"
            clauses.append(f"{wording.join(leaking)}{verb} {where}")
        clauses += [f"{clause} {where}" for clause in done]
    text = "; ".join(clauses)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def no_leak(found: Sequence[Finding]) -> str:
    """What to say where nothing reached a verdict of leak or partial leak."""
    if not any(f.deciding for f in found):
        return "Nothing could be judged."
    if any(row.beats_blind for f in found for row in f.deciding):
        return "No attack beat a blind guess by enough to count as a leak."
    return "No attack did better than a blind guess."


def ranked(goals: Iterable[str]) -> list[str]:
    """In the order in which a report names them."""
    return sorted(goals, key=_rank)


def _rank(goal: str) -> tuple[int, str]:
    known = [*_LEAKING, *_DONE]
    return known.index(goal) if goal in known else len(known), goal


def cuts_told(names: Iterable[str], every: bool) -> str:
    """Where something holds: ``at cuts 1 and 2``; ``every``: at all cuts there are."""
    distinct = list(dict.fromkeys(names))
    if every and len(distinct) > 1:
        return "at every cut"
    return f"at cut{'s' if len(distinct) > 1 else ''} {wording.join(distinct)}"


def _places(found: Sequence[Finding], goal: str) -> dict[tuple[tuple[str, str, str], str], list[str | None]]:
    places: dict[tuple[tuple[str, str, str], str], list[str | None]] = {}
    for finding in found:
        for row in finding.deciding:
            if _reached(finding, row) == goal:
                places.setdefault((finding.panel, finding.cut), []).append(row.verdict)
    return places


def _reached(finding: Finding, row: ScoreRow) -> str:
    """The row's goal; of a backdoor ``obedience`` where the trigger that was planted hardly matters."""
    noise = next((r for r in finding.rows if (r.metric, r.guess) == (Metric.UNPLANTED_SUCCESS, row.guess)), None)
    if row.goal != "backdoor" or not (row.value and noise and noise.value):
        return row.goal
    return "obedience" if noise.value.mean >= OBEDIENT * row.value.mean else row.goal


def seeds(records: Iterable[Record]) -> list[int]:
    """The seeds that ran, in order."""
    return sorted({record.cell.seed for record in records})


def _named(records: Sequence[Record], field: str) -> list[str]:
    return list(dict.fromkeys(as_written(getattr(record.cell, field)) for record in records))


def _cuts(records: Iterable[Record]) -> str:
    by_protocol: dict[str, dict[str, tuple[float, ...]]] = {}
    for record in records:
        by_protocol.setdefault(record.cell.protocol, {})[record.cell.cut] = cut_order(record)
    told = {p: ", ".join(sorted(cuts, key=lambda cut: (cuts[cut], cut))) for p, cuts in by_protocol.items()}
    if len(set(told.values())) == 1:
        return next(iter(told.values()))
    return "; ".join(f"{cuts} ({protocol})" for protocol, cuts in told.items())


def audited(finished: Sequence[Record]) -> str:
    """What was audited, in two sentences."""
    names = {field: wording.join(_named(finished, field)) for field in ("model", "dataset", "protocol")}
    ran = seeds(finished)
    utility, bare, attacked = _utility(finished)
    tampering = sorted({str(r.experiment["under"]) for r in finished if r.experiment.get("under")})
    honest = [r for r in finished if not r.experiment.get("under")]
    trained = "model trained under attack" if attacked else "trained model"
    # Each attack leaves a network of its own behind: their mean is that of none.
    share = (wording.span(utility, Metric.ACCURACY) if attacked else "") or wording.mean(utility, Metric.ACCURACY)
    accurate = f"; {'without a defense ' if bare else ''}the {trained} is {share} accurate on test data"
    accurate = f"{accurate}{unlearned(finished, utility)}" if utility else ""
    # Such a victim is another one than an honestly trained one, and little else on the page says so.
    where = "in some cells " if honest else ""
    before = f", {where}after {wording.join(tampering)} had tampered with the training" if tampering else ""
    return (
        f"{names['model']} was trained on {names['dataset']} by split learning ({names['protocol']}), "
        f"cut at {_cuts(finished)}, with seed{'s' if len(ran) > 1 else ''} "
        f"{wording.join(map(str, ran))}{accurate}. It was {_attacked(finished)}{before}."
    )


def unlearned(finished: Sequence[Record], utility: Spread) -> str:
    """Where the network is hardly more often right than by always naming one class, what that means."""
    usual = spread(record.usual for record in finished)
    several = len({(record.cell.dataset, record.cell.model) for record in finished}) > 1
    if usual is None or several or utility.mean - usual.mean >= LEARNED * (1 - usual.mean):
        return ""
    return f", hardly more than always naming one class ({wording.mean(usual, Metric.ACCURACY)}): nothing was learned"


def _attacked(finished: Sequence[Record]) -> str:
    """With what, and with what before the training."""
    early, late = ([record for record in finished if untrained(record) == before] for before in (True, False))
    parts = (("attacked", late), ("attacked before training", early))
    return wording.join(f"{how} with {wording.join(_named(records, 'attack'))}" for how, records in parts if records)


def trained(finished: Sequence[Record]) -> str:
    """Which training the curves of a report are of, as the beginning of a sentence."""
    early = [record for record in finished if untrained(record)]
    if len(early) == len(finished):
        return "The split training that followed: the network was attacked before training"
    by = wording.join(_named(early, "attack"))
    return "The split training that was attacked" + (
        f", or that followed where {by} attacked before training" if by else ""
    )


def _utility(finished: Sequence[Record]) -> tuple[Spread | None, str, bool]:
    """Test accuracy, a remark, and whether all of these trainings were tampered with.

    Where some deployments are defended and others are not, it is that of the others; where some trainings were tampered
    with and others were not, again.
    """
    bare = [record for record in finished if not record.cell.defenses]
    some = 0 < len(bare) < len(finished)
    left = bare or list(finished)
    honest = [record for record in left if not tampered(record)]
    return spread(record.utility for record in (honest or left)), "without a defense" if some else "", not honest


@dataclass(frozen=True)
class Highlight:
    """Where one goal is reached furthest: ``facts`` are (question, answer) pairs."""

    finding: Finding
    row: ScoreRow
    facts: tuple[tuple[str, str], ...]


def highlights(found: Sequence[Finding]) -> list[Highlight]:
    """For each goal the setting where its advantage, the mean over the seeds, is largest."""
    best: dict[str, tuple[tuple[float, int], Finding, ScoreRow]] = {}
    for finding in found:
        for row in finding.deciding:
            if row.advantage:
                # Of two that get equally far the one that needs to know less says more.
                reach = (row.advantage.mean, -len(finding.first.threat.declared))
                if row.goal not in best or reach > best[row.goal][0]:
                    best[row.goal] = (reach, finding, row)
    return [Highlight(finding, row, _facts(finding)) for _, finding, row in (best[g] for g in sorted(best, key=_rank))]


def _facts(finding: Finding) -> tuple[tuple[str, str], ...]:
    record = finding.first
    client = []
    for part, whole, name in (("client_parameters", "parameters", "parameters"), ("client_flops", "flops", "FLOPs")):
        share = finding.share(part, whole)
        client += [f"{wording.share(share)} of the {name}"] if share is not None else []
    sent, took = finding.number("bytes_per_sample"), finding.number("attack_seconds")
    client += [f"{wording.size(sent.mean)} a sample on the wire"] if sent else []
    attacker = [wording.seconds(took.mean)] if took else []
    return (
        ("to whom", f"a {wording.who(record)}"),
        ("knowing", wording.knowledge(record)),
        ("client's cost", wording.join(client) or wording.DASH),
        ("attacker's cost", wording.join([*attacker, wording.data(record)])),
        *_unplanted(finding),
        # What is gained in a model that is of no use any more is another finding than what nobody notices.
        *left(finding),
    )


def _unplanted(finding: Finding) -> tuple[tuple[str, str], ...]:
    """What a trigger that nobody has planted does: as much means that the deployment obeys any."""
    row = finding.row(Metric.UNPLANTED_SUCCESS)
    if row is None:
        return ()
    value, without = (wording.mean(one, row.metric) for one in (row.value, row.blind))
    return (("any other noise", f"in the trigger's place has {value} success, {without} without the attack"),)


def no_better(found: Sequence[Finding]) -> list[str]:
    """A sentence for each protocol where at some cut no attack on some goal gets further than a blind guess."""
    beaten: dict[tuple[str, str, str], bool] = {}
    for finding in found:
        for row in finding.deciding:
            place = (finding.first.cell.protocol, row.goal, finding.cut)
            beaten[place] = beaten.get(place, False) or row.beats_blind is not False
    lines = []
    for protocol in dict.fromkeys(protocol for protocol, _, _ in beaten):
        where: dict[str, list[str]] = {}
        for goal in ranked({goal for of, goal, _ in beaten if of == protocol}):
            names = [cut for (of, name, cut), yes in beaten.items() if (of, name) == (protocol, goal) and not yes]
            if names:
                where.setdefault(cuts_told(names, False), []).append(_LEAKING.get(goal, goal))
        told = (f"{wording.join(goals, 'or')} {place}" for place, goals in where.items())
        if where:
            lines.append(f"In {protocol}, no attack beats a blind guess for {wording.join(told, 'or')}.")
    return lines


def unfinished(others: Sequence[Record]) -> str:
    """How many cells have no result, and that the verdict does not cover them."""
    failed = sum(record.status != NOT_APPLICABLE for record in others)
    outside = len(others) - failed
    told = [f"{failed} that failed"] if failed else []
    told += [f"{outside} to which the attack does not apply"] if outside else []
    return f"The verdict leaves out {len(others)} cell{'s' if len(others) > 1 else ''}: {wording.join(told)}."


def undecided(finished: Sequence[Record]) -> list[str]:
    """Why cells that ran to their end have no verdict, once for each attack and reason."""
    cuts: dict[tuple[str, str], list[str]] = {}
    for record in finished:
        if record.reason:
            name = f"{record.cell.attack}, attacked before training," if untrained(record) else record.cell.attack
            cuts.setdefault((name, record.reason), []).append(record.cell.cut)
    return [f"{attack} {cuts_told(names, False)}: {why}." for (attack, why), names in cuts.items()]


def facts(records: Sequence[Record], left: int = 0) -> list[tuple[str, str, str]]:
    """The run at a glance: (name, value, remark); ``left``: cells that were asked for and have not run."""
    finished = [record for record in records if record.status == DONE]
    utility, bare, attacked = _utility(finished)
    mean, span = wording.mean(utility, Metric.ACCURACY), wording.span(utility, Metric.ACCURACY)
    later = "of the network trained afterwards" if utility and all(map(untrained, finished)) else ""
    # Each attack leaves a network of its own behind: their mean is that of none.
    accuracy = (span or mean, "under attack" if finished else "") if attacked else (mean, span, later)
    pixels = wording.join(dict.fromkeys(record.cell.pixels for record in finished if record.cell.pixels))
    shares = spread(record.attack.fraction for record in finished)
    ran = f"{wording.share(shares.low)}" if shares else ""
    if shares and shares.high > shares.low:
        ran += f" to {wording.share(shares.high)}"
    aside = ", training not counted" if any(record.threat.tampers for record in finished) else ""
    return [
        ("Dataset", wording.join(_named(finished, "dataset")), f"{pixels} pixels" if pixels else ""),
        ("Model", wording.join(_named(finished, "model")), ""),
        ("Protocol", wording.join(_named(finished, "protocol")), ""),
        ("Cuts", _cuts(finished), ""),
        ("Seeds", ", ".join(map(str, seeds(finished))), ""),
        ("Test accuracy", accuracy[0], "; ".join(filter(None, (bare, *accuracy[1:])))),
        ("Attack steps", as_written(_named(finished, "steps")), f"{ran} of the published ones{aside}" if ran else ""),
        ("Cells", f"{len(finished)} of {len(records) + left}", "ran to their end"),
    ]


def effort(found: Sequence[Finding]) -> list[tuple[str, str]]:
    """For each attack, the steps it ran of those its paper ran."""
    said = {}
    for finding in found:
        run = finding.first.attack
        if run.published_steps:
            part = f", {wording.share(run.fraction)}" if run.fraction is not None else ""
            text = f"{wording.count(run.steps)} of the {wording.count(run.published_steps)} published steps{part}"
            said[finding.first.cell.attack, text] = (finding.first.cell.attack, text)
    return list(said.values())
