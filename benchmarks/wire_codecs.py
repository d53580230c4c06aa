"""Wire codecs: bytes of a training step's two frames beside plain ones, what packing costs, and what a link gains.

A step of `vanilla` at three cuts: a request with smashed data and labels, a reply with the gradient and the loss. Time
is that of both ends together (encode, pack, decode, unpack) for both frames, measured in turns with the plain step
(plain, codec, plain, codec); printed is the median. The link is the named `dsl`: what a step gains there stands beside
what packing costs.
"""

from __future__ import annotations

import time
from statistics import median

import torch

from cutlayer.channel import Loopback
from cutlayer.compression import Compression, PackedWire
from cutlayer.defenses.half_precision import HalfPrecision
from cutlayer.defenses.int8_quantization import Int8Quantization
from cutlayer.link import NAMED
from cutlayer.message import Kind, Message
from cutlayer.stream import generator
from cutlayer.tap import wrap
from cutlayer.wire import Frame, Spec

SHAPES = {
    "unsplit_mnist after pool1": (64, 8, 12, 12),
    "ResNet18 after stem": (32, 64, 32, 32),
    "ResNet18 at the end": (32, 512),
}
CODECS: dict[str, Compression | None] = {
    "plain": None,
    "float16": HalfPrecision(),
    "bfloat16": HalfPrecision(dtype="bfloat16"),
    "int8": Int8Quantization(),
}
WIRE = {Kind.TRAIN: Frame(request=("smashed", "labels"), reply=("grad", "loss"))}
PAIRS = 15
LINK = "dsl"


class Step:
    """One exchange of a training step over bytes, with a codec at both ends or without."""

    def __init__(self, shape: tuple[int, ...], codec: Compression | None) -> None:
        draw = generator(0, "step")
        self._request = Message(
            Kind.TRAIN,
            "client-0",
            1,
            {"smashed": torch.rand(shape, generator=draw), "labels": torch.randint(10, shape[:1], generator=draw)},
        )
        reply = self._request.reply("server", grad=torch.rand(shape, generator=draw) * 1e-4, loss=torch.ones(()))
        agreed = dict.fromkeys(("smashed", "grad", "features", "features_grad"), Spec(shape[1:]))
        agreement = {**agreed, "labels": Spec((), torch.int64, below=10), "loss": Spec((), batched=False)}
        packed = PackedWire(codec, WIRE, agreement) if codec else None
        self.channel = Loopback(wrap(lambda request: reply, packed.answering) if packed else lambda request: reply)
        self._asking = wrap(self.channel, packed.asking) if packed else self.channel

    def seconds(self) -> float:
        """Of processor time for one exchange."""
        start = time.process_time()
        self._asking(self._request)
        return time.process_time() - start


def main() -> None:
    """Print a table for each cut."""
    torch.set_num_threads(1)
    for place, shape in SHAPES.items():
        steps = {name: Step(shape, codec) for name, codec in CODECS.items()}
        times: dict[str, list[float]] = {name: [] for name in steps}
        for step in steps.values():
            step.seconds()
        for _ in range(PAIRS):
            for name, step in steps.items():
                times[name].append(step.seconds())
        meters = {name: step.channel.meter for name, step in steps.items()}
        trips = meters["plain"].round_trips[Kind.TRAIN]
        link, plain = NAMED[LINK], meters["plain"]
        on_link = {
            name: link.seconds(1, meter.sent // trips, meter.received // trips) for name, meter in meters.items()
        }
        print(f"\n{place}, {list(shape)}, threads 1, {PAIRS} rounds")
        print(
            f"{'':<10}{'bytes':>12}{'of plain':>10}{'ms':>9}{'ms more':>9}{'ms on ' + LINK:>12}{'ms gained there':>17}"
        )
        for name, meter in meters.items():
            size, ms = (meter.sent + meter.received) // trips, 1e3 * median(times[name])
            more, gained = ms - 1e3 * median(times["plain"]), 1e3 * (on_link["plain"] - on_link[name])
            share = (meter.sent + meter.received) / (plain.sent + plain.received)
            print(
                f"{name:<10}{size:>12,}{share:>10.1%}{ms:>9.2f}{more:>9.2f}{1e3 * on_link[name]:>12.0f}{gained:>17.0f}"
            )


if __name__ == "__main__":
    main()
