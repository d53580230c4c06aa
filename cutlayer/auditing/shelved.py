"""What the attacks of a run's cells share: in the run's folder, apart for all that could make it another thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from cutlayer import __version__
from cutlayer.disk import write_whole
from cutlayer.experiment import ExperimentError
from cutlayer.message import detached
from cutlayer.scene.loading import own_files
from cutlayer.scene.scene import Scene

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
        file = self.folder / f"{key}.safetensors"
        try:
            return load_file(file)
        except FileNotFoundError:
            return None
        except SafetensorError:
            raise ExperimentError(f"{file} is damaged: remove it") from None

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Whole or not at all."""
        write_whole(self.folder / f"{key}.safetensors", save({n: detached(t).cpu() for n, t in tensors.items()}))


def shelf_of(scene: Scene, run: Path) -> FolderShelf:
    """Where the attack of ``scene`` finds what others made that compute alike."""
    experiment = scene.experiment
    # No isolated attack is handed what one has made that could have read the truth, nor the package's a user's own.
    own = (own_files(experiment, "attacks", "models", "protocols"), str(scene.isolated), __version__)
    return FolderShelf(run / "shelf" / experiment.fingerprint(*own, only=_COMPUTED_BY))
