"""Randomness from explicit seeds: every party, attack and step draws from a stream of its own."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

_DEFAULT = threading.RLock()
# Torch's default generators are one for all threads: two parties in one process would draw from each other's stream.


def derive(seed: int, *keys: str | int) -> int:
    """A 63-bit seed for the stream named by ``keys``.

    It keeps streams apart and nothing secret: whoever can try out every ``seed`` finds the one it comes from.
    """
    text = repr((seed, *keys)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def generator(seed: int, *keys: str | int) -> torch.Generator:
    """A CPU generator at the start of the stream named by ``keys``."""
    return torch.Generator().manual_seed(derive(seed, *keys))


@contextlib.contextmanager
def drawing(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Inside the block torch's default generators stand at the start of ``seed``; afterwards they stand where they did.

    Layers such as dropout draw from the default generator; this lends them a party's own stream for one call. Another
    thread that wants to lend it out waits.
    """
    with _DEFAULT, _lent(seed, device):
        yield


@contextlib.contextmanager
def _lent(seed: int, device: torch.device | None) -> Iterator[None]:
    own = torch.default_generator
    before = own.get_state()
    gpu = device if device is not None and device.type == "cuda" else None
    gpu_before = None if gpu is None else torch.cuda.get_rng_state(gpu)
    own.manual_seed(seed)
    if gpu is not None:
        torch.cuda.manual_seed(seed)
    try:
        yield
    finally:
        own.set_state(before)
        if gpu is not None and gpu_before is not None:
            torch.cuda.set_rng_state(gpu_before, gpu)


class Stream:
    """A stream that is put down and taken up again: its draws continue, whatever others draw in between.

    Where a GPU computes, it has a stream of its own there, from the same seed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._state = torch.Generator().manual_seed(seed).get_state()
        self._gpu: Tensor | None = None

    def checkpoint(self) -> dict[str, Tensor]:
        """Where it stands, as tensors."""
        return {"cpu": self._state, **({} if self._gpu is None else {"gpu": self._gpu})}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Stand where ``checkpoint`` was taken."""
        self._state, self._gpu = tensors["cpu"], tensors.get("gpu")

    @contextlib.contextmanager
    def taken_up(self) -> Iterator[None]:
        """Draw from this stream inside the block, from the former one afterwards."""
        before = torch.default_generator.get_state()
        gpu_before = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
        torch.default_generator.set_state(self._state)
        if gpu_before is not None:
            if self._gpu is None:
                torch.cuda.manual_seed(self._seed)
            else:
                torch.cuda.set_rng_state(self._gpu)
        try:
            yield
        finally:
            self._state = torch.default_generator.get_state()
            torch.default_generator.set_state(before)
            if gpu_before is not None:
                self._gpu = torch.cuda.get_rng_state()
                torch.cuda.set_rng_state(gpu_before)
