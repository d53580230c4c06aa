"""Cells of the backdoor grid per hour: this package's workers against a plain loop that has all cores to itself.

The plain loop is what one would write after the paper: honest and surrogate client, one server, Adam as it comes, one
process whose tensors are spread over all cores. Ours are the sessions of a grid, one process of one thread on each
core, with the attack at the server's seat. Both train LeNet or StripNet on noise of MNIST's form, batch 128, in turns
(plain, ours, plain, ours), so that what else runs hits both: two threads that wait for one another suffer more from it
than two processes, so only an idle machine gives a ratio worth quoting. A cell counts the training steps of 25,000
samples and 90 epochs; evaluation is left out on both sides. The variants of the plain loop say what was tried, on all
cores, too; *stacked* are three plain loops with alphas of their own, whose networks are computed as one. With a GPU
everything runs there, one session at a time.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from cutlayer.attack import Adversary
from cutlayer.attacks.surrogate_client import SurrogateClient
from cutlayer.batch import Batch
from cutlayer.channel import Direct
from cutlayer.computing import Computing
from cutlayer.handover import Keeper
from cutlayer.host import Act, LocalHost, perform
from cutlayer.model import split
from cutlayer.optimization import Optimization
from cutlayer.seating import make_party, make_protocol
from cutlayer.stream import Stream
from cutlayer.threat import Architecture, Knows, Seat, View

SHAPE, CLASSES, BATCH, ALPHA = (1, 28, 28), 10, 128, 0.09
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HOW = Computing(DEVICE, "bfloat16" if DEVICE == "cuda" else "", channels_last=True)
"""As `cutlayer reproduce backdoor` has it."""
STEPS_IN_A_CELL = 90 * -(-25000 // BATCH)
CORES = (os.cpu_count() or 1) if DEVICE == "cpu" else 1
VARIANTS = ("plain", "channels_last", "bf16", "bf16, channels_last")
ALPHAS = (0.5, 0.09, 0.04)
"""Of the cells that are stacked."""


def network(model: str) -> nn.Sequential:
    """With random weights."""
    built: nn.Sequential = importlib.import_module(f"cutlayer.models.{model}").build(SHAPE, CLASSES)
    return built.to(DEVICE)


def cut_of(model: str) -> int:
    """Cut 1 of the paper."""
    place: int = importlib.import_module(f"cutlayer.models.{model}").CUTS[0]
    return place


def samples() -> tuple[Tensor, Tensor]:
    """A batch of noise."""
    return torch.rand(BATCH, *SHAPE, device=DEVICE), torch.randint(CLASSES, (BATCH,), device=DEVICE)


def plain(model: str, variant: str = "plain") -> Callable[[], None]:
    """One training step of equation 1."""
    form = torch.channels_last if "channels_last" in variant else torch.contiguous_format
    (client, server), (surrogate, _) = (split(network(model), [cut_of(model)]) for _ in range(2))
    for part in (client, server, surrogate):
        part.to(memory_format=form)  # type: ignore[call-overload]
    optimizers = [torch.optim.Adam(part.parameters(), 1e-3, weight_decay=1e-4) for part in (client, server, surrogate)]
    (inputs, labels), (own, wanted) = samples(), samples()

    def step() -> None:
        for optimizer in optimizers:
            optimizer.zero_grad()
        with torch.autocast(DEVICE, torch.bfloat16, enabled="bf16" in variant):
            honest = server(client(inputs.contiguous(memory_format=form)))
            planted = server(surrogate(own.contiguous(memory_format=form)))
        loss = ALPHA * cross_entropy(honest, labels) + (1 - ALPHA) * cross_entropy(planted, wanted)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()

    return step


def stacked(model: str) -> Callable[[], None]:
    """One training step of as many cells as there are alphas."""
    parts = [split(network(model), [cut_of(model)]) for _ in ALPHAS]
    surrogates = [split(network(model), [cut_of(model)])[0] for _ in ALPHAS]
    columns = [[client for client, _ in parts], [server for _, server in parts], surrogates]
    client, server, surrogate = (_side_by_side(modules) for modules in columns)
    optimizers = [torch.optim.Adam(state.values(), 1e-3, weight_decay=1e-4) for _, state in (client, server, surrogate)]
    (inputs, labels), (own, wanted) = samples(), samples()
    alphas = torch.tensor(ALPHAS, device=DEVICE)

    def step() -> None:
        for optimizer in optimizers:
            optimizer.zero_grad()
        honest = _losses(server, vmap(client[0], (0, None))(client[1], inputs), labels)
        planted = _losses(server, vmap(surrogate[0], (0, None))(surrogate[1], own), wanted)
        (alphas * honest + (1 - alphas) * planted).sum().backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()

    return step


Stack = tuple[Callable[[dict[str, Tensor], Tensor], Tensor], dict[str, Tensor]]


def _side_by_side(modules: Sequence[nn.Module]) -> Stack:
    """Of modules without buffers: one call, and the weights of all."""
    state, _ = stack_module_state(modules)
    return lambda weights, values: functional_call(modules[0], weights, (values,)), state


def _losses(server: Stack, smashed: Tensor, labels: Tensor) -> Tensor:
    outputs = vmap(server[0])(server[1], smashed)
    return torch.stack([cross_entropy(one, labels) for one in outputs])


def ours(model: str) -> Callable[[], None]:
    """The same step between a client and a server with the attack at its seat."""
    protocol, whole, cut = make_protocol("vanilla"), network(model), cut_of(model)
    held = protocol.deal(whole, [cut])
    optimization = Optimization(amsgrad=False, weight_decay=1e-4)
    client, server = (make_party(seat, held[seat], optimization, 1, HOW) for seat in (Seat.CLIENT, Seat.SERVER))
    agreement = protocol.agree(whole, [cut], SHAPE)
    own, wanted = samples()
    grants = {
        Knows.OWN_PARTY: lambda: server,
        Knows.LABELS: lambda: None,
        Knows.PEER_ARCHITECTURE: lambda: Architecture(lambda part: split(network(model), [cut])[0], (SHAPE,), CLASSES),
        Knows.AUX_INPUTS: lambda: own.cpu().repeat(8, 1, 1, 1),
        Knows.AUX_LABELS: lambda: wanted.cpu().repeat(8),
    }
    attack = SurrogateClient(alpha=ALPHA)
    adversary = Adversary(attack, View(attack.threat, grants, (), "vanilla"), Stream(1))
    host = LocalHost(protocol, server, agreement, Keeper("server"), Direct, adversary)
    peer = protocol.checked(host.answer, agreement)
    inputs, labels = samples()
    return lambda: perform(Act.STEP, protocol, client, peer, Batch(torch.arange(BATCH), inputs, labels))


def seconds(step: Callable[[], None], steps: int) -> float:
    """Of one step, after a first one."""
    step()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / steps


def _worker(model: str, steps: int, gate: multiprocessing.synchronize.Barrier, found: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    torch.set_num_threads(1)
    step = ours(model)
    step()
    gate.wait()
    found.put(seconds(step, steps))


def on_all_cores(model: str, steps: int) -> float:
    """Seconds a step of each of as many sessions as there are cores, divided by their number."""
    context = multiprocessing.get_context("spawn")
    gate, found = context.Barrier(CORES), context.Queue()
    workers = [context.Process(target=_worker, args=(model, steps, gate, found)) for _ in range(CORES)]
    for worker in workers:
        worker.start()
    taken: list[float] = [found.get() for _ in workers]
    for worker in workers:
        worker.join()
    return max(taken) / CORES


def main() -> None:
    """A line for each model and variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["lenet", "stripnet"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    asked = parser.parse_args()
    torch.set_num_threads(CORES)
    for model in asked.models:
        steps = asked.steps if model == "lenet" else max(2, asked.steps // 10)
        pairs = [(seconds(plain(model), steps), on_all_cores(model, steps)) for _ in range(asked.repeats)]
        ratios = [slow / fast for slow, fast in pairs]
        hourly = [3600 / (fast * STEPS_IN_A_CELL) for _, fast in pairs]
        span = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"{model}: {median(hourly):.2f} cells an hour, {median(ratios):.2f} times the plain loop ({span})")
        for variant in VARIANTS[1:]:
            gains = [seconds(plain(model), steps) / seconds(plain(model, variant), steps) for _ in range(asked.repeats)]
            told(f"the plain loop in {variant}", gains)
        fast = "bf16, channels_last"
        told(f"its time against that of {fast}", [o / seconds(plain(model, fast), steps) for _, o in pairs])
        if not list(network(model).buffers()):
            slow = [seconds(plain(model), steps) for _ in range(asked.repeats)]
            told("stacked", [len(ALPHAS) * one / seconds(stacked(model), steps) for one in slow])


def told(what: str, gains: list[float]) -> None:
    """A line of ratios."""
    print(f"  {what}: {median(gains):.2f} times ({min(gains):.2f} to {max(gains):.2f})")


if __name__ == "__main__":
    main()
