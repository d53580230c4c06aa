"""A training while it lasts: where it stands is kept in a folder, and taken up again to the bit."""

from __future__ import annotations

import contextlib
import logging
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from torch import Tensor

from cutlayer.checksum import DamageError, pack_checked, read_checked
from cutlayer.disk import write_through
from cutlayer.frozen import Frozen
from cutlayer.record import Course, Epoch

logger = logging.getLogger("cutlayer")
States = Mapping[str, Mapping[str, Tensor]]


class Measured(Frozen):
    """What has been measured after each epoch so far."""

    epochs: tuple[Epoch, ...] = ()
    course: tuple[Course, ...] = ()


@dataclass(frozen=True)
class Begun:
    """Where one training is kept: of all that it went through the newest, whole or not at all."""

    folder: Path
    finished: Callable[[], bool] = lambda: False
    """Whether another command has ended the same training, and takes the folder away."""

    @property
    def steps(self) -> int:
        """Training steps that need not be made again."""
        return max(map(_number, self.folder.glob("step-*")), default=0)

    def keep(self, steps: int, states: States, measured: Measured) -> None:
        """Keep ``states`` by name, as they are after so many training steps of all epochs."""
        whole = self.folder / f"step-{steps}"
        while not (whole.is_dir() or self.finished()):
            draft = self.folder / f".draft-{uuid.uuid4().hex}"
            try:
                draft.mkdir(parents=True)
                for name, tensors in states.items():
                    write_through(draft / f"{name}.safetensors", pack_checked(tensors))
                write_through(draft / "measured.json", measured.model_dump_json().encode())
                draft.rename(whole)
            except FileNotFoundError:
                # Who has finished the same training takes the folder away.
                if draft.is_dir():
                    raise
            except OSError:
                if not whole.is_dir():
                    raise
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        for earlier in self.folder.glob("step-*"):
            if _number(earlier) < steps:
                _discard(earlier)

    def latest(self, form: States) -> tuple[States, Measured] | None:
        """The newest states that have all that ``form`` has, and what was measured until then; None: there are none."""
        damaged = set[Path]()
        while left := set(self.folder.glob("step-*")) - damaged:
            kept = max(left, key=_number)
            try:
                return _read(kept, form)
            except (FileNotFoundError, DamageError) as error:
                # Otherwise another command has kept a later one, or finished.
                if kept.is_dir():
                    damaged.add(kept)
                    logger.warning("%s is damaged, and what it held is trained again: %s", kept, error)
                    _discard(kept)
        return None

    def discard(self) -> None:
        """Keep nothing any more."""
        _discard(self.folder)


def _read(kept: Path, form: States) -> tuple[States, Measured]:
    states, reading = dict[str, dict[str, Tensor]](), kept
    try:
        for reading in kept.glob("*.safetensors"):
            states[reading.stem], _ = read_checked(reading)
        # The last thing read: as long as it is in its place, so was everything before it.
        reading = kept / "measured.json"
        measured = Measured.model_validate_json(reading.read_bytes())
    except (DamageError, ValidationError) as error:
        raise DamageError(f"{reading.name}: {' '.join(str(error).split())}") from None
    if missing := sorted(form.keys() - states.keys()):
        raise DamageError(f"{missing[0]}.safetensors is missing")
    for name, tensors in form.items():
        for label, tensor in tensors.items():
            found = states[name].get(label)
            if found is None or found.shape != tensor.shape:
                raise DamageError(f"{name}.safetensors: no {label} of the shape {list(tensor.shape)}")
    return states, measured


def _discard(folder: Path) -> None:
    """Take ``folder`` away in one step: who reads it meanwhile finds all of it, or misses it."""
    aside = folder.with_name(f".gone-{uuid.uuid4().hex}")
    # Another command may have been faster.
    with contextlib.suppress(OSError):
        folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def _number(kept: Path) -> int:
    """Of training steps that a folder keeps."""
    return int(kept.name.removeprefix("step-"))
