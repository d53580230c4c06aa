"""Half precision: how far off a value may be, whatever its size."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cutlayer import registry
from cutlayer.defenses.half_precision import HalfPrecision
from cutlayer.message import Kind, Message
from cutlayer.wire import Spec

VALUES = arrays.arrays(
    "float32",
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4)),
    elements=st.floats(-(2.0**126), 2.0**126, width=32),
)


@given(VALUES)
def test_float16_rounds_to_eleven_bits_of_a_value_or_far_below_the_largest(values):
    tensor = torch.from_numpy(values)
    codec = HalfPrecision()
    back = codec.unpack(codec.pack(tensor)).double()
    largest = tensor.abs().max().double()
    # The last term: below float32's smallest normal number a scale cannot follow.
    bound = tensor.double().abs() * 2.0**-11 + largest * 2.0**-39 + 2.0**-149
    assert ((back - tensor.double()).abs() <= bound).all()
    assert (back[tensor == 0] == 0).all()


@given(VALUES)
def test_bfloat16_rounds_to_eight_bits_of_a_value(values):
    tensor = torch.from_numpy(values)
    codec = HalfPrecision(dtype="bfloat16")
    back = codec.unpack(codec.pack(tensor))
    assert torch.isfinite(back).all()
    assert ((back.double() - tensor.double()).abs() <= tensor.double().abs() * 2.0**-8 + 2.0**-133).all()


@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e9])
def test_the_scale_saves_what_plain_float16_would_lose(factor):
    tensor = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(1)) * factor
    codec = HalfPrecision()
    assert torch.allclose(codec.unpack(codec.pack(tensor)), tensor, rtol=2**-11, atol=factor * 2**-35)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_packs_into_the_forms_it_names_and_loses_nothing_twice(dtype):
    tensor = torch.randn(8, 3, 4, 4)
    codec = HalfPrecision(dtype=dtype)
    packed, forms = codec.pack(tensor), codec.forms(Spec((3, 4, 4)))
    assert packed.keys() == forms.keys()
    for name, part in packed.items():
        assert part.dtype is forms[name].dtype
        assert tuple(part.shape[1:] if forms[name].batched else part.shape) == forms[name].shape
    assert sum(part.nbytes for part in packed.values()) <= tensor.nbytes / 2 + 4
    once = codec.unpack(packed)
    assert torch.equal(codec.unpack(codec.pack(once)), once)


def test_guards_what_is_at_the_cut_and_cuts_the_graph():
    smashed = torch.randn(4, 5, requires_grad=True) * 1
    message = Message(Kind.TRAIN, "client", 3, {"smashed": smashed, "labels": torch.arange(4)})
    guarded = HalfPrecision().guard(message)
    assert not guarded["smashed"].requires_grad
    assert not torch.equal(guarded["smashed"], smashed)
    assert guarded["labels"] is message["labels"]


def test_refuses_a_type_that_is_not_half():
    with pytest.raises(registry.PluginError, match=r"half_precision\.dtype = 'float8'"):
        registry.make(HalfPrecision, {"dtype": "float8"}, "half_precision")
