"""Split training in one process against a plain PyTorch loop over the whole model, as ratios of time.

Both sides take the same batches of the same data through the same network with the same optimizer, in one process and
in turns: plain, split, split, plain. A ratio compares two neighbors, so that what else runs on the machine hits both;
printed is the median of the ratios and their range. ``same bits`` says whether both ended in the same weights: the
plain loop is then the same training, with nothing left out (ten clients have their samples in another order, and
bf16 rounds at the cut). The line ``plain`` is the plain loop against itself and
shows how much of a ratio is the machine's noise. Both keep freed memory at hand as every process of the package does,
which matters little to the plain loop.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cutlayer.channel import Direct, Loopback
from cutlayer.computing import LARGE, Computing, prepare, suited
from cutlayer.data.samples import Samples
from cutlayer.dataset import Dataset, Split
from cutlayer.exchange.handover import OptimizerState
from cutlayer.models import resnet18, unsplit_mnist
from cutlayer.optimization import Optimization
from cutlayer.seat.host import Carrier, LocalHost
from cutlayer.seat.making import make_party, make_protocol
from cutlayer.simulation.session import Session, TrainingPlan
from cutlayer.stream import generator
from cutlayer.threat import Seat

CARRIERS: dict[str, Carrier] = {"direct": Direct, "loopback": Loopback}
ADAM = Optimization()
SEED = 0
CLASSES = 10


@dataclass(frozen=True)
class Case:
    """One network on data of one shape, cut in one place."""

    name: str
    build: Callable[[], nn.Sequential]
    cut: str
    shape: tuple[int, ...]
    batch: int
    steps: int
    """Training steps in one measurement."""
    pairs: int
    """Measurements of each side."""
    threads: int = 1
    clients: int = 1
    """Who take turns of an epoch over equal parts of the data."""
    autocast: str = ""
    protocols: tuple[str, ...] = ("vanilla", "u_shaped")
    optimization: Optimization = ADAM
    turn: int = 0
    """Batches in a client's turn; 0: an epoch over its data."""
    optimizer_state: OptimizerState = OptimizerState.OWN
    aim: float = 0.0
    """The ratio that this is built for, of clock time without an encoding in between; 0: none is stated."""


LENET = Case("LeNet on 28x28x1", unsplit_mnist.build, "relu1", (1, 28, 28), 64, steps=10, pairs=25)
RESNET = Case("ResNet18 on 32x32x3", resnet18.build, "stem", (3, 32, 32), 16, steps=1, pairs=5)
CORES = os.cpu_count() or 1
# Where the processor has no instructions for bf16 the type only costs accuracy.
QUICK = suited(LARGE, "cpu")[1] == "bf16"
TEN = replace(
    RESNET,
    name="ResNet18 on 32x32x3, ten clients as in SLADV" + (", bf16" if QUICK else ""),
    batch=128 if QUICK else 16,
    steps=10,
    pairs=4,
    threads=CORES,
    clients=10,
    autocast="bfloat16" if QUICK else "",
    protocols=("u_shaped",),
    optimization=Optimization("sgd", 0.01, momentum=0.9),
    turn=1,
    optimizer_state=OptimizerState.CARRIED,
    aim=1.05 if QUICK else 0.0,
)
CASES = (LENET, replace(LENET, cut="pool1"), RESNET, replace(RESNET, threads=2), TEN)


