"""Label inference: the label whose gradient on a clone of the client's last part is closest to the observed one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, one_hot

from cutlayer.attack import Attack, Guess, Setting
from cutlayer.message import Kind, Message
from cutlayer.threat import Goal, Knows, NotOfferedError, Row, Seat, ThreatModel, View

_BUDGET = 1 << 26  # numbers: how many of the observed gradients are kept for clustering
_STACK = (
    1 << 22
)  # numbers: how many gradients of weights are made at once; memory that small is used again, not returned
_COORDINATES = 1 << 16  # of a batch's weight gradient, matched at most; more do not sharpen the answer
_ROUNDS = 100  # of k-means at most: it ends where no center moves
_RIDGE = 1e-6  # of the mean square: keeps the least squares solvable when a batch is larger than the part is wide


@dataclass
class LabelInference(Attack):
    """Erdogan, Kupcu, Cicek: UnSplit (WPES 2022), equation 3 and algorithm 2.

    For each candidate label, the gradient of the cross-entropy on a randomly initialized clone of the client's last
    part is compared with the observed gradient; the smallest mean squared error wins, and the clone takes one training
    step on the label it inferred. Departures from the paper:

    * Equation 3 compares all weights of the client's part, the published code one tensor, the first. They differ from
      depth 2 on: the first tensor alone gives chance (as the paper's table 3 prints), all of them still give the label.
      ``match`` is ``all`` by default, as the equation says.
    * The candidates' gradients come from one batched backward pass, as the gradient of the cross-entropy at the logits
      is softmax minus one-hot; the values are those of one pass per candidate.
    * The paper reads gradients of the client's own weights, which no protocol sends: ``observes="activations"`` uses
      what the wire gives, the gradient at the activations that the server sent.
    * Batches larger than one, which the paper leaves open. From activations every sample has its own gradient. From
      weights there is only the batch's mean: its least squares decomposition into the gradients of single logits of
      single samples gives each sample's gradient at the logits, which only its own label makes negative.
      ``search="decomposition"`` does this for single samples too. It does not depend on how well the client's part is
      trained; equation 3 does, as the clone's confidence enters it.
    * ``observes="activations"`` also groups the returned gradients by direction, with no clone and no label names; only
      where those of all targets can be kept.
    """

    paper: ClassVar[str] = "Erdogan, Kupcu, Cicek: UnSplit (WPES 2022), section 4.3"
    plain: ClassVar[str] = (
        "A curious server that follows the protocol infers the labels, which never leave the client. It knows which "
        "layers the client's last part has, not their weights. As published, it also sees the gradients of the "
        "client's own weights after each step, which no protocol sends; with observes=activations it sees only the "
        "messages."
    )
    deciding = ("", "matching", "clustering")
    setting: ClassVar[Setting] = Setting(
        "u_shaped", when="before", target_kind="train", targets=100, target_batch=1, cuts=1
    )

    observes: Literal["weights", "activations"] = "weights"
    """``weights``: gradients of the client's own weights, as published. ``activations``: what the wire gives."""
    match: Literal["first", "last", "all"] = "all"
    """Which of the weights' gradients are compared: the first or the last weight tensor, or all parameters."""
    search: Literal["candidates", "decomposition"] = "candidates"
    """From weights, batch size 1: the nearest of all candidates' gradients, as published, or the decomposition that
    larger batches need."""
    learning_rate: float = 1e-3
    """Of the clone's Adam (amsgrad)."""
    restarts: int = 10
    """How often the clustering starts anew; the tightest clusters are kept."""

    @property
    def threat(self) -> ThreatModel:
        """An honest-but-curious server; the weights' gradients only where it observes them."""
        knows = {Knows.PEER_ARCHITECTURE} | ({Knows.PEER_GRADIENTS} if self.observes == "weights" else set())
        return ThreatModel(Seat.SERVER, frozenset({Goal.LABELS, Goal.MODEL}), frozenset(knows))

    def idle(self) -> Mapping[str, str]:
        """What concerns the other thing that it could observe."""
        of_others = ("restarts",) if self.observes == "weights" else ("match", "search")
        return dict.fromkeys(of_others, f"it observes {self.observes}")

    def begin(self, view: View) -> None:
        """Build the clone. ``NotOfferedError`` where there is nothing to infer or nothing to compare."""
        layout = view.layout
        if layout.labels_at is Seat.SERVER:
            told = "the client sends its labels to the server: nothing is left to infer"
            raise NotOfferedError(f"in {view.protocol} {told}")
        if layout.owners[-1] is Seat.SERVER:
            raise NotOfferedError(f"in {view.protocol} the last part is the server's own: there is none to clone")
        architecture = view.peer_architecture()
        self._view = view
        self._classes = architecture.classes
        self._part = len(architecture.input_shapes) - 1
        # A client with one part gets smashed data; one with two sends it, and gets features for its last part.
        self._wire = ("smashed", "grad") if self._part == 0 else ("features", "features_grad")
        self._clone = architecture.build(self._part).train()
        self._parameters = dict(self._clone.named_parameters())
        self._names = self._compared()
        if self.observes == "weights" and not self._names:
            raise NotOfferedError("the client's last part has no weights whose gradients could be compared")
        self._optimizer = None
        if self._parameters:
            self._optimizer = torch.optim.Adam(self._parameters.values(), lr=self.learning_rate, amsgrad=True)
        self._entries: Tensor | None = None
        self._asked: dict[int, Tensor] = {}
        self._inferred: dict[int, Tensor] = {}
        self._gradients: OrderedDict[int, Tensor] = OrderedDict()
        self._kept = 0

    def observe(self, message: Message) -> None:
        """Keep the inputs of the client's last part; with their gradient, infer the labels and train the clone."""
        inputs_name, grad_name = self._wire
        if message.kind is Kind.PREDICT:
            if inputs_name in message:
                self._asked[message.step] = message[inputs_name]
            return
        if inputs_name in message:
            self._inputs = message[inputs_name]
        if grad_name in message:
            self._clone.to(self._inputs.device)
            inputs = self._inputs.requires_grad_()
            logits = self._clone(inputs)
            if self.observes == "weights":
                labels = self._from_weights(logits)
            else:
                labels = self._from_activations(logits, inputs, message[grad_name])
                self._keep(message.step, message[grad_name])
            self._inferred[message.step] = labels.cpu()
            self._train(logits, labels)

    def infer(self) -> Sequence[Guess]:
        """The labels of the targets, and the clone as the stolen last part."""
        rows = tuple(self._view.targets)
        matched = torch.stack([self._label(row) for row in rows]) if rows else torch.zeros(0, dtype=torch.int64)
        name = "matching" if self.observes == "activations" else ""
        guesses = [Guess(Goal.LABELS, {"labels": matched}, rows, name=name)]
        if self.observes == "activations" and rows:
            guesses += self._clustered(rows)
        stolen = {key: value.detach().cpu().clone() for key, value in self._clone.state_dict().items()}
        return [*guesses, Guess(Goal.MODEL, stolen, part=self._part)]

    def _clustered(self, rows: Sequence[Row]) -> Sequence[Guess]:
        """Groups of all targets, or none: a guess about some of them would be one about others than were asked for."""
        known = sum(row.kind is not Kind.PREDICT and row.step in self._gradients for row in rows)
        if known < len(rows):
            why = f"only the newest {_BUDGET:,} numbers are kept, with gradients of {known} of {len(rows)} targets"
            self._view.note("clustering", f"left out: {why}")
            return ()
        points = torch.stack([self._gradients[row.step][row.row].flatten() for row in rows])
        groups = clusters(normalize(points), self._classes, self.restarts)
        return [Guess(Goal.LABELS, {"labels": groups}, tuple(rows), name="clustering", relabeled=True)]

    def _compared(self) -> list[str]:
        """The names of the parameters to compare; only matrices and kernels count as weight tensors."""
        tensors = [name for name, parameter in self._parameters.items() if parameter.ndim > 1]
        if self.match == "all" or not tensors:
            return list(self._parameters)
        return [tensors[0] if self.match == "first" else tensors[-1]]

    def _from_weights(self, logits: Tensor) -> Tensor:
        gradients = self._view.peer_gradients()
        observed = [gradients[f"{self._part}.{name}"].flatten().to(logits) for name in self._names]
        if len(logits) > 1 or self.search == "decomposition":
            return self._decomposed(logits, torch.cat(observed))
        distances = []
        for stack in self._gradients_for(logits, _candidates(logits)):
            # Summed, not averaged: that does not change which is smallest.
            apart = [torch.cdist(mine, seen[None]).square() for mine, seen in zip(stack, observed, strict=True)]
            distances.append(torch.stack(apart).sum(0))
        return torch.cat(distances).argmin()[None]

    def _decomposed(self, logits: Tensor, observed: Tensor) -> Tensor:
        """Labels [n] from the mean gradient of n samples."""
        if self._entries is None:
            self._entries = torch.randperm(len(observed))[:_COORDINATES].to(logits.device)
        units = torch.eye(logits.numel(), device=logits.device).view(-1, *logits.shape) / len(logits)
        basis = torch.cat([torch.cat(stack, 1)[:, self._entries] for stack in self._gradients_for(logits, units)])
        gram = basis.double() @ basis.double().T
        ridge = _RIDGE * gram.diagonal().mean().clamp_min(torch.finfo(gram.dtype).tiny)
        gram.diagonal().add_(ridge)
        at_logits: Tensor = torch.linalg.solve(gram, basis.double() @ observed[self._entries].double())
        return at_logits.view_as(logits).argmin(1)

    def _gradients_for(self, logits: Tensor, directions: Tensor) -> Iterator[list[Tensor]]:
        """The compared weights' gradients, each flat [some, entries], for gradients at the logits [k, n, classes]."""
        weights = [self._parameters[name] for name in self._names]
        room = max(1, _STACK // sum(weight.numel() for weight in weights))
        for some in torch.split(directions, room):
            found = torch.autograd.grad(logits, weights, some, retain_graph=True, is_grads_batched=True)
            yield [gradient.flatten(1) for gradient in found]

    def _from_activations(self, logits: Tensor, inputs: Tensor, grad: Tensor) -> Tensor:
        """Labels [n]: every sample has a gradient of its own, the n-th part of that of its own loss."""
        (candidates,) = torch.autograd.grad(
            logits, inputs, _candidates(logits) / len(logits), retain_graph=True, is_grads_batched=True
        )
        distances: Tensor = (candidates - grad).square().flatten(2).mean(2)
        return distances.argmin(0)

    def _train(self, logits: Tensor, labels: Tensor) -> None:
        if self._optimizer is None:
            return
        self._optimizer.zero_grad()
        cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def _keep(self, step: int, grad: Tensor) -> None:
        """Keep the newest gradients: targets come last."""
        self._gradients[step] = grad
        self._kept += grad.numel()
        while self._kept > _BUDGET and len(self._gradients) > 1:
            self._kept -= self._gradients.popitem(last=False)[1].numel()

    def _label(self, row: Row) -> Tensor:
        """What was inferred in the row's step; what the clone predicts where the row never had a gradient."""
        if row.kind is not Kind.PREDICT:
            return self._inferred[row.step][row.row]
        with torch.no_grad():
            logits: Tensor = self._clone.eval().cpu()(self._asked[row.step].cpu())
        return logits[row.row].argmax()


def _candidates(logits: Tensor) -> Tensor:
    """The cross-entropy's gradient at ``logits`` [n, classes] for each label given to all n: [classes, n, classes]."""
    labels = torch.eye(logits.shape[1], device=logits.device)
    return logits.detach().softmax(1) - labels[:, None]


def clusters(points: Tensor, count: int, restarts: int) -> Tensor:
    """k-means with k-means++ starts: the group, below ``count``, of each of ``points`` [n, features], int64 [n]."""
    count = min(count, len(points))
    best, tightest = torch.zeros(len(points), dtype=torch.int64), float("inf")
    for _ in range(restarts):
        centers = _spread(points, count)
        for _ in range(_ROUNDS):
            groups = torch.cdist(points, centers).argmin(1)
            members = one_hot(groups, count).to(points)
            sizes = members.sum(0)
            # A group that lost its last point keeps its center.
            moved = torch.where(sizes[:, None] > 0, members.T @ points / sizes.clamp_min(1)[:, None], centers)
            if torch.equal(moved, centers):
                break
            centers = moved
        spread = float((points - centers[groups]).square().sum())
        if spread < tightest:
            best, tightest = groups.cpu(), spread
    return best


def _spread(points: Tensor, count: int) -> Tensor:
    """Starting centers, each drawn with a chance that grows with the squared distance to those before it."""
    chosen = [int(torch.randint(len(points), ()))]
    for _ in range(count - 1):
        distances = torch.cdist(points, points[chosen]).amin(1).square()
        weights = distances if float(distances.sum()) > 0 else torch.ones_like(distances)
        chosen.append(int(torch.multinomial(weights.cpu(), 1)))
    return points[chosen]
