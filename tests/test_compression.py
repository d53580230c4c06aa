"""A codec is a part of the agreed wire: smaller frames, float32 at both parties, other forms refused."""

from __future__ import annotations

import re
from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

from cutlayer.auditing.audit import run_cell
from cutlayer.auditing.grants import Outside
from cutlayer.channel import Loopback
from cutlayer.compression import PackedWire
from cutlayer.defenses.gaussian_noise import GaussianNoise
from cutlayer.defenses.half_precision import HalfPrecision
from cutlayer.defenses.int8_quantization import Int8Quantization
from cutlayer.experiment import ExperimentError
from cutlayer.isolated.isolation import ProcessHost
from cutlayer.message import Kind, Message
from cutlayer.scene.defending import make_defenses
from cutlayer.seat.host import Act
from cutlayer.simulation.assembly import assemble, brief, honest_host
from cutlayer.simulation.session import Session
from cutlayer.simulation.traffic import cost
from cutlayer.threat import Knows
from cutlayer.wire import Frame, Spec, WireError
from tests.cells import quiet
from tests.scenes import made, scene_of

__all__ = ["made"]
CUTS = {"vanilla": "1", "u_shaped": "1:4", "label_only": "4"}
SHARE = {"half_precision": 1 / 2, "int8_quantization": 1 / 4}
BOTH = "int8_quantization+gaussian_noise"
QUICK = {("vanilla", "half_precision"), ("u_shaped", "int8_quantization"), ("label_only", "int8_quantization")}
"""A protocol tells a codec which tensors cross, and nothing else."""
FRAME = Frame(request=("smashed", "labels"), reply=("grad", "loss"))
AGREED = {
    **dict.fromkeys(("smashed", "grad", "features", "features_grad"), Spec((3, 4, 4))),
    "labels": Spec((), torch.int64, below=4),
    "loss": Spec((), batched=False),
}
CODES = torch.zeros(5, 3, 4, 4, dtype=torch.int8)
REQUEST = Message(Kind.TRAIN, "client", 0, {"smashed": torch.randn(5, 3, 4, 4), "labels": torch.arange(5) % 4})


def trained(epochs: int = 2, **values: Any) -> Session:
    scene = scene_of(**values)
    session = assemble(scene, honest_host(scene))
    for epoch in range(1, epochs + 1):
        session.train_epoch(epoch)
    return session


def same(one: Session, other: Session) -> bool:
    states = one.checkpoint(), other.checkpoint()
    pairs = ((tensor, states[1][party][name]) for party, state in states[0].items() for name, tensor in state.items())
    return all(torch.equal(*pair) for pair in pairs)


def packed_wire(codec: HalfPrecision | Int8Quantization) -> PackedWire:
    return PackedWire(codec, {Kind.TRAIN: FRAME}, AGREED)


def pairs(*more: str, quick: Collection[tuple[str, str]] = QUICK) -> pytest.MarkDecorator:
    """Every protocol with every codec; those that are not ``quick`` are slow."""
    found = [(protocol, codec) for protocol in CUTS for codec in (*SHARE, *more)]
    marked = [pytest.param(*pair, marks=() if pair in quick else pytest.mark.slow) for pair in found]
    return pytest.mark.parametrize(("protocol", "codec"), marked)


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("codec", SHARE)
@pytest.mark.parametrize("protocol", CUTS)
def test_frames_shrink_both_ways_in_every_protocol(protocol: str, codec: str) -> None:
    values = {"protocol": protocol, "cut": CUTS[protocol], "batch_size": 44}
    scene = scene_of(defense=codec, **values)
    plain, packed = cost(scene_of(**values)), cost(scene)
    names = ("smashed", "features") if protocol == "u_shaped" else ("smashed",)
    frames, numbers = 2 * len(names), 2 * 44 * sum(prod(scene.agreement[name].shape) for name in names)
    for saved in (plain.bytes_up - packed.bytes_up, plain.bytes_down - packed.bytes_down):
        # Headers, labels and row numbers stay; what a frame gains are scales and their entry in its header.
        assert saved > 4 * numbers * (1 - SHARE[codec]) - 128 * frames


