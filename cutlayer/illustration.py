"""What a record keeps for a report to show beside the scores: pictures, confused labels, the columns of a table."""

from __future__ import annotations

from cutlayer.frozen import Frozen


class Pictures(Frozen):
    """The row labels and the scores of the pictures that lie beside the record."""

    kind: str = "inputs"
    """``inputs``: truth, guess and blind guess; ``trigger``: clean and triggered inputs, and the trigger alone;
    ``evasion``: natural inputs, adversarial ones, and the difference times ``scale`` on gray."""
    file: str = "pictures.safetensors"
    labels: tuple[str, ...] = ()
    ssim: tuple[float | None, ...] = ()
    stretched_ssim: tuple[float | None, ...] = ()
    """Of the guesses with each one's own range stretched to [0, 1]."""
    blind: str = ""
    """Which blind guess is pictured, the better one in SSIM, or in MSE without it: the ``mean`` of other data, or a
    ``constant`` image. Empty in early records: the mean, though it need not be the better one."""
    blind_ssim: tuple[float | None, ...] = ()
    """Of that one."""
    mse: tuple[float | None, ...] = ()
    before: tuple[str, ...] = ()
    """What the deployment takes each natural input for."""
    after: tuple[str, ...] = ()
    """What it takes each adversarial input for."""
    scale: float | None = None


class Confusion(Frozen):
    """How often each true label (row) was inferred as each label (column)."""

    guess: str = ""
    """Which of the attack's guesses at the labels."""
    labels: tuple[str, ...] = ()
    counts: tuple[tuple[int, ...], ...] = ()


class Feature(Frozen):
    """One column of a table: how well its values were recovered."""

    name: str
    mse: float | None = None
    blind: float | None = None
    advantage: float | None = None