class Plain:
    """The loop that PyTorch's tutorials write, over the whole model."""

    def __init__(self, case: Case, data: Split) -> None:
        self.case, self.data, self.epoch = case, data, 0
        self.model = whole(case).train()
        self.precision: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        if case.autocast:
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.precision = torch.autocast("cpu", getattr(torch, case.autocast))
        self.optimizer = case.optimization.make(self.model.parameters())

    def __call__(self) -> None:
        """One epoch."""
        self.epoch += 1
        loss_sum = 0.0
        order = torch.randperm(len(self.data), generator=generator(SEED, "shuffle", 0, self.epoch))
        for rows in torch.split(order, self.case.batch):
            self.optimizer.zero_grad()
            with self.precision:
                logits = self.model(self.data.take(rows))
            loss = cross_entropy(logits.float(), self.data.labels[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            loss_sum += loss.item()

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers by name."""
        return self.model.state_dict()


class Parted:
    """The same training as a session of one server and its clients."""

    def __init__(self, case: Case, data: Split, protocol_name: str, carrier: Carrier) -> None:
        protocol, model, self.epoch = make_protocol(protocol_name), whole(case), 0
        names = [*(f"{Seat.CLIENT}-{number}" for number in range(case.clients)), Seat.SERVER.value]
        *clients, server = (
            make_party(
                name,
                protocol.deal(model, [case.cut])[Seat(name.partition("-")[0])],
                case.optimization,
                SEED,
                Computing("cpu", case.autocast, channels_last=bool(case.autocast)),
            )
            for name in names
        )
        agreement = protocol.agree(model, [case.cut], case.shape)
        self.session = Session(
            protocol=protocol,
            agreement=agreement,
            clients=clients,
            shards=list(torch.arange(len(data)).tensor_split(case.clients)),
            host=LocalHost(protocol, server, agreement, carrier),
            samples=Samples(Dataset("made", data, data, tuple(map(str, range(CLASSES))))),
            plan=TrainingPlan(SEED, case.batch, case.turn, optimizer_state=case.optimizer_state),
            carrier=carrier,
        )
        self.parts = [*clients[-1].parts, *server.parts]

    def __call__(self) -> None:
        """One epoch."""
        self.epoch += 1
        self.session.train_epoch(self.epoch)

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers by name."""
        return {name: tensor for part in self.parts for name, tensor in part.state_dict().items()}


def whole(case: Case) -> nn.Sequential:
    """The case's network with the same initial weights each time."""
    torch.manual_seed(SEED)
    return case.build()


def made(case: Case) -> Split:
    """Random images: training takes the same time on them as on others."""
    draw, count = generator(SEED, "images"), case.batch * case.steps
    images = torch.randint(256, (count, *case.shape), generator=draw, dtype=torch.uint8)
    return Split(images, torch.randint(CLASSES, (count,), generator=draw))


def timed(run: Callable[[], None]) -> tuple[float, float]:
    """Seconds on the clock and seconds of processor time."""
    clock, processor = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - clock, time.process_time() - processor


def compare(case: Case, name: str, plain: Plain, other: Plain | Parted) -> None:
    """Print one line: ``other`` over ``plain``."""
    for run in (plain, other):
        run()
    pairs = []
    for number in range(case.pairs):
        # By turns each is the first: a machine that slows down slows both.
        if number % 2:
            behind = timed(other)
            pairs.append((timed(plain), behind))
        else:
            pairs.append((timed(plain), timed(other)))
    clock = [after[0] / before[0] for before, after in pairs]
    processor = [after[1] / before[1] for before, after in pairs]
    milliseconds = 1e3 * median(before[0] for before, _ in pairs) / case.steps
    extra = 1e3 * median(after[0] - before[0] for before, after in pairs) / case.steps
    own = other.weights()
    same = all(torch.equal(tensor, own[weight]) for weight, tensor in plain.weights().items())
    print(
        f"{name:<20}{median(clock):>7.3f}  {min(clock):.3f}-{max(clock):.3f}{median(processor):>11.3f}"
        f"{milliseconds:>15.2f}{extra:>10.2f}  {'yes' if same else 'NO'}",
        flush=True,
    )


def main() -> None:
    """Measure every case, or those whose name holds the argument."""
    parser = argparse.ArgumentParser(description="Split training against a plain loop over the whole model.")
    parser.add_argument("only", nargs="?", default="", help="part of a case's name")
    parser.add_argument("--pairs", type=int, help="measurements of each side")
    given = parser.parse_args()
    for case in CASES:
        if given.only.lower() not in case.name.lower():
            continue
        case = replace(case, pairs=given.pairs or case.pairs)
        prepare(case.threads)
        data = made(case)
        print(
            f"\n{case.name}, batch {case.batch}, cut after {case.cut}, threads {case.threads} of {os.cpu_count()}, "
            f"{case.pairs} pairs of {case.steps} steps\n"
            f"{'':<20}{'time':>7}  {'min-max':<11}{'cpu time':>11}{'plain ms/step':>15}{'extra ms':>10}  same bits"
        )
        if case.aim:
            print(f"aim: at most {case.aim:g}, direct")
        compare(case, "plain", Plain(case, data), Plain(case, data))
        for protocol in case.protocols:
            for carrier, kind in CARRIERS.items():
                compare(case, f"{protocol} {carrier}", Plain(case, data), Parted(case, data, protocol, kind))


if __name__ == "__main__":
    main()
