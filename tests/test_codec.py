"""Frames: every message comes back bit by bit, and bytes that are no message are a FrameError and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

import cutlayer.codec as module
from cutlayer.codec import FrameError, decode, encode
from cutlayer.message import Kind, Message

DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
]  # fmt: skip
FIELDS = {"kind": "train", "sender": "client", "step": "0" * 15}
FRAME = encode(Message(Kind.TRAIN, "client", 3, {"smashed": torch.rand(2, 3), "labels": torch.tensor([1, 0])}))


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


@st.composite
def tensors(draw):
    """Any bit pattern, NaN and infinities included, in any shape, empty and scalar included."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    seed = draw(st.integers(0, 1 << 30))
    generator = torch.Generator().manual_seed(seed)
    count = torch.Size(shape).numel()
    if dtype is torch.bool:
        return torch.randint(2, shape, generator=generator).bool()
    raw = torch.randint(256, (count * dtype.itemsize,), generator=generator, dtype=torch.uint8)
    return raw.view(dtype).reshape(shape)


def data_of(frame: bytes) -> memoryview:
    """What lies behind a frame's header, which ends at a multiple of 8 bytes."""
    length = int.from_bytes(frame[:8], "little")
    assert length % 8 == 0
    return memoryview(frame)[8 + length :]


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda name: name != "__metadata__")
messages = st.builds(
    Message,
    st.sampled_from(Kind),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    st.integers(0, 10**15 - 1),
    st.dictionaries(names, tensors(), max_size=4),
)


@settings(deadline=None)
@given(messages)
@example(Message(Kind.PREDICT, "client", 0, {}))
@example(Message(Kind.TRAIN, "server", 1, {"loss": torch.tensor(1.5)}))
@example(Message(Kind.TRAIN, "server", 1, {"empty": torch.empty(0, 3), "half": torch.ones(2, dtype=torch.bfloat16)}))
def test_every_message_comes_back(message):
    again = decode(encode(message))
    assert (again.kind, again.sender, again.step) == (message.kind, message.sender, message.step)
    assert set(again) == set(message)
    for name in message:
        assert (again[name].dtype, again[name].shape) == (message[name].dtype, message[name].shape)
        assert bits(again[name]) == bits(message[name])


@settings(deadline=None)
@given(messages)
@example(Message(Kind.TRAIN, "c", 0, {"labels": torch.ones(3, dtype=torch.int64), "smashed": torch.rand(3, 5)}))
def test_a_frame_is_what_safetensors_writes(message):
    """Its library reads the frame, and would have written as much data."""
    frame = encode(message)
    read = load(frame)
    assert set(read) == set(message)
    assert all(bits(read[name]) == bits(message[name]) for name in message)
    written = save({name: tensor.clone() for name, tensor in message.tensors.items()}, metadata=FIELDS)
    assert data_of(frame).nbytes == data_of(written).nbytes


def test_every_tensor_lies_at_a_multiple_of_its_type_s_size():
    message = Message(Kind.TRAIN, "c", 0, {"a": torch.ones(3).bool(), "b": torch.rand(3), "c": torch.rand(1).double()})
    frame = encode(message)
    header = json.loads(frame[8 : len(frame) - data_of(frame).nbytes])
    assert all(header[name]["data_offsets"][0] % message[name].itemsize == 0 for name in message)


@pytest.mark.parametrize(("name", "dtype"), [("a", torch.complex64), ("__metadata__", torch.float32)])
def test_a_tensor_that_no_frame_can_carry_is_refused(name, dtype):
    with pytest.raises(FrameError, match=f"cannot carry tensor '{name}' of {dtype}"):
        encode(Message(Kind.TRAIN, "c", 0, {name: torch.ones(1, dtype=dtype)}))


@pytest.mark.parametrize(
    "tensor", [torch.rand(3, 4).T, torch.rand(4).expand(3, 4), torch.rand(9)[2:5], torch.rand(6)[::2]]
)
def test_views_come_back_as_their_values(tensor):
    again = decode(encode(Message(Kind.TRAIN, "c", 0, {"a": tensor})))["a"]
    assert torch.equal(again, tensor)
    assert again.is_contiguous()


def test_tensors_that_share_memory_come_back_apart():
    whole = torch.rand(5)
    again = decode(encode(Message(Kind.TRAIN, "c", 0, {"a": whole, "b": whole, "c": whole[1:3]})))
    again["a"].zero_()
    assert torch.equal(again["b"], whole)
    assert torch.equal(again["c"], whole[1:3])


