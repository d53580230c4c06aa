"""Recorded wires: the messages of one party in one file, which a kill at any moment leaves readable."""

from __future__ import annotations

import io
import logging
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cutlayer.channel import Handler
from cutlayer.codec import MAX_FRAME, FrameError, decode, encode
from cutlayer.disk import append
from cutlayer.message import Message

logger = logging.getLogger("cutlayer")
MAGIC = b"cutlayer wire 1\n"
FORMAT = 2
"""Of the `recording.json` that says what a folder of recorded wires holds."""
_LENGTH, _CHECK = 8, 4
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_HEAD = 2 * _LENGTH + _CHECK
_SMALLEST = len(MAGIC) + _HEAD


class RecordingError(ValueError):
    """A file that is no recording, or a recording that does not hold what is asked of it."""


def bytes_of(text: str) -> int:
    """The number that a size such as ``500MB`` means; anything else, or too little, is a ``RecordingError``."""
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+) *([kKMG]?)B?", text.strip())
    if not match or not float(match[1]):
        raise RecordingError("no size: a number with kB, MB or GB, such as 500MB")
    size = int(float(match[1]) * _UNITS[match[2].upper()])
    if size < _SMALLEST:
        raise RecordingError(
            f"no message fits into {size} bytes: the mark of a file and the head of one message take {_SMALLEST}, "
            f"the smallest limit is {_SMALLEST}B"
        )
    return size


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its reply, as one party saw them."""

    request: Message
    reply: Message


class Recorder:
    """A tap that keeps what passes it in a file, up to ``limit`` bytes; it changes nothing.

    An exchange is written whole or not at all: once one would go over the limit, or the disk does not take it, it and
    all later ones are left out and ``full`` is set, which an empty file beside it remembers: one that came after the
    gap would pass for the next.
    A file that is there already is gone on with, less an exchange at its end that a kill cut off.
    An exchange that was kept before, to the bit, is not kept again: a party that works through its last steps once
    more after an interruption records them once.
    """

    def __init__(self, file: Path, limit: int) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file, self.limit = file, limit
        self._go_on()

    def _go_on(self) -> None:
        file, tape = self.file, Tape(self.file)
        if not file.exists():
            _full(file).unlink(missing_ok=True)
        self._seen = {_digest(frames) for frames in tape.frames()} if file.exists() else set()
        self.exchanges, self.bytes = len(self._seen), max(tape.whole, len(MAGIC))
        self.full = tape.full
        if tape.cut_off:
            logger.warning("%s", tape.told())
        # What a party was sent is nobody else's on its machine.
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as opened:
            opened.truncate(tape.whole)
            if not tape.whole:
                opened.write(MAGIC)

    def go_back(self, size: int, full: bool) -> None:
        """Stand where the file had ``size`` bytes and was ``full`` or not: what came later is dropped from it.

        ``RecordingError`` where it does not hold so many in whole exchanges.
        """
        os.truncate(self.file, min(size, self.bytes))
        if full:
            _full(self.file).touch(0o600)
        else:
            _full(self.file).unlink(missing_ok=True)
        self._go_on()
        if self.bytes < size:
            raise RecordingError(f"{self.file}: {self.bytes} of {size} bytes that were recorded are whole exchanges")

    def __call__(self, request: Message, handler: Handler) -> Message:
        """Pass ``request`` on, and keep it with its reply."""
        # Encoded before it is passed on: the party that gets it may write into it.
        asked = encode(request)
        reply = handler(request)
        self.keep(asked, encode(reply))
        return reply

    def keep(self, request: bytes, reply: bytes) -> None:
        """Write one exchange of two frames, where there is room for it.

        ``OSError`` where there is none, and not even for the word that the recording ends there.
        """
        size = _HEAD + len(request) + len(reply)
        digest = _digest((request, reply))
        if self.full or digest in self._seen:
            return
        if self.bytes + size > self.limit:
            self._stop(f"is full at its limit of {self.limit} bytes")
            return
        lengths = len(request).to_bytes(_LENGTH, "little") + len(reply).to_bytes(_LENGTH, "little")
        check = _checksum(lengths, request, reply).to_bytes(_CHECK, "little")
        try:
            with self.file.open("ab", buffering=0) as opened:
                append(opened.fileno(), self.file, lengths, check, request, reply)
        except OSError as error:
            self._stop(f"cannot grow ({error.strerror})")
            return
        self._seen.add(digest)
        self.bytes += size
        self.exchanges += 1

    def _stop(self, why: str) -> None:
        _full(self.file).touch(0o600)
        self.full = True
        logger.warning("%s %s: nothing more is recorded", self.file, why)

    def close(self) -> None:
        """See that what was written has reached the disk."""
        with self.file.open("ab") as opened:
            os.fsync(opened.fileno())


class Tape:
    """A recorded file, read exchange by exchange: it need not fit into memory."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.whole = 0
        """Bytes up to the end of the last whole exchange; known once it has been read to its end."""
        self.cut_off = 0
        """Bytes behind them, which were dropped."""

    def __iter__(self) -> Iterator[Exchange]:
        """The exchanges in order, decoded; ``RecordingError`` where the file is no recording."""
        for request, reply in self.frames():
            try:
                yield Exchange(decode(request), decode(reply))
            except FrameError as error:
                raise RecordingError(f"{self.file}: {error}") from error

    def frames(self) -> Iterator[tuple[bytes, bytes]]:
        """The same as bytes."""
        self.whole, self.cut_off = 0, 0
        with self.file.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            start = file.read(len(MAGIC))
            if start != MAGIC[: len(start)]:
                raise RecordingError(f"{self.file} is not a recording of this version of cutlayer")
            self.whole = len(MAGIC) if len(start) == len(MAGIC) else 0
            while self.whole and (found := _next(file, size - self.whole)):
                self.whole += _HEAD + len(found[0]) + len(found[1])
                yield found
            self.cut_off = size - self.whole

    @property
    def full(self) -> bool:
        """Whether something was left out at the limit, and everything after it."""
        return _full(self.file).exists()

    def told(self) -> str:
        """What to say of bytes that were dropped; empty where none were."""
        if not self.cut_off:
            return ""
        return f"{self.file}: its last {self.cut_off} bytes are no whole exchange and are dropped"


