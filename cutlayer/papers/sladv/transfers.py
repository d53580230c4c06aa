"""Table 2: transfer attacks with labels, beside SLADV without, and white-box PGD above both."""

from __future__ import annotations

from itertools import product
from typing import Any

from cutlayer.papers.sladv import printed
from cutlayer.papers.sladv.rows import Cells, Rows, exhibit
from cutlayer.papers.sladv.setup import sladv, transfer
from cutlayer.reproduction.block import Block
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import DASH
from cutlayer.reproduction.found import Found
from cutlayer.reproduction.paper import Exhibit

_NAMES = {"vmi_fgsm": "VR", "ssa": "SSA", "fgsm": "FGSM", "pgd": "PGD"}
_VICTIMS = (("honest", ""), ("attacked", "sladv"))
_STANDIN = 30  # images at the scale "smoke"
_BOUND = {"attack": "pgd", "pgd.network": "victim", "pgd.objective": "label"}
PERFECT = {"attack": "pgd", "pgd.network": "victim", "pgd.objective": "similarity"}
"""SLADV's second stage with the clients' own layers in the shadow's place."""
_PERFECT_STEPS: dict[str, dict[str, Any]] = {
    "as published, 1 step": {"iterations": 1, "step": 1.0},
    "10 steps": {"iterations": 10, "step": 0.25},
}


def _cells(model: str, scale: Scale) -> list[Cell]:
    counts = {"smoke": (4096,), "quick": (1024, 4096), "paper": tuple(printed.TABLE_2["sladv"])}[scale]
    cells = [sladv(scale, count=count, model=model) for count in counts]
    # Without tampering: whom the transfer attacks meet, too.
    cells.append(sladv(scale, model=model, alpha=0.0))
    for victim, _ in _VICTIMS:
        for name in ("vmi_fgsm", "ssa"):
            cells += [transfer(scale, name, count, victim, model) for count in counts]
            cells.append(transfer(scale, name, 4096, victim, model, labels="true"))
        cells.append(transfer(scale, "fgsm", 4096, victim, model))
        cells.append(transfer(scale, "pgd", 4096, victim, model, network="proxy"))
        cells.append(transfer(scale, "pgd", 4096, victim, model, network="victim", objective="label"))
        own: dict[str, Any] = {"network": "victim", "objective": "similarity", "start": 0.1}
        cells += [transfer(scale, "pgd", 4096, victim, model, **own, **steps) for steps in _PERFECT_STEPS.values()]
    return cells


def _data(count: int) -> dict[str, Any]:
    return {"dataset": "digits" if count == _STANDIN else "cifar10", "aux": "share"}


def _blocks(model: str, cells: Cells, found: Found) -> list[Block]:
    rows = Rows(found, cells, model, ("attack", "images", "victim"))
    for count in (*printed.TABLE_2["sladv"], _STANDIN):
        own: dict[str, Any] = {**_data(count), "aux_rows": count}
        said = printed.TABLE_2["sladv"].get(count)
        rows.add({**own, "attack": "sladv", "sladv.alpha": 0.0}, ("SLADV", str(count), "honest"), None)
        rows.add({**own, "attack": "sladv", "sladv.alpha": 1.0}, ("SLADV", str(count), "attacked"), said)
        for (name, told), (victim, under) in product(_NAMES.items(), _VICTIMS):
            wanted = {**own, "attack": name, "under": under, **({"pgd.network": "proxy"} if name == "pgd" else {})}
            rows.add(wanted, (told, str(count), victim), printed.TABLE_2.get(name, {}).get(count))
    for count, (victim, under) in product((4096, _STANDIN), _VICTIMS):
        rows.add({**_BOUND, **_data(count), "under": under}, ("PGD on the victim itself", DASH, victim), None)
        for told, steps in _PERFECT_STEPS.items():
            wanted = {**PERFECT, **_data(count), "under": under, "pgd.iterations": steps["iterations"]}
            rows.add(wanted, (f"SLADV's second stage on the victim's own layers, {told}", DASH, victim), None)
    return rows.blocks()


def table_2(model: str) -> Exhibit:
    """SLADV beside what needs labels."""
    return exhibit(
        "table 2",
        "Beside transfer attacks, which need labels",
        """VR is VMI-FGSM, SSA is spectrum simulation. Both perturb on a proxy of the victim's architecture, which is
trained with labels on as many images of CIFAR-10. They move inputs away from what the proxy takes them for, or from
their true labels (*labels=true*): the paper does not say which. Nor does it say whether they meet the victim that
SLADV's alpha = 1 has already weakened. There are cells for both victims, the honest one (for SLADV that is alpha = 0)
and the attacked one; only rows about the same victim can be compared. The honest one of SLADV can be another draw of
the same training: table 4 names such records. Where SLADV perturbs more images than the others, theirs are the first of
its images.

*Proxy accuracy* is how often the proxy is right on the targets, and *mean change in budgets* how far inputs are moved;
older records lack them. We conjecture that the directions of a poor proxy do not carry over to the victim, and that the
ten short steps of SSA lead back and forth. PGD on the victim itself knows its weights and the true labels: it shows
what the budget allows, as far as sign steps find it. *SLADV's second stage on the victim's own layers* is ours: what
that stage would do with a perfect shadow, so that it can be told from the first stage.""",
        model,
        _cells,
        _blocks,
    )
