"""The grid: attacks, cuts and defenses with their options, fixed before any of it was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cutlayer.metric import Metric
from cutlayer.papers.unsplit.setup import victim
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import Number

NO_DEFENSE = "none"
SIGMAS = (0.1, 0.3, 1.0, 3.0)
DEFENSES: Mapping[str, Mapping[str, Any]] = {
    NO_DEFENSE: {"defense": NO_DEFENSE},
    "half_precision": {"defense": "half_precision", "half_precision.dtype": "float16"},
    "int8_quantization": {"defense": "int8_quantization"},
    **{
        f"gaussian_noise, sigma {sigma:g}": {"defense": "gaussian_noise", "gaussian_noise.sigma": sigma}
        for sigma in SIGMAS
    },
}
"""By the name of a row, what its cells have."""
LEFT_OUT: Mapping[str, str] = {}
"""Defenses of the package without a row, and why."""
CUTS: Mapping[str, Sequence[str]] = {"digits": ("1",), "mnist": ("1", "3")}
"""By dataset; the client holds the blocks up to it. The embedded digits stand in at the scale ``smoke``."""
TRAIN_ROWS = 10_000
"""Training images, of MNIST's 60,000."""
_SMOKE = (NO_DEFENSE, "half_precision", "int8_quantization", "gaussian_noise, sigma 1")

_IMAGES = (
    Number("SSIM", Metric.SSIM),
    Number("SSIM, stretched", Metric.SSIM_STRETCHED),
    Number("MSE", Metric.MSE, lower_is_better=True),
)
_CLONE = Number("accuracy with the clone", Metric.ACCURACY, "model")


@dataclass(frozen=True)
class Attacked:
    """An attack of the grid, and what it is run with."""

    name: str
    """In words; its exhibit has it in lower case."""
    plugin: str
    knows: str
    """What it knows, of the defense above all."""
    options: Mapping[str, Any]
    """Its own and the experiment's."""
    smoke: Mapping[str, Any]
    """Those that are others at the scale ``smoke``."""
    offers: Sequence[str]
    numbers: Sequence[Number] = _IMAGES

    @property
    def goals(self) -> list[str]:
        """What it is after."""
        return list(dict.fromkeys(number.goal for number in self.numbers))

    def cells(self, scale: Scale) -> list[Cell]:
        """Every cut under every defense."""
        smoke = scale == "smoke"
        dataset = "digits" if smoke else "mnist"
        values = {
            **victim(dataset, scale),
            # A defended victim is trained for each defense, cut and seed.
            **({} if smoke else {"train_rows": TRAIN_ROWS}),
            "attack": self.plugin,
            "when": "after",
            "steps": "quick",
            **self.options,
            **(self.smoke if smoke else {}),
        }
        how = {"offers": list(self.offers), **({"isolate": False} if smoke else {})}
        return [
            Cell({**values, "cut": cut, **DEFENSES[defense]}, how)
            for cut in CUTS[dataset]
            for defense in (_SMOKE if smoke else DEFENSES)
        ]


UNSPLIT = Attacked(
    "UnSplit",
    "unsplit",
    """It knows the layers of the client's part, not their weights, and what arrives for one test image of each class:
with the noise on it, or rounded. That there is a defense it is not told: its clones add no noise and round nothing, and
are fitted to what arrives as if that were exact. It takes it for granted that images are dark rather than bright and
lie in [0, 1]. *Accuracy with the clone* is that of the clone in the place of the client's part, of whom nobody asks a
defense: its best value, from which the advantage is counted, is what the real part has without one.""",
    {
        "unsplit.order": "joint",
        "unsplit.rounds": 25,
        "unsplit.input_learning_rate": 3e-3,
        "unsplit.bounds": "unit",
        "unsplit.restarts": 4,
    },
    {"unsplit.rounds": 2},
    ("peer_architecture",),
    (*_IMAGES, _CLONE),
)
WHITE_BOX = Attacked(
    "white-box",
    "inversion_white_box",
    """It knows the client's part, layers and weights, which are given to it past every defense, and what arrives for
20 test images. That there is a defense it is not told: it looks for inputs whose exact activations are nearest to what
arrives, and how smooth they are to be (total variation) is weighed as for activations without noise.""",
    {
        "targets": 20,
        "inversion_white_box.iterations": 1000,
        "inversion_white_box.learning_rate": 0.05,
    },
    {"targets": 4, "inversion_white_box.iterations": 5},
    ("peer_architecture", "peer_weights"),
)
BLACK_BOX = Attacked(
    "black-box",
    "inversion_black_box",
    """It knows nothing of the client's part but its answers to 5,000 other test images, and what arrives for 20
targets. Answers pass the defense as all that the client sends does, so its decoder is trained on noise and rounding of
the very kind that is on the targets: of the three it alone meets the defense, without being told of it.""",
    {
        "targets": 20,
        "aux": "test",
        "inversion_black_box.source": "auxiliary",
        "inversion_black_box.queries": 5000,
        "inversion_black_box.epochs": 20,
        "inversion_black_box.halve_every": 4,
        "inversion_black_box.learning_rate": 0.01,
        "inversion_black_box.least_steps": 1000,
    },
    {
        "targets": 4,
        "inversion_black_box.queries": 50,
        "inversion_black_box.epochs": 1,
        "inversion_black_box.least_steps": 0,
    },
    ("peer_queries", "aux_inputs"),
)
ATTACKS = (UNSPLIT, WHITE_BOX, BLACK_BOX)