@pytest.mark.usefixtures("made")
@pairs(BOTH, quick={*QUICK, ("label_only", BOTH)} - {("label_only", "int8_quantization")})
def test_bytes_change_nothing(protocol: str, codec: str) -> None:
    values = {"protocol": protocol, "cut": CUTS[protocol], "defense": codec, "clients": 2, "handover": "server"}
    copied, carried = trained(1, **values), trained(1, carrier="loopback", **values)
    assert same(copied, carried)
    assert copied.host.meter == carried.host.meter
    assert not same(copied, trained(1, **{**values, "defense": "none"}))


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("protocol", "codec"),
    [
        ("label_only", "int8_quantization"),
        pytest.param("vanilla", "half_precision", marks=pytest.mark.slow),
        pytest.param("u_shaped", "int8_quantization", marks=pytest.mark.slow),
    ],
)
def test_another_process_ends_in_the_same_bits(protocol: str, codec: str) -> None:
    values = {"protocol": protocol, "cut": CUTS[protocol], "defense": codec}
    scene = scene_of(**values)
    host = ProcessHost(brief(scene, attack=False), Outside(), quiet)
    try:
        host.ready()
        there = assemble(scene, host)
        there.train_epoch(1)
        here = trained(1, **values)
        assert same(here, there)
        assert here.host.meter == host.meter
    finally:
        host.close()


@pytest.mark.usefixtures("made")
@pairs()
def test_taking_up_a_checkpoint_ends_in_the_same_bits(protocol: str, codec: str) -> None:
    values = {"protocol": protocol, "cut": CUTS[protocol], "defense": codec}
    through, resumed = trained(3, **values), trained(0, **values)
    resumed.restore(trained(1, **values).checkpoint())
    for epoch in (2, 3):
        resumed.train_epoch(epoch)
    assert same(through, resumed)


