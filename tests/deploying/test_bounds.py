"""What a connection may carry follows from what is sent over it, and what it has no room for is refused for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cutlayer.codec import encode
from cutlayer.compression import Compression, PackedWire
from cutlayer.deploying import member
from cutlayer.deploying.member import Member
from cutlayer.deploying.place import limits
from cutlayer.deploying.settings import ServerSettings
from cutlayer.deploying.terms import Plan
from cutlayer.experiment import ExperimentError
from cutlayer.message import Kind, Message
from cutlayer.transport.duplex import Duplex, worded
from cutlayer.transport.rpc import Limits
from cutlayer.wire import Spec
from tests.deployments import Deployment, made_here, plan_of
from tests.scenes import made

__all__ = ["made", "made_here"]
SETTINGS = ServerSettings.model_validate({"plan": {}})
MANY = 4096


@dataclass
class Placed(Compression):
    """Every value with its place beside it: three times the bytes."""

    def forms(self, spec: Spec) -> Mapping[str, Spec]:
        return {"": spec, ".place": replace(spec, dtype=torch.int64)}

    def pack(self, tensor: Tensor) -> Mapping[str, Tensor]:
        return {"": tensor, ".place": torch.arange(tensor.numel()).view_as(tensor)}

    def unpack(self, packed: Mapping[str, Tensor]) -> Tensor:
        return packed[""]


def test_a_connection_carries_what_a_codec_makes_of_the_largest_batch() -> None:
    plain, halved = (plan_of(batch_size=MANY, codec=codec) for codec in ("", "half_precision"))
    packed = PackedWire(Placed(), plain.protocol.wire, plain.agreement)
    tensors = {
        "smashed": torch.zeros(MANY + 1, *plain.agreement["smashed"].shape),
        "labels": torch.zeros(MANY + 1, dtype=torch.int64),
    }
    for plan in (plain, halved, replace(plain, packed=packed)):
        request = Message(Kind.TRAIN, "c0", 0, tensors)
        size = len(encode(plan.packed._packed(request) if plan.packed else request))
        most = limits(plan, SETTINGS).most
        assert size <= most < max(size, 1 << 20) + (1 << 17)


def test_a_connection_carries_a_part_of_many_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their names and shapes take more than a frame's header usually does."""
    whole = nn.Sequential(nn.Linear(600, 600), nn.Sequential(*(nn.Linear(1, 1) for _ in range(600))), nn.Linear(1, 4))
    monkeypatch.setattr(Plan, "build", lambda plan, seed: whole)
    weights = nn.ModuleList([whole[:2]]).state_dict()
    size = len(encode(Message(Kind.WEIGHTS, "c0", 0, weights)))
    assert size > Limits(sum(tensor.nbytes for tensor in weights.values())).most
    assert size <= limits(plan_of(), SETTINGS).most


class Dialed(Exception):
    """A client has gone on to connect."""


@pytest.mark.usefixtures("made", "made_here")
@pytest.mark.parametrize(
    ("protocol", "short", "refused"), [("label_only", 0, False), ("label_only", 1, True), ("vanilla", 1, False)]
)
def test_rows_that_first_words_have_no_room_for_are_refused_before_a_client_connects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, short: int, refused: bool
) -> None:
    """The made data have 44 training rows: eight characters."""

    def dial() -> Duplex:
        raise Dialed

    client = Member(Deployment(plan_of(protocol=protocol), tmp_path).place("c0"), None, dial)
    words: dict[str, Any] = client._hello()
    longest = len(worded("hello", **{**words, "turn": 10**8, "step": 10**12, "reach": 10**12}))
    monkeypatch.setattr(member, "MAX_CONTROL", longest - short)
    with pytest.raises(ExperimentError if refused else Dialed) as caught:
        client.run()
    if refused:
        said = "has 44 training rows: in label_only a client tells the server which .* labels for, and has room for 24"
        assert caught.match(said)
    client.place.durable.shelf.close()
