"""What the attacks of a run's cells share: in the run's folder, apart for all that could make it another thing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cutlayer.checksum import DamageError, pack_checked, read_checked
from cutlayer.disk import write_whole
from cutlayer.experiment import ExperimentError
from cutlayer.layout import RunFolder
from cutlayer.provenance import coded
from cutlayer.scene.scene import Scene
from cutlayer.scene.source import sources

_COMPUTED_BY = (
    "model",
    "protocol",
    "cut",
    "input_mean",
    "input_std",
    "device",
    "precision",
    "memory_format",
    "threads",
)


@dataclass(frozen=True)
class FolderShelf:
    """Files named by their keys."""

    folder: Path

    def take(self, key: str) -> Mapping[str, Tensor] | None:
        """``ExperimentError`` where the file is damaged."""
        file = self._place(key)
        try:
            return read_checked(file)[0]
        except FileNotFoundError:
            return None
        except DamageError:
            raise ExperimentError(f"{file} is damaged: remove it") from None

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Whole or not at all."""
        write_whole(self._place(key), pack_checked(tensors))

    def _place(self, key: str) -> Path:
        # A key is an attack's own text: as a path it could lead anywhere.
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"


def shelf_of(scene: Scene, run: Path) -> FolderShelf | None:
    """Where the attack of ``scene`` finds what others made that compute alike; None where a user's code takes part.

    Attacks that are told different things would pass them on to each other here: the package's own are known to lay
    down only what their keys say.
    """
    experiment = scene.experiment
    if experiment.plugins or sources(experiment):
        return None
    # No isolated attack is handed what one has made that could have read the truth.
    key = experiment.fingerprint(str(scene.isolated), coded(), only=_COMPUTED_BY)
    return FolderShelf(RunFolder(run).shelf(key))
