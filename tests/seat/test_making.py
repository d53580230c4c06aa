"""What a deployment is made of: every party on a stream of its own, with its own labels, on one wire."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cutlayer.computing import Computing
from cutlayer.data.samples import hold_out
from cutlayer.optimization import Optimization
from cutlayer.party import Party
from cutlayer.seat.making import held_labels, make_codec, party_of
from cutlayer.simulation.assembly import assemble, honest_host
from cutlayer.stream import derive
from cutlayer.threat import Seat
from tests.deployments import plan_of
from tests.scenes import made, made_dataset, scene_of

__all__ = ["made"]


def seated(seat: Seat, number: int, name: str = "") -> Party:
    return party_of(seat, number, [nn.Linear(2, 2)], Optimization(), 7, Computing(), name)


@pytest.mark.parametrize(
    ("seat", "number", "label"),
    [(Seat.SERVER, 0, "server"), (Seat.CLIENT, 0, "client-0"), (Seat.CLIENT, 1, "client-1")],
)
def test_a_partys_stream_is_that_of_its_seat_whatever_its_name(seat: Seat, number: int, label: str) -> None:
    party, named = seated(seat, number), seated(seat, number, "alice")
    assert (party.name, named.name) == (label, "alice")
    # Records and checkpoints were made with these streams.
    assert party.seed == named.seed == derive(7, "party", label)


@pytest.mark.parametrize("kept", [0, 6])
def test_a_client_looks_up_its_own_labels_and_those_that_it_is_tested_by(kept: int) -> None:
    samples = hold_out(made_dataset(), kept, "train", 3)
    own = samples.train_rows[::3]
    labels = held_labels(samples, own)
    known = torch.cat([own, samples.validation_rows, samples.test_rows])
    assert labels[known].tolist() == [row % 4 for row in known.tolist()]
    assert (labels >= 0).sum() == len(known) < len(labels) == len(samples)


@pytest.mark.usefixtures("made")
def test_a_codec_draws_alike_at_both_ends_and_in_a_deployment() -> None:
    scene = scene_of(protocol="vanilla", cut="1", defense="half_precision")
    host = honest_host(scene)
    wires = [assemble(scene, host).packed, host._way.packed, plan_of(codec="half_precision").packed]
    assert [wire and wire._compression for wire in wires] == [make_codec("half_precision", {})] * 3
