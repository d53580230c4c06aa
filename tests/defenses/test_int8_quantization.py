"""Int8 on the wire: how far off a value may be, which values share a scale, what training makes of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cutlayer.defenses.int8_quantization import Int8Quantization
from cutlayer.wire import Spec
from tests.cells import cell

FINITE = st.floats(-(2.0**100), 2.0**100, width=32)
IMAGES = arrays.arrays("float32", st.tuples(*[st.integers(1, 4)] * 4), elements=FINITE)
CODEC = Int8Quantization()


def back(tensor: torch.Tensor) -> torch.Tensor:
    return CODEC.unpack(CODEC.pack(tensor))


@given(IMAGES)
def test_a_value_is_off_by_half_a_level_of_its_channel(values):
    tensor = torch.from_numpy(values)
    level = CODEC.pack(tensor)[".scale"].double()
    level = level.view(1, -1, 1, 1) if level.ndim else level
    assert ((back(tensor).double() - tensor.double()).abs() <= level * (0.5 + 1e-4)).all()
    assert (back(tensor)[tensor == 0] == 0).all()


def test_a_large_channel_leaves_the_others_their_levels():
    tensor = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    tensor[:, 1] *= 1e6
    worst = (back(tensor) - tensor).abs().amax((0, 2, 3))
    assert worst[0] < 0.02
    assert worst[2] < 0.02
    assert worst[1] > 100


@pytest.mark.parametrize(("shape", "scales"), [((6, 3, 4, 4), (3,)), ((6, 7), ()), ((6, 5, 1, 1), ()), ((1, 64), ())])
def test_packs_into_the_forms_it_names(shape, scales):
    packed, forms = CODEC.pack(torch.randn(shape)), CODEC.forms(Spec(shape[1:]))
    assert packed.keys() == forms.keys() == {"", ".scale"}
    assert (packed[""].dtype, packed[""].shape, forms[""]) == (torch.int8, shape, Spec(shape[1:], torch.int8))
    assert (tuple(packed[".scale"].shape), forms[".scale"]) == (scales, Spec(scales, batched=False))


def test_a_single_sample_is_not_given_away_by_its_scales():
    """With a scale for every value the codes would be ±127 and the scales the exact values."""
    tensor = torch.randn(1, 50)
    assert not torch.allclose(back(tensor), tensor, rtol=1e-4, atol=0)


def test_all_zeros_stay_zeros():
    assert torch.equal(back(torch.zeros(2, 3, 4, 4)), torch.zeros(2, 3, 4, 4))


@pytest.mark.slow
def test_digits_are_learned_as_well_and_leak_as_much(tmp_path):
    """Bounds set beforehand: two points of accuracy, and a tenth of the advantage."""
    short = {"unsplit": {"rounds": 8, "restarts": 1}}
    values = {"dataset": "digits", "attack": "unsplit", "cut": "1", "epochs": 10, "options": short}
    names = ("none", "half_precision", "int8_quantization")
    plain, *packed = (cell(tmp_path, defense=name, **values) for name in names)
    leaks = [next(s.advantage for s in r.scores if s.decides and s.goal == "inputs") for r in (plain, *packed)]
    assert leaks[0] > 0.5
    for record, leak in zip(packed, leaks[1:], strict=True):
        assert record.utility > plain.utility - 0.02
        assert leak > 0.9 * leaks[0]