class Replayed:
    """A tap that never asks the party behind it: it gives the recorded replies, in their order."""

    def __init__(self, files: list[Path]) -> None:
        self._exchanges = (exchange for file in files for exchange in Tape(file))

    def __call__(self, request: Message, handler: Handler) -> Message:
        """The reply that was recorded to ``request``; another request than the recorded one is a defect."""
        recorded = next(self._exchanges, None)
        asked = None if recorded is None else recorded.request
        if asked is None or (asked.kind, asked.sender, asked.step) != (request.kind, request.sender, request.step):
            raise RecordingError(f"a {request.kind} message of step {request.step} was not recorded here")
        assert recorded is not None
        return recorded.reply


def _full(file: Path) -> Path:
    return file.with_name(f"{file.name}.full")


def _next(file: io.BufferedReader, left: int) -> tuple[bytes, bytes] | None:
    head = file.read(_HEAD)
    if len(head) < _HEAD:
        return None
    lengths, check = head[: 2 * _LENGTH], head[2 * _LENGTH :]
    first, second = (int.from_bytes(part, "little") for part in (lengths[:_LENGTH], lengths[_LENGTH:]))
    if max(first, second) > MAX_FRAME or _HEAD + first + second > left:
        return None
    request, reply = file.read(first), file.read(second)
    return (request, reply) if _checksum(lengths, request, reply) == int.from_bytes(check, "little") else None


def _checksum(*parts: bytes) -> int:
    found = 0
    for part in parts:
        found = zlib.crc32(part, found)
    return found


def _digest(frames: tuple[bytes, bytes]) -> int:
    # Python's own hash of bytes: 64 bits, and another secret in each process.
    return hash(frames)
