"""A party: parts of the model, who trains them, and what really went in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cutlayer import state
from cutlayer.computing import Computing
from cutlayer.message import Kind, detached
from cutlayer.stash import Stash, stashed
from cutlayer.stream import derive, drawing


@dataclass(frozen=True, slots=True)
class Pending:
    """A forward pass that waits for its backward half."""

    step: int
    inputs: Tensor
    output: Tensor


@final
@dataclass
class Party:
    """One participant's parts of the model, its optimizer, its random stream, its ledger."""

    name: str
    parts: nn.ModuleList
    """One part, or the first and the last one where a client keeps both."""
    optimizer: Optimizer
    schedule: Callable[[int], float]
    """Learning rate by step: a pure function in the agreed plan."""
    seed: int
    """The root of this party's own stream."""
    computing: Computing = field(default_factory=Computing)
    """Of forward and backward passes; what crosses the boundary stays float32."""
    labels: Tensor | None = None
    """int64 by row number, where this party looks labels up itself (it answers and holds them)."""
    step: int = 0
    """Training steps completed."""
    queries: int = 0
    """Predictions asked for."""
    pending: Pending | None = None
    predicted: Tensor | None = None
    """The last predictions this party made or was given: logits [n, classes]."""
    losses: list[float] = field(default_factory=list)
    """The loss of each training step, at a party that computes it or is told."""
    ledger: dict[tuple[Kind, int], Tensor] = field(default_factory=dict)
    """Which rows really went into which message; only the judge's side reads it."""
    _fresh: bool = True
    _ahead: Stash | None = None
    """A forward pass made, or to be made, with the weights of one step ago."""
    _used: Stash | None = None
    """The one that this step's backward pass goes through."""

    @property
    def device(self) -> torch.device:
        """Where its parts are."""
        return torch.device(self.computing.device)

    def forward(self, inputs: Tensor, part: int = 0, training: bool = True, stream: str = "train") -> Tensor:
        """The output of one part. In training it draws from (seed, stream, step, part) and keeps what backward needs.

        A malicious party that passes more through its part in a step names another ``stream`` for that.
        """
        module = self.parts[part]
        if module.training != training:
            module.train(training)
        if not training:
            with torch.no_grad(), self.computing.precision():
                output: Tensor = module(self.computing.bring(inputs))
            return output.float()
        if part == 0:
            # A step that broke off may have left gradients behind.
            self._fresh = True
            self._used, self._ahead = self._ahead, None
            if self._used and self._used.step == self.step:
                return self._made(self._used, inputs)
            self._used = None
        return self._drawn(module, inputs, self.step, part, stream)

    def look_ahead(self, inputs: Tensor) -> None:
        """Make the first part's training forward pass of the next step now, before this step's update.

        That step's ``forward`` then gives its output whatever the weights are by then, and its gradient, that of the
        weights as they are now, is applied to the weights of then.
        """
        if not self.parts[0].training:
            self.parts[0].train()
        self._ahead = stashed(self.parts[0], self.step + 1)
        self._made(self._ahead, inputs)

    def _made(self, ahead: Stash, inputs: Tensor) -> Tensor:
        if ahead.output is None:
            ahead.output = self._drawn(lambda inputs: ahead.run(self.parts[0], inputs), inputs, ahead.step, 0)
        return ahead.output

    def _drawn(
        self, compute: Callable[[Tensor], Tensor], inputs: Tensor, step: int, part: int, stream: str = "train"
    ) -> Tensor:
        # What is to have a slope comes from another party, or from one's own earlier part.
        inputs = self.computing.received(inputs) if inputs.requires_grad else self.computing.bring(inputs)
        with drawing(derive(self.seed, stream, step, part), self.device), self.computing.precision():
            return compute(inputs).float()

    def backward(self, output: Tensor, grad: Tensor | None = None) -> None:
        """Add the gradients of one backward pass; ``grad`` is the gradient at ``output``, or ``None`` at a loss."""
        if self._fresh:
            # What zero_grad does, without the profiler record that every step of every party would pay for.
            for group in self.optimizer.param_groups:
                for weight in group["params"]:
                    weight.grad = None
            self._fresh = False
        # A first part without weights has nothing to learn from its gradient.
        if output.requires_grad:
            output.backward(None if grad is None else self.computing.bring(grad))  # type: ignore[no-untyped-call]
        if self._used:
            self._used.settle(self.parts[0])

    def apply(self) -> None:
        """One optimizer step on the gradients added since the last one; completes the training step."""
        rate = self.schedule(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.step += 1
        self.pending = self._used = None
        self._fresh = True

    def update(self, output: Tensor, grad: Tensor | None = None) -> None:
        """``backward`` and ``apply``: the second half of a step with one part."""
        self.backward(output, grad)
        self.apply()

    def gradients(self) -> dict[str, Tensor]:
        """Copies of the gradients of this party's own weights in its latest backward passes, by weight name."""
        return {name: detached(p.grad) for name, p in self.parts.named_parameters() if p.grad is not None}

    def weights(self) -> dict[str, Tensor]:
        """Copies of parameters and buffers, by name."""
        return {name: detached(tensor) for name, tensor in self.parts.state_dict().items()}

    def optimizer_state(self) -> dict[str, Tensor]:
        """Copies of the optimizer's tensors, named ``<parameter number>.<name>``."""
        return state.optimizer_state(self.optimizer)

    def load_optimizer_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Replace the optimizer's state by ``tensors`` (empty: as freshly made)."""
        state.restore_optimizer(self.optimizer, tensors)

    def checkpoint(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, as tensors for a safetensors file.

        Of a forward pass made ahead it holds what it was made from: ``restore`` lets it be made again.
        """
        weights, stash = self.weights(), {}
        if self._ahead:
            stash = state.named("stash", {name: detached(weight) for name, weight in self._ahead.weights.items()})
            buffers = {f"0.{name}": detached(buffer) for name, buffer in self._ahead.buffers.items()}
            weights |= {name: buffer for name, buffer in buffers.items() if name in weights}
        return {
            **state.named("weights", weights),
            **state.named("optimizer", self.optimizer_state()),
            **stash,
            "step": torch.tensor([self.step, self.queries]),
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Stand where ``checkpoint`` was taken. Missing or unknown weights are a ``RuntimeError`` from torch."""
        self.parts.load_state_dict(state.under("weights", tensors))
        self.load_optimizer_state(state.under("optimizer", tensors))
        self.step, self.queries = (int(number) for number in tensors["step"])
        self.pending = self._used = None
        stash = state.under("stash", tensors)
        self._ahead = stashed(self.parts[0], self.step, stash) if stash else None
        self._fresh = True
