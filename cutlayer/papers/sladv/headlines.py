"""What SLADV is known by: on the network that can be trained for all iterations, and on the whole one."""

from __future__ import annotations

from typing import Any

from cutlayer.papers.sladv import printed
from cutlayer.papers.sladv.rows import CLEAN, DROP, READINGS, SIGNS, of
from cutlayer.papers.sladv.setup import NARROW, WHOLE
from cutlayer.papers.sladv.tables import table_3
from cutlayer.papers.sladv.transfers import PERFECT, table_2
from cutlayer.reproduction.paper import Headline

_ALPHAS, _OTHERS, _FEW_STEPS = table_3(NARROW), table_2(NARROW), table_3(WHOLE)
_WHOLE = "(whole ResNet18)"
_HONEST = {"aux": "share", "aux_rows": 4096, "under": ""}


def _alpha(alpha: float) -> list[Headline]:
    what = f"SLADV without labels, narrow ResNet18, alpha {alpha:g}"
    wanted = {**of("cifar10"), "sladv.alpha": alpha, "aux_rows": 4096}
    drop, clean = (table[f"{alpha:g}"]["cifar10"] for table in (printed.TABLE_3, printed.TABLE_4))
    return [
        Headline(what, _ALPHAS, wanted, DROP, drop, _WHOLE, but=READINGS),
        Headline(what, _ALPHAS, wanted, SIGNS, None, but=READINGS),
        Headline(what, _ALPHAS, wanted, CLEAN, clean, _WHOLE, but=READINGS),
    ]


def _whole(alpha: float) -> list[Headline]:
    what, wanted = f"SLADV without labels, whole ResNet18, alpha {alpha:g}", {**of("cifar10"), "sladv.alpha": alpha}
    drop, clean = (table[f"{alpha:g}"]["cifar10"] for table in (printed.TABLE_3, printed.TABLE_4))
    return [
        Headline(what, _FEW_STEPS, wanted, DROP, drop, but=READINGS),
        Headline(what, _FEW_STEPS, wanted, CLEAN, clean, but=READINGS),
    ]


def _other(told: str, wanted: dict[str, Any], said: float | None) -> Headline:
    return Headline(
        f"{told}, narrow ResNet18, honest victim",
        *(_OTHERS, {**_HONEST, **wanted}, DROP, said, _WHOLE if said else ""),
        beside=CLEAN,
    )


HEADLINES = (
    *(headline for alpha in (0.0, 0.1, 1.0, 10.0) for headline in _alpha(alpha)),
    *(headline for alpha in (0.0, 0.1, 1.0, 10.0) for headline in _whole(alpha)),
    _other("VR, proxy trained with labels", {"attack": "vmi_fgsm"}, printed.TABLE_2["vmi_fgsm"][4096]),
    _other("SSA, proxy trained with labels", {"attack": "ssa"}, printed.TABLE_2["ssa"][4096]),
    _other("PGD that knows all weights", {"attack": "pgd", "pgd.network": "victim", "pgd.objective": "label"}, None),
    _other("SLADV's second stage on the victim's own layers", {**PERFECT, "pgd.iterations": 1}, None),
)
