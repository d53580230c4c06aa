"""Messages are values: what is done to a copy, or to the mapping one was made from, does not reach them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch

from cutlayer.message import Kind, Message, detached


def message() -> Message:
    return Message(Kind.TRAIN, "client", 7, {"smashed": torch.ones(2, 3), "labels": torch.tensor([1, 0])})


def test_is_read_by_name():
    one = message()
    assert torch.equal(one["labels"], torch.tensor([1, 0]))
    assert list(one) == ["smashed", "labels"]
    assert "labels" in one
    assert "rows" not in one
    with pytest.raises(KeyError, match="rows"):
        one["rows"]


def test_cannot_be_changed():
    one = message()
    with pytest.raises(FrozenInstanceError):
        one.step = 8
    with pytest.raises(TypeError):
        one.tensors["smashed"] = torch.zeros(1)


def test_does_not_follow_the_mapping_it_was_made_from():
    tensors = {"smashed": torch.ones(1)}
    one = Message(Kind.PREDICT, "client", 0, tensors)
    tensors["labels"] = torch.zeros(1)
    assert list(one) == ["smashed"]


def test_a_copy_shares_nothing():
    smashed = torch.ones(2, 3, requires_grad=True)
    one = Message(Kind.TRAIN, "client", 7, {"smashed": smashed * 2})
    copy = one.copy()
    assert not copy["smashed"].requires_grad
    copy["smashed"].zero_()
    assert torch.equal(one["smashed"], torch.full((2, 3), 2.0))
    assert (copy.kind, copy.sender, copy.step) == (one.kind, one.sender, one.step)


def test_a_replacement_is_a_new_message():
    one = message()
    other = one.replace(labels=torch.tensor([0, 0]))
    assert one["labels"].tolist() == [1, 0]
    assert other["labels"].tolist() == [0, 0]
    assert other["smashed"] is one["smashed"]
    with pytest.raises(KeyError, match="label"):
        one.replace(label=torch.tensor([0]))


def test_a_reply_has_the_kind_and_step_of_its_request():
    reply = message().reply("server", grad=torch.zeros(1))
    assert (reply.kind, reply.sender, reply.step, list(reply)) == (Kind.TRAIN, "server", 7, ["grad"])


@pytest.mark.parametrize("tensor", [torch.rand(3, 4).T, torch.rand(4).expand(3, 4), torch.rand(6)[::2]])
def test_detached_is_contiguous_and_owns_its_memory(tensor):
    copy = detached(tensor)
    assert copy.is_contiguous()
    assert torch.equal(copy, tensor)
    assert copy.untyped_storage().data_ptr() != tensor.untyped_storage().data_ptr()
    assert copy.untyped_storage().nbytes() == copy.numel() * copy.element_size()
