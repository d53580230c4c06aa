"""Seconds per image of UnSplit at the published steps, against a plain sequential loop written after the paper.

Both sides match activations of UnSplit's MNIST network, one thread each, in one process and in turns: plain, ours,
plain, ours. A ratio compares two neighbors, so that what else runs on the machine hits both; printed is the median of
the ratios and their range. Time is the process's own, scaled from a few rounds of the published 100 + 100 steps to
1,000; every image gets all its steps on both sides. ``joint`` and ``independent`` run ten images side by side; with
restarts, seconds are those of one image and one run, of which the plain loop does one after another.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from functools import partial
from itertools import product
from statistics import median
from typing import get_args, get_type_hints

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from cutlayer.attacks.unsplit import UnSplit
from cutlayer.message import Kind, Message
from cutlayer.methods.inversion import total_variation
from cutlayer.model import split
from cutlayer.models import unsplit_mnist
from cutlayer.threat import Architecture, Knows, Row, View

SHAPE = (1, 28, 28)
PUBLISHED = UnSplit()
ORDERS: tuple[str, ...] = get_args(get_type_hints(UnSplit)["order"])
OUR_ROUNDS, PLAIN_SHARE = 2, 0.2


def part_of(cut: int) -> nn.Sequential:
    """The client's part of an untrained network; how fast steps are does not depend on training."""
    return split(unsplit_mnist.build(), [cut])[0]


def plain_seconds(cut: int, smashed: Tensor) -> float:
    """Of the published steps for one image: modules, loss and optimizers as they come, as one would write them."""
    clone, inputs = part_of(cut), torch.full((1, *SHAPE), PUBLISHED.start, requires_grad=True)
    adam = partial(torch.optim.Adam, amsgrad=PUBLISHED.amsgrad)
    of_inputs = adam([inputs], lr=PUBLISHED.input_learning_rate)
    of_clone = adam(clone.parameters(), lr=PUBLISHED.model_learning_rate)
    weight = PUBLISHED.variation_weight(clone)
    start = time.process_time()
    for _ in range(round(PLAIN_SHARE * PUBLISHED.input_steps)):
        of_inputs.zero_grad()
        error = mse_loss(clone(inputs), smashed[:1])
        penalty = weight * total_variation(inputs, "paper").sum() + PUBLISHED.l2_weight * inputs.square().mean()
        (error + penalty).backward()  # type: ignore[no-untyped-call]
        of_inputs.step()
    for _ in range(round(PLAIN_SHARE * PUBLISHED.model_steps)):
        of_clone.zero_grad()
        mse_loss(clone(inputs), smashed[:1]).backward()  # type: ignore[no-untyped-call]
        of_clone.step()
    return (time.process_time() - start) * PUBLISHED.rounds / PLAIN_SHARE


def our_seconds(cut: int, smashed: Tensor, order: str, restarts: int) -> float:
    """Of the published steps for one image and run, by the attack as it is."""
    attack = UnSplit(rounds=OUR_ROUNDS, order=order, restarts=restarts)  # type: ignore[arg-type]
    images = 1 if order == "sequential" else len(smashed)
    architecture = Architecture(lambda number: part_of(cut), (SHAPE,), 10)
    rows = [Row(Kind.PREDICT, 0, row) for row in range(images)]
    attack.begin(View(attack.threat, {Knows.PEER_ARCHITECTURE: lambda: architecture}, rows))
    attack.observe(Message(Kind.PREDICT, "client", 0, {"smashed": smashed[:images]}))
    start = time.process_time()
    attack.infer()
    return (time.process_time() - start) * PUBLISHED.rounds / OUR_ROUNDS / images / restarts


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line for each cut and order."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cuts", type=int, nargs="*", default=[1, 2, 3, 4, 5, 6])
    parser.add_argument("--orders", nargs="*", choices=ORDERS, default=ORDERS)
    parser.add_argument("--restarts", type=int, nargs="*", default=[1, 5], help="runs side by side")
    parser.add_argument("--pairs", type=int, default=5, help="neighbors compared")
    parser.add_argument("--targets", type=int, default=10, help="images side by side")
    options = parser.parse_args(arguments)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    print("unsplit: seconds per image and run at the published steps, and how many times faster than the plain loop")
    for cut in options.cuts:
        with torch.no_grad():
            smashed = part_of(cut)(torch.rand(options.targets, *SHAPE))
        for order, restarts in product(options.orders, options.restarts):
            plain_seconds(cut, smashed)
            pairs = [
                (plain_seconds(cut, smashed), our_seconds(cut, smashed, order, restarts)) for _ in range(options.pairs)
            ]
            ratios = [plain / ours for plain, ours in pairs]
            plain, ours = (median(side) for side in zip(*pairs, strict=True))
            print(
                f"  cut {cut} {order:12} {restarts} side by side  plain {plain:6.1f} s  ours {ours:5.1f} s  "
                f"{median(ratios):5.1f}x  ({min(ratios):.1f} to {max(ratios):.1f})",
                flush=True,
            )
    torch.set_num_threads(threads)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
