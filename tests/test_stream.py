"""Streams: explicit seeds, and nobody's draws move anybody else's."""

from __future__ import annotations

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cutlayer.stream import Stream, derive, drawing, generator

keys = st.lists(st.integers() | st.text(max_size=5), max_size=3).map(tuple)


@settings(deadline=None)
@given(st.integers(), keys, st.integers(), keys)
def test_different_names_give_different_seeds(seed, name, other_seed, other_name):
    assert (derive(seed, *name) == derive(other_seed, *other_name)) == ((seed, name) == (other_seed, other_name))
    assert 0 <= derive(seed, *name) < 1 << 63


def test_neighboring_names_are_not_run_together():
    assert len({derive(0, "a", "b"), derive(0, "ab"), derive(0, "a", 1), derive(0, "a1"), derive(0, "a", "1")}) == 5


def test_seeds_do_not_depend_on_the_version():
    """Records name seeds: another version must draw the same."""
    assert derive(0, "client", 3) == 2565254113413420459
    assert derive(7) == derive(7)


def test_a_generator_starts_where_its_name_says():
    first, second = (torch.rand(3, generator=generator(1, "noise")) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, torch.rand(3, generator=generator(1, "shuffle")))


def test_drawing_lends_a_stream_and_gives_the_former_one_back():
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    before = torch.rand(2)
    with drawing(9):
        lent = torch.rand(3)
    after = torch.rand(2)
    assert torch.equal(torch.cat([before, after]), expected)
    with drawing(9):
        assert torch.equal(torch.rand(3), lent)


def test_a_stream_has_one_of_its_own_where_a_gpu_computes(monkeypatch):
    gpu = torch.Generator().manual_seed(77)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", gpu.get_state)
    monkeypatch.setattr(torch.cuda, "set_rng_state", gpu.set_state)
    monkeypatch.setattr(torch.cuda, "manual_seed", gpu.manual_seed)
    others, own, drawn = gpu.get_state(), Stream(3), []
    for _ in range(2):
        with own.taken_up():
            drawn.append(torch.rand(2, generator=gpu))
        assert torch.equal(gpu.get_state(), others)
    assert torch.equal(torch.cat(drawn), torch.rand(4, generator=torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("lend", [lambda: drawing(1), lambda: Stream(1).taken_up()])
def test_an_error_inside_gives_the_former_stream_back_too(lend):
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), lend():
        int(torch.rand(1)) // 0
    assert torch.equal(torch.get_rng_state(), before)


def test_a_stream_goes_on_where_it_was_put_down():
    torch.manual_seed(3)
    expected = torch.rand(6)
    stream, found = Stream(3), []
    for count in (1, 2, 3):
        torch.rand(7)
        with stream.taken_up():
            found.append(torch.rand(count))
        with drawing(0):
            torch.rand(2)
    assert torch.equal(torch.cat(found), expected)


def test_a_stream_leaves_the_others_alone():
    before = torch.get_rng_state()
    with Stream(3).taken_up():
        torch.rand(1000)
    assert torch.equal(torch.get_rng_state(), before)


def test_streams_nest():
    with drawing(1):
        alone = torch.rand(4)
    with drawing(1):
        first = torch.rand(2)
        with Stream(2).taken_up(), drawing(3):
            torch.rand(5)
        assert torch.equal(torch.cat([first, torch.rand(2)]), alone)


def test_two_threads_lend_the_default_generator_one_after_the_other():
    with drawing(1):
        alone = torch.rand(4)
    found, inside = [], threading.Event()

    def draw():
        with drawing(1):
            inside.set()
            found.append(torch.rand(4))

    other = threading.Thread(target=draw)
    with drawing(2):
        expected = torch.rand(4)
    with drawing(2):
        other.start()
        assert not inside.wait(0.1), "both draw from one generator at once"
        assert torch.equal(torch.rand(4), expected)
    other.join()
    assert torch.equal(found[0], alone)
