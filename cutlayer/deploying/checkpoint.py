"""What outlives a process: checkpoints of a party, and after each a journal of the frames it has received since.

A checkpoint is written under a temporary name, flushed to the disk and renamed. A journal grows frame by frame: killing
the process loses nothing of it. A failing machine can lose its end, which the other party then sends again; every entry
carries a checksum, as the checkpoints do, and what stands after the first one that does not hold is dropped.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cutlayer.checksum import DamageError, pack_checked, read_checked
from cutlayer.disk import PRIVATE, append, sweep, write_whole
from cutlayer.experiment import ExperimentError

FORM = "5"
"""Of what parties keep; raised whenever it changes, so that no version takes up what another has begun."""
_NAME = re.compile(r"at-(\d{8})-(\d{12})\.safetensors")
_SIZE, _CHECK = 8, 4


@dataclass(frozen=True, order=True)
class Mark:
    """Where a checkpoint stands: the turn it is in, and the training steps completed."""

    turn: int
    step: int

    @property
    def stem(self) -> str:
        """Of its files; their order is that of the marks."""
        return f"at-{self.turn:08d}-{self.step:012d}"


class Shelf:
    """The checkpoints and journals of one party in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        sweep(folder)
        self._journal: tuple[int, Path] | None = None
        self.journaled = 0
        """Bytes in the open journal."""

    def marks(self) -> list[Mark]:
        """All checkpoints, in order."""
        found = (_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(Mark(int(match[1]), int(match[2])) for match in found if match)

    def write(self, mark: Mark, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
        """Keep a checkpoint durably, and start an empty journal after it."""
        # What a journal of this name holds is in the new checkpoint, or is from before a turn that was given up.
        self._path(mark).with_suffix(".journal").unlink(missing_ok=True)
        content = pack_checked(tensors, {"form": FORM, "notes": json.dumps(notes)})
        write_whole(self._path(mark), content, PRIVATE)
        self._open(mark, 0)

    def read(self, mark: Mark) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors and the notes of one checkpoint; ``ExperimentError`` where they are not to be had."""
        path, way_out = self._path(mark), f"to begin anew, remove {str(self.folder.parent)!r}"
        try:
            tensors, about = read_checked(path)
        except DamageError as error:
            raise ExperimentError(f"{str(path)!r} is damaged ({error}); {way_out}") from None
        if about.get("form") != FORM:
            raise ExperimentError(
                f"{str(self.folder)!r} holds a training that another version of cutlayer began; that one can "
                f"end it, or, {way_out}"
            )
        return tensors, json.loads(about["notes"])

    def frames(self, mark: Mark) -> list[bytes]:
        """What was received after ``mark`` and before the checkpoint that follows it, as far as it is whole."""
        path = self._path(mark).with_suffix(".journal")
        data = path.read_bytes() if path.exists() else b""
        found, place = [], 0
        while place + _SIZE + _CHECK <= len(data):
            start = place + _SIZE + _CHECK
            size = int.from_bytes(data[place : place + _SIZE], "little")
            frame = data[start : start + size]
            if len(frame) < size or zlib.crc32(frame) != int.from_bytes(data[place + _SIZE : start], "little"):
                break
            found.append(frame)
            place = start + size
        return found

    def go_on(self, mark: Mark, frames: list[bytes]) -> None:
        """Let ``mark`` be the newest checkpoint and its journal end after ``frames``, its first; more will follow."""
        for later in reversed(self.marks()):
            if later > mark:
                self._drop(later)
        self._open(mark, sum(_SIZE + _CHECK + len(frame) for frame in frames))

    def append(self, frame: bytes) -> None:
        """Add a frame to the journal of the newest checkpoint; ``OSError`` where there is no room for it."""
        assert self._journal
        head = _head(frame)
        append(*self._journal, head, frame)
        self.journaled += len(head) + len(frame)

    def keep_only(self, kept: set[Mark]) -> None:
        """Forget every other checkpoint."""
        for mark in self.marks():
            if mark not in kept:
                self._drop(mark)

    def clear(self) -> None:
        """Forget everything, the folder too: the training is over."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Close the journal."""
        if self._journal:
            os.close(self._journal[0])
            self._journal = None

    def _open(self, mark: Mark, size: int) -> None:
        self.close()
        path = self._path(mark).with_suffix(".journal")
        self._journal = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE), path
        os.ftruncate(self._journal[0], size)
        self.journaled = size

    def _drop(self, mark: Mark) -> None:
        # The checkpoint first: a journal alone is nothing.
        for path in (self._path(mark), self._path(mark).with_suffix(".journal")):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _path(self, mark: Mark) -> Path:
        return self.folder / f"{mark.stem}.safetensors"


def _head(frame: bytes) -> bytes:
    return len(frame).to_bytes(_SIZE, "little") + zlib.crc32(frame).to_bytes(_CHECK, "little")
