"""The adversary: an attack seated at the seam."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from torch import Tensor

from cutlayer.attack import Attack, Guess, TamperingAttack
from cutlayer.batch import Batch
from cutlayer.channel import Handler
from cutlayer.computing import Computing, Settings, exactly
from cutlayer.message import Kind, Message
from cutlayer.state import as_bytes, as_tensor, named, under
from cutlayer.stream import Stream
from cutlayer.threat import Knows, Row, View

T = TypeVar("T")


@dataclass
class Adversary:
    """A tap that lets an attack see or tamper, on a random stream of its own and with its own clock."""

    attack: Attack
    view: View
    stream: Stream
    guarded: Callable[[Message], Mapping[str, Knows]] = field(default=lambda message: {})
    """Tensors of a message that may be seen only by a threat model that declares them."""
    computing: Computing = field(default_factory=Computing)
    """As the party in its seat computes."""
    seconds: float = 0.0
    _honest: Settings | None = None
    """By which everybody else in this process computes, while the attack is at work."""
    _own: Settings | None = None
    """By which the attack computes, where it has set others."""

    def begin(self) -> None:
        """Hand the attack its view."""
        self._attend(lambda: self.attack.begin(self.view))

    def __call__(self, message: Message, honest: Handler) -> Message:
        """Pass ``message`` on to ``honest`` and its reply back, showing the attack what it may see of both."""
        if isinstance(self.attack, TamperingAttack):
            if message.kind not in self.attack.watches:
                return honest(message)
            return self._surrounded(self.attack, message, honest)
        self._show(message)
        reply = honest(message)
        self._show(reply)
        return reply

    def own_batch(self, batch: Batch) -> Batch:
        """What the party of this seat trains on in place of ``batch``; another count of samples is a ``ValueError``."""
        attack = self.attack
        if not isinstance(attack, TamperingAttack):
            return batch
        rows, labels = batch.rows.clone(), None if batch.labels is None else batch.labels.clone()
        own = self._attend(lambda: attack.own_batch(Batch(rows, batch.inputs.clone(), labels)))
        for what, given in (("samples", own.inputs), ("labels", own.labels)):
            if given is not None and len(given) != len(batch.inputs):
                raise ValueError(f"the attack trains on {len(given)} {what} in place of {len(batch.inputs)}")
        # By its rows the judge knows what has crossed when: they are not the attack's to tell.
        return replace(own, rows=batch.rows)

    def infer(self) -> Sequence[Guess]:
        """The attack's guesses, on the CPU as the truth is, wherever the attack has computed them."""
        guesses = self._attend(self.attack.infer)
        if not self.attack.anytime:
            self.view.close()
        return [replace(g, tensors={name: t.detach().cpu() for name, t in g.tensors.items()}) for g in guesses]

    def checkpoint(self) -> dict[str, Tensor] | None:
        """All that its guess will depend on, as tensors; None where the attack cannot tell."""
        own = self.attack.checkpoint()
        if own is None:
            return None
        spent = self.seconds + self.view.spared
        view = {"used": self.view.used, "notes": self.view.notes, "targets": self.view.targets, "seconds": spent}
        attack = {name: tensor.detach().cpu() for name, tensor in own.items()}
        told = {"view": as_tensor(json.dumps(view).encode())}
        return {**named("attack", attack), **named("stream", self.stream.checkpoint()), **told}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Stand where ``checkpoint`` was taken: after ``begin``, of a new adversary."""
        self._attend(lambda: self.attack.restore(under("attack", tensors)))
        self.stream.restore(under("stream", tensors))
        view = json.loads(as_bytes(tensors["view"]))
        # What it was granted anew to stand there was counted before.
        self.view.used = {Knows(what): count for what, count in view["used"].items()}
        # With what it was spared until then: what its beginning was spared anew is counted before, too.
        self.view.notes, self.seconds, self.view.spared = view["notes"], view["seconds"], 0.0
        self.view.targets = tuple(Row(Kind(kind), step, row) for kind, step, row in view["targets"])

    def _show(self, message: Message) -> None:
        if message.kind not in self.attack.watches:
            return
        shown, _ = self._divided(message)
        self._attend(lambda: self.attack.observe(shown))

    def _surrounded(self, attack: TamperingAttack, message: Message, honest: Handler) -> Message:
        shown, unseen = self._divided(message)
        unseen_reply: dict[str, Tensor] = {}

        def party(request: Message) -> Message:
            start = time.perf_counter()
            # A copy, as the party differentiates with respect to what it is given.
            with self._set_aside(), exactly(self.computing.device):
                # The party's passes keep casts of its weights, which its next step changes.
                torch.clear_autocast_cache()
                reply, hidden = self._divided(honest(_joined(request.copy(), unseen)))
            unseen_reply.update(hidden)
            # What the honest party takes is not the attack's time.
            self.seconds -= time.perf_counter() - start
            return reply

        return _joined(self._attend(lambda: attack.around(shown, party)), unseen_reply)

    def _divided(self, message: Message) -> tuple[Message, dict[str, Tensor]]:
        """A copy of what the attack may see of ``message``, and the rest."""
        guarded, declared = self.guarded(message), self.attack.threat.knows
        hidden = {
            name: tensor for name, tensor in message.tensors.items() if guarded.get(name, None) not in {None, *declared}
        }
        for knows in {guarded[name] for name in message if name in guarded and name not in hidden}:
            self.view.used[knows] = self.view.used.get(knows, 0) + 1
        seen = {name: tensor for name, tensor in message.tensors.items() if name not in hidden}
        return Message(message.kind, message.sender, message.step, seen).copy(), hidden

    def _attend(self, act: Callable[[], T]) -> T:
        start = time.perf_counter()
        narrow = self.computing.precision(training=True) if self.attack.narrow else nullcontext()
        with self._computing_its_own_way(), self.stream.taken_up(), narrow:
            result = act()
        self.seconds += time.perf_counter() - start
        return result

    @contextmanager
    def _computing_its_own_way(self) -> Iterator[None]:
        """What the attack sets of its process holds for itself alone, here and the next time."""
        self._honest = Settings.found()
        try:
            if self._own:
                self._own.put_back()
            yield
        finally:
            own = Settings.found()
            self._own = None if own == self._honest else own
            if self._own:
                self._honest.put_back()
            self._honest = None

    @contextmanager
    def _set_aside(self) -> Iterator[None]:
        """While the honest party is at work."""
        own = Settings.found()
        if self._honest is None or own == self._honest:
            yield
            return
        try:
            self._honest.put_back()
            yield
        finally:
            own.put_back()


def _joined(message: Message, unseen: Mapping[str, Tensor]) -> Message:
    return Message(message.kind, message.sender, message.step, {**unseen, **message.tensors})
