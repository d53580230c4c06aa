"""What a run folder holds: every cell's record, with its pictures within reach."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from cutlayer.layout import RunFolder
from cutlayer.record import DONE, FAILED, Record, read_record

Pixels = npt.NDArray[np.float32]
ASIDE = {"name", "out", "device", "threads", "carrier", "isolate", "link"}
"""Keys of an experiment that change where a result lies or is computed or what is said of it, and not what it is."""


@dataclass(frozen=True)
class Evidence:
    """One cell's record and the folder it came from (None when it never was on disk)."""

    record: Record
    folder: Path | None = None

    @property
    def done(self) -> bool:
        """Whether the cell ran to its end."""
        return self.record.status == DONE

    def images(self) -> dict[str, Pixels]:
        """The tensors ``truth``, ``guess`` and ``blind``, [n, C, H, W] in [0, 1], as far as they lie there."""
        if self.folder is None or self.record.pictures is None:
            return {}
        # Only the name: a record must not be able to point outside its own folder.
        path = self.folder / Path(self.record.pictures.file).name
        try:
            tensors = load_file(path)
        except (OSError, SafetensorError):
            return {}
        return {name: np.asarray(value, np.float32) for name, value in tensors.items() if value.ndim == 4}


def read_run(run: Path) -> list[Evidence]:
    """Every cell of ``run`` in the order of the folders' names, with its latest record; one that cannot be read appears
    as failed, and why.
    """
    return latest(_read(path.parent) for path in sorted(RunFolder(run).cells.glob("*/record.json")))


def latest(evidence: Iterable[Evidence]) -> list[Evidence]:
    """Of several finished records that ask for the same, the seed included, the one begun last; all others.

    A file of weights, of a network, of plug-ins or of data can change behind its name: the cell is run again then, and
    its earlier record is a result of something else, not that of another seed.
    """
    found = list(evidence)
    last = {_asked(item.record): item for item in sorted(found, key=lambda item: item.record.started) if item.done}
    return [item for item in found if not item.done or last[_asked(item.record)] is item]


def _asked(record: Record) -> str:
    experiment = {key: value for key, value in record.experiment.items() if key not in ASIDE}
    # An option that was asked for at its default, or not at all, is the same option.
    others = {
        name: options for name, options in (experiment.pop("options", None) or {}).items() if name != record.cell.attack
    }
    return json.dumps([record.cell.model_dump(), record.attack.options, others, experiment], sort_keys=True)


def _read(folder: Path) -> Evidence:
    try:
        record = read_record(folder)
    except (OSError, ValueError) as error:
        record = Record(status=FAILED, reason=f"{folder.name}/record.json could not be read: {error}")
    return Evidence(record or Record(status=FAILED, reason=f"{folder.name}/record.json is gone"), folder)
