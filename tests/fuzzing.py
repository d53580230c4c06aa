"""Malformed frames, and everything in front of which they arrive: what a hostile peer can reach with bytes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from cutlayer.batch import Batch
from cutlayer.codec import FrameError, decode, encode
from cutlayer.compression import Compression, PackedWire
from cutlayer.defenses.half_precision import HalfPrecision
from cutlayer.defenses.int8_quantization import Int8Quantization
from cutlayer.deploying.checkpoint import Mark, Shelf
from cutlayer.deploying.durable import Durable
from cutlayer.deploying.turn import Turn
from cutlayer.exchange.handover import OptimizerState, give, take_over
from cutlayer.message import Kind, Message
from cutlayer.party import Party
from cutlayer.tap import wrap
from cutlayer.transport.duplex import control
from cutlayer.wire import WireError
from tests.parties import Pair, pair

EXPECTED = (FrameError, WireError)
CUTS: Mapping[str, tuple[int, ...]] = {"vanilla": (0,), "u_shaped": (0, 2), "label_only": (0,)}
SHAPE, CLASSES = (1, 4, 4), 3
BOUND = 1 << 16
"""Bytes of the longest frame that is tried."""


def network() -> nn.Sequential:
    """A convolution, so that something has channels, and a dense layer."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 6), nn.Linear(6, CLASSES))


class Ground:
    """A peer's view of the parties that answer: in every protocol, bare, behind codecs, durable, and in a hand-over."""

    def __init__(self, folder: Path) -> None:
        self.seeds: list[bytes] = []
        self._targets: list[tuple[Party, Callable[[Message], Message]]] = []
        self._durable: list[Durable] = []
        self._waiting: dict[int, Callable[[], Message]] = {}
        for name in CUTS:
            for codec in (None, Int8Quantization(), HalfPrecision()):
                self._add(name, codec)
            victim = self._pair(name)
            shelf = Shelf(folder / name)
            turn = Turn(count=1 << 30)
            durable = Durable(victim.answerer, victim.protocol, victim.agreement, shelf, None, every=1 << 30, turn=turn)
            shelf.write(Mark(0, 0), {}, {})
            self._durable.append(durable)
        self._taker = self._pair("vanilla").driver
        trained = self._pair("vanilla")
        trained.train([_batch()])
        for carried in (False, True):
            self.seeds.append(encode(give(trained.driver, Message(Kind.WEIGHTS, "client", 0, {}), carried)))
        self.seeds += [b'{"verb":"hello","name":"c0","step":0}', b'{"verb":"done"}']
        self._states = [(party, copy.deepcopy(party.checkpoint())) for party in self._parties()]

    def feed(self, data: bytes) -> bool:
        """Put ``data`` in front of everything; whether it was refused everywhere. What is not expected is raised.

        A party that refuses must be as it was; one that took the message is put back.
        """
        refused = True
        try:
            if control(data) is not None:
                return False
        except FrameError:
            return True
        for durable in self._durable:
            refused &= self._tried(durable.party, lambda durable=durable: durable.answer(data))  # type: ignore[misc]
            durable._kept.clear()
        try:
            message = decode(data)
        except FrameError:
            return refused
        for party, handler in self._targets:
            refused &= self._tried(party, lambda handler=handler: handler(message.copy()))  # type: ignore[misc]
        for state in OptimizerState:
            refused &= self._tried(self._taker, lambda state=state: take_over(self._taker, message, state))  # type: ignore[misc]
        return refused

    def unharmed(self) -> bool:
        """Whether every party stands where it stood, to the bit."""
        return all(_same(party.checkpoint(), state) for party, state in self._states)

    def _tried(self, party: Party, act: Callable[[], object]) -> bool:
        before = party.step
        try:
            act()
        except EXPECTED:
            assert party.step == before, "it refused, and moved on all the same"
            return True
        state = next(state for other, state in self._states if other is party)
        party.restore(state)
        self._waiting.get(id(party), lambda: None)()
        return False

    def _parties(self) -> Iterator[Party]:
        yield from (party for party, _ in self._targets)
        yield from (durable.party for durable in self._durable)
        yield self._taker

    def _pair(self, name: str) -> Pair:
        return pair(name, network(), CUTS[name], SHAPE, labels=torch.arange(8) % CLASSES)

    def _add(self, name: str, codec: Compression | None) -> None:
        victim = self._pair(name)
        packed = PackedWire(codec, victim.protocol.wire, victim.agreement) if codec else None
        handler = victim.protocol.handler(victim.answerer, victim.agreement)
        talk = self._pair(name)
        honest = talk.protocol.handler(talk.answerer, talk.agreement)
        forward: list[Message] = []

        def noted(request: Message) -> Message:
            if request.kind is Kind.FORWARD:
                forward.append(request.copy())
            self.seeds.append(encode(packed._packed(request) if packed else request))
            return honest(request.copy()).copy()

        peer = talk.protocol.checked(noted, talk.agreement)
        talk.protocol.train(talk.driver, peer, _batch())
        talk.protocol.predict(talk.driver, peer, _batch())
        self._targets.append((victim.answerer, wrap(handler, packed.answering) if packed else handler))
        if forward:
            # A backward message is taken only where a forward pass waits for it.
            self._waiting[id(victim.answerer)] = lambda: handler(forward[0].copy())
            self._waiting[id(victim.answerer)]()


