"""Handwritten letters, both cases in one class (Cohen et al.): grey images, 28x28, 26 classes (or A to J)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cutlayer.data.hub import Source
from cutlayer.dataset import Dataset, DatasetError

_HUB_ID = "tanganke/emnist_letters"


def load(data_dir: Path | None = None, *, letters: Literal["all", "a-j"] = "all") -> Dataset:
    """EMNIST letters from ``data_dir``, or tanganke/emnist_letters from the hub; all images upright.

    "all" reads ``data_dir/emnist_letters``, files as the hub has them, with rows and columns of every image swapped
    (as NIST published them). "a-j" reads ``data_dir/emnist_letters_aj``: the ten classes A to J only, upright already;
    its name says so in every record.
    """
    if letters == "all":
        part = None if data_dir is None else Path(data_dir).expanduser() / "emnist_letters_aj"
        if part is not None and part.is_dir() and not part.with_name("emnist_letters").is_dir():
            raise DatasetError(f"{part} has the letters A to J only: ask for them with emnist_letters.letters=a-j")
        return Source("emnist_letters", _HUB_ID, mode="L", transposed=True).load(data_dir)
    if data_dir is None:
        raise DatasetError("letters=a-j needs data_dir=FOLDER with emnist_letters_aj in it: the hub has all letters")
    return Source("emnist_letters_aj", _HUB_ID, mode="L").load(data_dir)