@pytest.mark.usefixtures("made")
@pairs()
def test_an_adversary_sees_what_its_party_sees(protocol: str, codec: str, tmp_path: Path) -> None:
    seen: dict[str, set[torch.dtype]] = {}

    def noted(attack: object, message: Message) -> None:
        for name, tensor in message.tensors.items():
            seen.setdefault(name, set()).add(tensor.dtype)

    scene = scene_of(attack="spy", protocol=protocol, cut=CUTS[protocol], defense=codec, isolate=False, epochs=1)
    with patch.object(type(scene.attack), "observe", noted), patch.object(type(scene.attack), "infer", lambda spy: []):
        run_cell(scene, tmp_path, quiet)
    assert {"smashed", "grad"} <= seen.keys()
    assert not [name for name in seen if "." in name]
    assert all(dtypes == {torch.float32} for name, dtypes in seen.items() if name != "rows")


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(("codec", "dtype"), [("half_precision", torch.float16), ("int8_quantization", torch.int8)])
@pytest.mark.parametrize("protocol", CUTS)
def test_what_crosses_is_narrow_and_what_parties_see_is_float32(
    protocol: str, codec: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    crossed: list[Message] = []
    called = Loopback.__call__

    def noted(channel: Loopback, request: Message) -> Message:
        reply = called(channel, request)
        crossed.extend((request, reply))
        return reply

    monkeypatch.setattr(Loopback, "__call__", noted)
    session = trained(0, protocol=protocol, cut=CUTS[protocol], defense=codec, carrier="loopback")
    session.exchange(Act.STEP, 0, session.shards[0][:4])
    dtypes = {name: tensor.dtype for message in crossed for name, tensor in message.tensors.items()}
    roles = {"vanilla": {"smashed", "grad"}, "label_only": {"smashed", "grad"}}
    for name in roles.get(protocol, {"smashed", "grad", "features", "features_grad"}):
        assert dtypes[name] is dtype
        assert dtypes[f"{name}.scale"] is torch.float32
    assert dtypes.get("labels", torch.int64) is torch.int64


@pytest.mark.usefixtures("made")
def test_queries_pass_the_codec_last() -> None:
    scene = scene_of(protocol="vanilla", cut="1", defense="int8_quantization+gaussian_noise")
    kinds = [type(defense).__name__ for defense in make_defenses(scene.experiment)]
    assert kinds == ["GaussianNoise", "Int8Quantization"]
    outside = Outside()
    outside.session = assemble(scene, honest_host(scene))
    asked = outside(Knows.PEER_QUERIES, {"0": torch.rand(6, 1, 8, 8)})["value"]
    # At most 255 levels a channel.
    assert all(len(asked[:, channel].unique()) <= 255 for channel in range(3))


@pytest.mark.usefixtures("made")
def test_defenses_act_in_the_order_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    acted: list[float] = []

    def noted(defense: GaussianNoise, message: Message) -> Message:
        acted.append(defense.sigma)
        return message

    monkeypatch.setattr(GaussianNoise, "guard", noted)
    for protocol in ("vanilla", "label_only"):
        session = trained(0, protocol=protocol, cut=CUTS[protocol])
        session.defenses = {0: [GaussianNoise(sigma=1.0), GaussianNoise(sigma=2.0)]}
        session.exchange(Act.STEP, 0, session.shards[0][:4])
    assert acted == [1.0, 2.0, 1.0, 2.0]


@pytest.mark.usefixtures("made")
def test_a_wire_has_one_codec() -> None:
    with pytest.raises(ExperimentError, match="half_precision and int8_quantization are both wire codecs"):
        scene_of(protocol="vanilla", cut="1", defense="half_precision+int8_quantization")


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({}, "'smashed' is missing"),
        ({"smashed": torch.zeros(5, 3, 4, 4)}, "dtype torch.float32, agreed is torch.int8"),
        ({"smashed": CODES}, "'smashed.scale' is missing"),
        ({"smashed": CODES, "smashed.scale": torch.ones(4)}, "agreed is [3]"),
        ({"smashed": CODES[:, :, 0], "smashed.scale": torch.ones(3)}, "has shape [5, 3, 4]"),
        ({"smashed": CODES[1:], "smashed.scale": torch.ones(3)}, "holds 5 samples, the exchange has 4"),
        ({"smashed": CODES, "smashed.scale": torch.tensor([1, torch.inf, 1])}, "NaN or infinite"),
        ({"smashed": CODES, "smashed.scale": torch.ones(3), "x": torch.ones(1)}, "'x'"),
    ],
)
def test_what_is_not_in_the_agreed_form_is_refused(tensors: dict[str, torch.Tensor], why: str) -> None:
    def never(request: Message) -> Message:
        raise AssertionError("the party was asked")

    message = Message(Kind.TRAIN, "client", 0, {**tensors, "labels": REQUEST["labels"]})
    with pytest.raises(WireError, match=re.escape(why)):
        packed_wire(Int8Quantization()).answering(message, never)


def test_a_reply_is_checked_against_its_request() -> None:
    codec = packed_wire(HalfPrecision())
    good = codec.answering(codec._packed(REQUEST), lambda r: r.reply("server", grad=r["smashed"], loss=torch.ones(())))
    assert codec.asking(REQUEST, lambda request: good)["grad"].dtype is torch.float32
    fewer = codec._packed(REQUEST.reply("server", grad=torch.ones(4, 3, 4, 4), loss=torch.ones(())))
    with pytest.raises(WireError, match="holds 4 samples, the exchange has 5"):
        codec.asking(REQUEST, lambda request: fewer)


def test_values_that_diverged_are_refused_not_rounded() -> None:
    for codec in (HalfPrecision(), HalfPrecision(dtype="bfloat16"), Int8Quantization()):
        for bad in (torch.nan, torch.inf, -torch.inf):
            smashed = REQUEST["smashed"].clone()
            smashed[2, 1, 0, 0] = bad
            packed = packed_wire(codec)._packed(REQUEST.replace(smashed=smashed))
            with pytest.raises(WireError, match="NaN or infinite values"):
                packed_wire(codec).answering(packed, lambda request: request)


def test_a_hand_over_crosses_as_it_is() -> None:
    weights = Message(Kind.WEIGHTS, "client", 0, {"smashed": torch.randn(3)})
    codec = packed_wire(Int8Quantization())
    assert codec.asking(weights, lambda request: codec.answering(request, lambda r: r)) is weights