def mutated(seed: bytes, draw: random.Random) -> bytes:
    """``seed`` with a few changes, of bytes, of the header's text, or of its meaning."""
    data = bytearray(seed)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        way = draw.randrange(7)
        if way > 3:
            data = _in_message(data, draw)
        elif way == 0 or len(data) < 16:
            data = _bytewise(data, draw)
        elif way == 1:
            data[:8] = draw.choice((0, 1, 7, len(data), len(data) - 8, 1 << 31, 1 << 63, (1 << 64) - 1)).to_bytes(
                8, "little"
            )
        else:
            data = _in_header(data, draw, meaning=way == 3)
    return bytes(data[:BOUND])


def _in_message(data: bytearray, draw: random.Random) -> bytearray:
    """A well-formed frame with other content: what gets past the codec."""
    try:
        message = decode(bytes(data))
    except FrameError:
        return _bytewise(data, draw)
    tensors = dict(message.tensors)
    name = draw.choice([*sorted(tensors), "x"])
    tensor, way = tensors.pop(name, torch.zeros(2)), draw.randrange(9)
    kind, sender, step = message.kind, message.sender, message.step
    if way == 0:
        tensors[draw.choice(_NAMES[2:])] = tensor
    elif way == 1:
        tensors[name] = tensor.to(draw.choice(_DTYPES))
    elif way == 2:
        tensors[name] = tensor.reshape(-1)[: draw.randrange(0, 9)]
    elif way == 3:
        tensors[name] = tensor[None] if draw.random() < 0.5 else torch.cat([tensor.reshape(1, -1)] * 2)
    elif way == 4 and tensor.numel():
        tensor = tensor.clone()
        values = (float("nan"), float("inf"), -1e38, 3e38, 1e-40) if tensor.is_floating_point() else (-128, 127, 99, -1)
        tensor.view(-1)[draw.randrange(tensor.numel())] = draw.choice(values)
        tensors[name] = tensor
    elif way == 5:
        kind = draw.choice(list(Kind))
    elif way == 6:
        step = draw.choice((0, 1, 2, 10**14, 10**15 - 1))
    elif way == 7:
        sender = draw.choice(("server", "\x00", "x" * 5000, "\u202e"))
    if way > 4:
        tensors[name] = tensor
    try:
        return bytearray(encode(Message(kind, sender, step, tensors)))
    except FrameError:
        return data


def _bytewise(data: bytearray, draw: random.Random) -> bytearray:
    where = draw.randrange(len(data) + 1)
    way = draw.randrange(5)
    if way == 0:
        return data[:where]
    if way == 1 and data:
        data[where % len(data)] ^= 1 << draw.randrange(8)
        return data
    if way == 2:
        return data[:where] + bytearray(draw.randbytes(draw.randrange(1, 16))) + data[where:]
    if way == 3:
        return data[:where] + data[where + draw.randrange(1, 32) :]
    return data + data[:where]


_VALUES: tuple[object, ...] = (
    *(-1, 0, 1, 3, 2**31, 2**63, 2**64, 10**400, 1.5, 1e308, True, None, [], [0], [-1], [2**62, 2**62], [0, 2**63]),
    *({}, {"dtype": "F32"}, [[]], "", "x", "train", "weights", "F64", "I8", "BOOL", "F8_E4M3"),
    *("9" * 15, "\u0661" * 15, "0" * 15),
)
_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.bool)
_NAMES = ("x", "", "smashed", "smashed.scale", "labels", "__metadata__", "optimizer.0.exp_avg", "optimizer.x.y")


def _in_header(data: bytearray, draw: random.Random, meaning: bool) -> bytearray:
    length = int.from_bytes(data[:8], "little")
    text, rest = bytes(data[8 : 8 + length]), bytes(data[8 + length :])
    if meaning:
        try:
            header = json.loads(text)
        except (ValueError, RecursionError):
            return _bytewise(data, draw)
        text = _told(_changed(header, draw))
    else:
        text = bytes(_bytewise(bytearray(text), draw))
    if draw.random() < 0.5:
        text += b" " * (-len(text) % 8)
    return bytearray(len(text).to_bytes(8, "little") + text + rest)


def _told(header: object) -> bytes:
    # What Python itself would not write into JSON, a peer may.
    text = json.dumps(header, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _changed(header: object, draw: random.Random) -> object:
    if draw.random() < 0.02:
        nested: object = 0
        for _ in range(draw.choice((10, 100, 900))):
            nested = [nested]
        return nested
    if isinstance(header, dict) and header and draw.random() < 0.8:
        key = draw.choice(list(header))
        way = draw.randrange(4)
        if way == 0:
            return {other: value for other, value in header.items() if other != key}
        if way == 1:
            return {
                **header,
                draw.choice(("x", "", "smashed", "labels", "__metadata__", "optimizer.0.exp_avg")): header[key],
            }
        return {**header, key: _changed(header[key], draw)}
    if isinstance(header, list) and header and draw.random() < 0.8:
        place = draw.randrange(len(header))
        return [*header[:place], _changed(header[place], draw), *header[place + 1 :]]
    if isinstance(header, int) and draw.random() < 0.5:
        return header + draw.choice((-8, -4, -1, 1, 4, 8))
    return draw.choice(_VALUES)


def _batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    return Batch(torch.arange(4), torch.rand(4, *SHAPE, generator=draw), torch.arange(4) % CLASSES)


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())