def test_what_comes_back_has_no_graph_and_memory_of_its_own():
    leaf = torch.ones(3, requires_grad=True)
    frame = encode(Message(Kind.TRAIN, "c", 0, {"a": leaf * 2}))
    first, second = decode(frame)["a"], decode(frame)["a"]
    assert not first.requires_grad
    first.zero_()
    assert torch.equal(second, torch.full((3,), 2.0))
    assert torch.equal(decode(frame)["a"], second)


def test_a_frame_s_size_does_not_depend_on_values_or_step():
    sizes = {
        len(encode(Message(Kind.TRAIN, "c", step, {"a": torch.full((3,), value)})))
        for step in (0, 9, 10**15 - 1)
        for value in (0.0, -1.5, float("nan"))
    }
    assert len(sizes) == 1


def decoded(frame: bytes) -> Message | None:
    """The message, or None where it is refused; any other error fails the test."""
    try:
        return decode(frame)
    except FrameError:
        return None


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data):
    assert decoded(data) is None


def test_a_truncated_frame_is_refused():
    assert all(decoded(FRAME[:length]) is None for length in range(len(FRAME)))


@settings(deadline=None)
@given(st.integers(0, 8 * len(FRAME) - 1), st.binary(max_size=8))
def test_a_flipped_bit_or_trailing_bytes_never_raise_anything_else(bit, tail):
    data = bytearray(FRAME)
    data[bit // 8] ^= 1 << bit % 8
    decoded(bytes(data))
    assert (decoded(FRAME + tail) is None) == bool(tail)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(FRAME) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_overwritten_bytes_never_raise_anything_else(changes):
    data = bytearray(FRAME)
    for place, value in changes:
        data[place] = value
    decoded(bytes(data))


def framed(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=25)
@given(json_values, json_values, json_values, st.sampled_from(["F32", "BOOL", "F4", "BF16", "F8_E8M0", "U64", "X"]))
def test_wild_headers_never_raise_anything_else(value, shape, offsets, dtype):
    entry = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
    for header in (value, {"__metadata__": value}, {"__metadata__": FIELDS, "a": value}):
        decoded(framed(header))
    for shaped in (entry, entry | {"shape": [2]}, entry | {"data_offsets": [0, 8]}):
        decoded(framed({"__metadata__": FIELDS, "a": shaped}, b"\1" * 8))


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "cut off"),
        (b"\xff" * 8, "cut off"),
        (framed(b"\xff\xfe\xfd"), "not JSON"),
        (framed(b"[" * 100_000), "not JSON"),
        (framed(b'{"a":' + b"1" * 5000 + b"}"), "not JSON"),
        (framed([]), "no metadata"),
        (framed({}), "no metadata"),
        (framed({"__metadata__": {"kind": 1}}), "no metadata"),
        (framed({"__metadata__": {}}), "kind is ''"),
        (framed({"__metadata__": FIELDS | {"kind": "weight"}}), "kind is 'weight'; it must be one of train, forward"),
        (framed({"__metadata__": FIELDS | {"step": "7"}}), "step is '7'"),
        (framed({"__metadata__": FIELDS | {"step": "-" + "0" * 14}}), "15 digits"),
        (framed({"__metadata__": FIELDS | {"step": "٣" * 15}}), "15 digits"),
        (framed({"__metadata__": FIELDS | {"sender": ""}}), "no sender"),
        (framed({"__metadata__": FIELDS, "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}), "tensors"),
        (framed({"__metadata__": FIELDS, "a": {"dtype": "F4", "shape": [0], "data_offsets": [0, 0]}}), "tensors"),
        (framed({"__metadata__": FIELDS, "a": {"dtype": "I8", "shape": [0, 1 << 63], "data_offsets": [0, 0]}}), "tens"),
    ],
)  # fmt: skip
def test_the_refusal_says_why(frame, reason):
    with pytest.raises(FrameError, match=reason):
        decode(frame)


def test_a_frame_over_the_limit_is_refused_unread(monkeypatch):
    monkeypatch.setattr(module, "MAX_FRAME", len(FRAME))
    assert decoded(FRAME) is not None
    with pytest.raises(FrameError, match="over the limit"):
        decode(FRAME + b"\0")


def test_a_sender_s_name_has_a_bound():
    for length in (1, module.LONGEST_NAME):
        assert decode(encode(Message(Kind.TRAIN, "c" * length, 0, {}))).sender == "c" * length
    with pytest.raises(FrameError, match="more than 255 characters"):
        decode(encode(Message(Kind.TRAIN, "c" * 256, 0, {})))
