"""Frames: milliseconds per megabyte to encode and to decode, beside a plain copy of the same tensors, and bytes added.

Measured in turns in one process: copy, other, copy, other. A ratio compares two neighbors; printed is the median of
the ratios and their range. safetensors' own functions stand beside the codec's, which reads with them and writes the
same format by hand. A call that gives much memory back to the system slows the copy behind it as well: where the ratio
looks mild for that reason, the milliseconds per megabyte tell.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from safetensors.torch import load, save

from cutlayer.codec import decode, encode
from cutlayer.message import Kind, Message
from cutlayer.stream import generator

SHAPES = {
    "unsplit_mnist after pool1": (64, 8, 12, 12),
    "unsplit_mnist after relu1": (64, 8, 24, 24),
    "ResNet18 after stem": (32, 64, 32, 32),
}
PAIRS = 100


def training_message(shape: tuple[int, ...]) -> Message:
    """What a client sends in a step: smashed data of ``shape``, and labels."""
    draw = generator(0, "message")
    tensors = {"smashed": torch.rand(shape, generator=draw), "labels": torch.randint(10, shape[:1], generator=draw)}
    return Message(Kind.TRAIN, "client-0", 1, tensors)


def seconds(run: Callable[[], object]) -> float:
    """Of processor time: with one thread, what the clock would show on a machine that does nothing else."""
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    """Print a table for each size of message."""
    torch.set_num_threads(1)
    for place, shape in SHAPES.items():
        message = training_message(shape)
        frame, tensors = encode(message), dict(message.tensors)
        payload = sum(tensor.nbytes for tensor in tensors.values())
        added = len(frame) - payload
        print(
            f"\n{place}, {payload / 1e6:.2f} MB of tensors, {added} bytes added ({added / payload:.3%}), threads 1, "
            f"{PAIRS} pairs\n{'':<20}{'ms per MB':>10}{'times a copy':>14}  min-max"
        )
        runs: dict[str, Callable[[], object]] = {
            "copy": message.copy,
            "encode": partial(encode, message),
            "decode": partial(decode, frame),
            "safetensors save": partial(save, tensors),
            "safetensors load": partial(load, frame),
        }
        for name, run in runs.items():
            seconds(run)
            pairs = [(seconds(message.copy), seconds(run)) for _ in range(PAIRS)]
            ratios = [after / before for before, after in pairs]
            per_megabyte = 1e9 * median(after for _, after in pairs) / payload
            print(
                f"{name:<20}{per_megabyte:>10.3f}{median(ratios):>14.2f}  {min(ratios):.2f}-{max(ratios):.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
