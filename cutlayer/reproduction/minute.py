"""What all papers' records say in a few sentences, for who has one minute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cutlayer.reproduction.comparison import Number
from cutlayer.reproduction.found import Found, Group, nearest
from cutlayer.reproduction.paper import Headline, Paper

Papers = Mapping[str, tuple[Paper, Found]]
"""By name, with the records of each."""
TITLE = "In one minute"
_INTRO = """On MNIST, unless another dataset is named: means over the seeds, in brackets from the lowest to the
highest, and what a guess has that never looks at the wire (*blind*). Settings, many of them short, are in the tables
below. About your network and data it says nothing: [Deciding](../deciding.md) has the commands for these."""


@dataclass(frozen=True)
class Told:
    """A number in a sentence: one of a paper's headlines."""

    words: str
    """Before the number."""
    paper: str
    what: str
    """Of the headline ..."""
    head: str
    """... and of its number."""


def _unsplit(depth: str) -> list[Told]:
    inputs, part = (f"{what}, from activations alone, mnist, depth {depth}" for what in ("inputs", "the client's part"))
    return [
        Told("SSIM of the inputs in the setting nearest to the published one", "unsplit", inputs, "SSIM"),
        Told("with our options", "unsplit", f"{inputs}, our options", "SSIM"),
        Told("accuracy with the stolen part", "unsplit", part, "accuracy with the clone"),
        Told("with our options", "unsplit", f"{part}, our options", "accuracy with the clone"),
    ]


def _inversion(attack: str) -> list[Told]:
    return [
        Told(words, "inversion", f"inputs, {attack}, mnist, {layer}", "SSIM")
        for words, layer in (
            ("SSIM of the inputs behind the first layer", "conv1"),
            ("behind the second ReLU", "ReLU2"),
        )
    ]


_SERVER = "surrogate client, {}, mnist, cut {}, 1 client, alpha 0.04"
_CLIENT = "one malicious client of three, LeNet, mnist, cut 1, patch"
LINES: Mapping[str, Sequence[Told]] = {
    "A server that knows the client's layers and no more (UnSplit), behind the first ReLU": _unsplit("1"),
    "The same behind the second convolution": _unsplit("3"),
    "A server that may query the client's part and has data like its own": _inversion("black-box, same distribution"),
    "A server that knows the client's part, weights and all": _inversion("white-box"),
    "Labels in `u_shaped`, from what is sent": [
        Told(
            "told apart",
            "unsplit",
            "labels, from the wire, in groups without names, mnist",
            "accuracy under the best naming",
        ),
        Told("named", "unsplit", "labels, from the wire, by matching, mnist", "accuracy by matching"),
    ],
    "A backdoor planted by the server (surrogate client, alpha .04)": [
        Told("success with LeNet at cut 1", "backdoor", _SERVER.format("LeNet", 1), "ASR"),
        Told("of any other noise in the trigger's place", "backdoor", _SERVER.format("LeNet", 1), "ASR of noise"),
        Told("with LeNet at the last cut", "backdoor", _SERVER.format("LeNet", 3), "ASR"),
        Told("with StripNet at the last cut", "backdoor", _SERVER.format("StripNet", 3), "ASR"),
        Told("of any other noise there", "backdoor", _SERVER.format("StripNet", 3), "ASR of noise"),
    ],
    "A backdoor planted by one malicious client of three, LeNet at cut 1": [
        Told("success", "backdoor", _CLIENT, "ASR"),
        Told("of any other noise in the trigger's place", "backdoor", _CLIENT, "ASR of noise"),
    ],
    "SLADV without labels, on CIFAR-10 and a narrow ResNet18, alpha 1": [
        Told("fall of the accuracy", "sladv", "SLADV without labels, narrow ResNet18, alpha 1", "accuracy drop"),
    ],
}


def minute(papers: Papers) -> str:
    """A line for each sentence that any record has a number for, and one where no record is of a defense."""
    lines = []
    for what, numbers in LINES.items():
        if told := [f"{one.words}, {number}" for one in numbers if (number := _number(papers, one))]:
            lines.append(f"* {what}: {'; '.join(told)}.")
    records = [run.record for _, found in papers.values() for run in found.runs]
    if not any(record.cell.defenses for record in records):
        lines.append(f"* Defenses: none has been measured; all {len(records)} records are without one.")
    return "\n\n".join([f"## {TITLE}", _INTRO, "\n".join(lines)])


def headline(papers: Papers, told: Told) -> Headline | None:
    """The one that is told; None where the paper is not among them."""
    if told.paper not in papers:
        return None
    own = papers[told.paper][0].headlines
    return next(one for one in own if (one.what, one.number.head) == (told.what, told.head))


def _number(papers: Papers, told: Told) -> str:
    """Empty where no record has it."""
    if (one := headline(papers, told)) is None:
        return ""
    groups = papers[told.paper][1].groups(one.exhibit.cells, one.wanted)
    group = nearest([group for group in groups if not group.differs_in(one.but)])
    return _spelled(one.number, group) if group else ""


def _spelled(number: Number, group: Group) -> str:
    having = [record for record in group.records if number.of(record)]
    ours, blind = number.measured(having)
    if ours is None:
        return ""
    low, high = map(number.spell, (ours.values[0], ours.values[-1]))
    seeds = f"{low} to {high} in {len(ours.values)} seeds" if low != high else f"in all {len(ours.values)} seeds"
    told = [
        "1 seed" if len(ours.values) == 1 else seeds,
        f"{number.beside} {number.spell(blind.mean if blind else None)}",
    ]
    # Other seeds have another success: it does not stand beside the mean of all.
    if number.against and len(having) < len(group.runs) and (there := number.against.measured(having)[0]):
        told.append(f"{number.against.head} there {number.spell(there.mean)}")
    return f"{number.spell(ours.mean)} ({'; '.join(told)})"
