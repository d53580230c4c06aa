"""What a client can measure of the gradients it is sent back."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from cutlayer.auditing.victim import train
from cutlayer.exchange.scrutiny import Scrutiny, _due, label_gap
from cutlayer.experiment import ExperimentError
from cutlayer.message import Kind, Message
from cutlayer.simulation.assembly import assemble, honest_host
from tests.scenes import made, scene_of

__all__ = ["made"]


def pair_by_pair(grad: Tensor, labels: Tensor) -> float:
    """The definition."""
    cosines: dict[bool, list[float]] = {True: [], False: []}
    for i, j in combinations(range(len(grad)), 2):
        cosine = cosine_similarity(grad[i].flatten(), grad[j].flatten(), dim=0).item()
        cosines[bool(labels[i] == labels[j])].append(cosine)
    alike, apart = (sum(values) / len(values) for values in (cosines[True], cosines[False]))
    return alike - apart


def test_the_label_gap_is_that_of_all_pairs() -> None:
    draw = torch.Generator().manual_seed(3)
    labels = torch.randint(4, (23,), generator=draw) * 2 + 1
    grad = torch.randn(23, 3, 5, generator=draw) + torch.randn(9, 3, 5, generator=draw)[labels]
    grad[4] = 0
    assert label_gap(grad, labels).item() == pytest.approx(pair_by_pair(grad, labels), abs=1e-5)
    assert label_gap(grad, labels).item() > 0.2
    # Which label a sample has says nothing of noise, and each sample's own scale says nothing at all.
    assert abs(label_gap(torch.randn(400, 50, generator=draw), torch.arange(400) % 4).item()) < 0.01
    scaled = grad * torch.logspace(-3, 3, 23)[:, None, None]
    assert label_gap(scaled, labels).item() == pytest.approx(label_gap(grad, labels).item(), abs=1e-5)


@pytest.mark.parametrize("labels", [torch.zeros(5), torch.arange(5), torch.zeros(1)])
def test_without_both_kinds_of_pairs_there_is_no_gap(labels: Tensor) -> None:
    scrutiny = Scrutiny()
    reply = Message(Kind.TRAIN, "server", 0, {"grad": torch.ones(len(labels), 4)})
    got = scrutiny.of(labels)(reply, lambda request: reply)
    assert got is reply
    assert scrutiny.means() == {"gradient_norm": pytest.approx((4 * len(labels)) ** 0.5)}
    scrutiny.clear()
    assert scrutiny.means() == {}


def test_batches_that_have_no_gap_leave_that_of_the_others() -> None:
    scrutiny, draw = Scrutiny(), torch.Generator().manual_seed(5)
    gaps = []
    for step in range(40):
        grad = torch.randn(9, 30, generator=draw)
        # Every label once, in any order, in every other batch.
        labels = torch.randperm(9, generator=draw) if step % 2 else torch.arange(9) % 3
        reply = Message(Kind.TRAIN, "server", step, {"grad": grad * (math.inf if step == 4 else 1)})
        scrutiny.of(labels)(reply, lambda request, reply=reply: reply)
        gaps += [label_gap(grad, labels).item()] if not step % 2 else []
        assert math.isnan(label_gap(grad, labels).item()) == bool(step % 2)
    means = scrutiny.means()
    assert min(gaps) < means["label_gap"] < max(gaps)
    assert means["gradient_norm"] == pytest.approx(270**0.5, rel=0.2)


@pytest.mark.parametrize("clients", range(1, 13))
def test_whatever_the_order_of_turns_every_client_is_measured(clients: int) -> None:
    measured = [step % clients for step in range(20 * clients) if _due(step)]
    counts = [measured.count(client) for client in range(clients)]
    assert min(counts) >= 2
    assert 4 * len(measured) == pytest.approx(20 * clients, rel=0.2)


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("protocol", "cut", "named"),
    [
        ("vanilla", "1", {"gradient_norm", "label_gap"}),
        ("u_shaped", "1:4", {"gradient_norm", "label_gap"}),
        # The server drives there, and nothing is sent back.
        ("label_only", "4", set()),
    ],
)
def test_a_session_measures_one_epoch_at_a_time(protocol: str, cut: str, named: set[str]) -> None:
    scene = scene_of(protocol=protocol, cut=cut)
    session, found = assemble(scene, honest_host(scene)), []
    for epoch in (1, 2):
        session.train_epoch(epoch)
        session.predictions(scene.samples.test_rows, session.host)
        found.append(session.scrutiny.means())
    assert found[0].keys() == found[1].keys() == named
    assert all(found[0][name] != found[1][name] for name in named)


@pytest.mark.usefixtures("made")
def test_gradients_are_those_of_the_cut_that_they_were_measured_at(tmp_path: Path) -> None:
    """One victim serves all cuts; what the clients were sent back there is not what they are sent back here."""

    def norm(protocol: str, cut: str) -> float | None:
        scene = scene_of(protocol=protocol, cut=cut, model="dense", plugins=None, attack="unsplit")
        return train(scene, tmp_path, lambda what, done, total: None).history[-1].gradient_norm

    first = norm("vanilla", "1")
    assert first
    assert (norm("vanilla", "1"), norm("vanilla", "2"), norm("u_shaped", "1:3")) == (first, None, None)
    (folder,) = (tmp_path / "victims").iterdir()
    (folder / "history.json").write_text("[]")
    with pytest.raises(ExperimentError, match="is of another version, or damaged: remove "):
        norm("vanilla", "1")
