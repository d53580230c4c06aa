"""Cells of the backdoor grid per hour: this package's workers against a plain loop that has all cores to itself.

The plain loop is what one would write after the paper: honest and surrogate client, one server, Adam as it comes, one
process whose tensors are spread over all cores. Ours are the sessions of a grid with the attack at the server's seat,
computed as the paper's grid computes them: in channels_last, a small network in float32, one process of one thread on
each core, a large one over all cores, in bf16 where the machine is quick at that. Both train on noise of MNIST's form,
batch 128, in turns (plain, ours, plain, ours), so that what else runs hits both: two threads that wait for one another
suffer more from it than two processes, so only an idle machine gives a ratio worth quoting. A cell counts the training
steps of 25,000 samples and 90 epochs; evaluation is left out on both sides. The variants of the plain loop say what was
tried, on all cores, too; *stacked* are three plain loops with alphas of their own, whose networks are computed as one.
With a GPU everything runs there, one session at a time.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from cutlayer.adversary import Adversary
from cutlayer.attacks.surrogate_client import SurrogateClient
from cutlayer.batch import Batch
from cutlayer.channel import Direct, Loopback
from cutlayer.computing import Computing, computing, suited
from cutlayer.model import flop_count, split
from cutlayer.optimization import Optimization
from cutlayer.papers.backdoor.setup import HOW
from cutlayer.seat.host import Act, Carrier, LocalHost, perform
from cutlayer.seat.making import make_party, make_protocol
from cutlayer.stream import Stream
from cutlayer.threat import Architecture, Knows, Seat, View

SHAPE, CLASSES, BATCH, ALPHA = (1, 28, 28), 10, 128, 0.09
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
STEPS_IN_A_CELL = 90 * -(-25000 // BATCH)
CORES = (os.cpu_count() or 1) if DEVICE == "cpu" else 1
BF16 = "bf16, channels_last"
VARIANTS = ("plain", "channels_last", "bf16", BF16)
ALPHAS = (0.5, 0.09, 0.04)
"""Of the cells that are stacked."""


def network(model: str) -> nn.Sequential:
    """With random weights."""
    built: nn.Sequential = importlib.import_module(f"cutlayer.models.{model}").build(SHAPE, CLASSES)
    return built.to(DEVICE)


def cut_of(model: str, number: int) -> int:
    """The place of the paper's cut ``number``, from 1."""
    place: int = importlib.import_module(f"cutlayer.models.{model}").CUTS[number - 1]
    return place


def how(model: str) -> tuple[Computing, int]:
    """As the paper's grid computes the network where nothing is asked for, and on how many threads."""
    threads, precision, _ = suited(flop_count(network(model).cpu(), SHAPE), DEVICE)
    return computing(DEVICE, precision, HOW["memory_format"]), min(threads, CORES)


def samples() -> tuple[Tensor, Tensor]:
    """A batch of noise."""
    return torch.rand(BATCH, *SHAPE, device=DEVICE), torch.randint(CLASSES, (BATCH,), device=DEVICE)


def plain(model: str, cut: int, variant: str = "plain") -> Callable[[], None]:
    """One training step of equation 1."""
    form = torch.channels_last if "channels_last" in variant else torch.contiguous_format
    (client, server), (surrogate, _) = (split(network(model), [cut]) for _ in range(2))
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


def stacked(model: str, cut: int) -> Callable[[], None]:
    """One training step of as many cells as there are alphas."""
    parts = [split(network(model), [cut]) for _ in ALPHAS]
    surrogates = [split(network(model), [cut])[0] for _ in ALPHAS]
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


def ours(model: str, cut: int, carrier: Carrier = Direct) -> Callable[[], None]:
    """The same step between a client and a server with the attack at its seat."""
    protocol, whole, (computed, _) = make_protocol("vanilla"), network(model), how(model)
    held = protocol.deal(whole, [cut])
    optimization = Optimization(amsgrad=False, weight_decay=1e-4)
    client, server = (make_party(seat, held[seat], optimization, 1, computed) for seat in (Seat.CLIENT, Seat.SERVER))
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
    adversary = Adversary(attack, View(attack.threat, grants, (), protocol.layout("vanilla")), Stream(1))
    host = LocalHost(protocol, server, agreement, carrier, adversary)
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


def session(model: str, cut: int, steps: int) -> None:
    """One of several processes: print a line when all is ready, and once a line has come the seconds of a step."""
    torch.set_num_threads(how(model)[1])
    step = ours(model, cut)
    step()
    print(flush=True)
    input()
    print(seconds(step, steps))


def on_all_cores(model: str, cut: int, steps: int) -> float:
    """Seconds a step of each of as many sessions as the cores have room for, divided by their number."""
    command = [sys.executable, __file__, "--session", model, str(cut), str(steps)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(CORES // how(model)[1])
    ]
    for worker in workers:
        assert worker.stdout
        worker.stdout.readline()
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("\n")
        worker.stdin.flush()
    return max(float(worker.communicate()[0]) for worker in workers) / len(workers)


def main() -> None:
    """Some lines for each model and cut."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["lenet", "stripnet", "resnet9"])
    parser.add_argument("--cuts", nargs="+", type=int, default=[1, 3], choices=[1, 2, 3])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--session", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.session:
        model, cut, steps = asked.session
        session(model, int(cut), int(steps))
        return
    torch.set_num_threads(CORES)
    for model in asked.models:
        steps = asked.steps if model == "lenet" else max(2, asked.steps // 10)
        for number in asked.cuts:
            compare(model, number, asked.repeats, steps)


def compare(model: str, number: int, repeats: int, steps: int) -> None:
    """Print how many cells an hour, and what else was tried; the variants at the first cut alone."""
    cut = cut_of(model, number)

    def taken(variant: str = "plain") -> float:
        return seconds(plain(model, cut, variant), steps)

    rounds = [(taken(), on_all_cores(model, cut, steps), taken(BF16)) for _ in range(repeats)]
    ratios = [slow / fast for slow, fast, _ in rounds]
    hourly = [3600 / (fast * STEPS_IN_A_CELL) for _, fast, _ in rounds]
    span = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(
        f"{model}, cut {number}: {median(hourly):.2f} cells an hour, {median(ratios):.2f} times the plain loop ({span})"
    )
    told(f"its time against that of the plain loop in {BF16}", [fast / narrow for _, fast, narrow in rounds])
    if number > 1:
        return
    for variant in VARIANTS[1:]:
        told(f"the plain loop in {variant}", [taken() / taken(variant) for _ in range(repeats)])
    told("one of ours on all cores", [taken() / seconds(ours(model, cut), steps) for _ in range(repeats)])
    told("that one as bytes", [taken() / seconds(ours(model, cut, Loopback), steps) for _ in range(repeats)])
    if not list(network(model).buffers()):
        together = [seconds(stacked(model, cut), steps) for _ in range(repeats)]
        told("stacked", [len(ALPHAS) * taken() / one for one in together])


def told(what: str, gains: list[float]) -> None:
    """A line of ratios."""
    print(f"  {what}: {median(gains):.2f} times ({min(gains):.2f} to {max(gains):.2f})")


if __name__ == "__main__":
    main()
