"""What the injector learns before the deployment: where its two pairs start, their steps, the autoencoder's rate."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim.optimizer import register_optimizer_step_post_hook

from cutlayer.attacks import injector_autoencoder
from cutlayer.attacks.injector_autoencoder import InjectorAutoencoder
from tests.attacks.test_injector_autoencoder import all_kept, attacked, network

__all__ = ["all_kept"]
pytestmark = pytest.mark.usefixtures("all_kept")


class Fit(NamedTuple):
    """A pair as it started, as its training left it, what it was trained on, and how its client was asked then."""

    start: nn.Sequential
    pair: nn.Sequential
    images: Tensor
    labels: Tensor
    training: list[bool]


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[Fit]:
    """The clean pair and the triggered one, once an attack has trained them."""
    found, fit = list[Fit](), InjectorAutoencoder._fit

    def noted(attack: InjectorAutoencoder, pair: nn.Sequential, images: Tensor, labels: Tensor, what: str) -> None:
        noting = Fit(copy.deepcopy(pair), pair, images, labels, training=[])
        found.append(noting)
        fit(attack, pair, images, labels, what)
        pair[0].register_forward_pre_hook(lambda client, inputs: noting.training.append(client.training))

    monkeypatch.setattr(InjectorAutoencoder, "_fit", noted)
    return found


@pytest.fixture
def rates() -> Iterator[list[float]]:
    """The learning rate of every step of any optimizer."""
    found = list[float]()
    noting = register_optimizer_step_post_hook(lambda optimizer, *rest: found.append(optimizer.param_groups[0]["lr"]))
    yield found
    noting.remove()


def test_the_pairs_start_from_weights_of_their_own(fits: list[Fit]) -> None:
    attacked({}, count=4)
    clean, triggered = (fit.start.state_dict() for fit in fits)
    deployed = network().state_dict()
    for name, tensor in clean.items():
        agreed = deployed[name.partition(".")[2]]
        assert not torch.equal(tensor, triggered[name]), name
        assert not torch.equal(tensor, agreed), name
        assert not torch.equal(triggered[name], agreed), name


def test_their_weights_decay(fits: list[Fit]) -> None:
    """All of the own data in one step of Adam, of which only signs are to be seen: the decay turns some of them."""
    attacked({"batch_size": 24, "weight_decay": 1.0}, count=4)
    for start, pair, images, labels, _ in fits:
        cross_entropy(start(images), labels).backward()
        torch.optim.Adam(start.parameters(), 1e-3, weight_decay=1.0).step()
        torch.testing.assert_close(pair.state_dict(), start.state_dict())


def test_once_trained_they_are_asked_in_evaluation_mode(fits: list[Fit]) -> None:
    attacked({}, count=4)
    for fit in fits:
        assert fit.training
        assert not any(fit.training)


def test_the_autoencoder_s_rate_falls_where_its_loss_does_not(
    monkeypatch: pytest.MonkeyPatch, rates: list[float]
) -> None:
    monkeypatch.setattr(injector_autoencoder, "mse_loss", lambda out, wanted: 0 * mse_loss(out, wanted) + 1)
    attacked({"batch_size": 24, "autoencoder_epochs": 7, "patience": 1}, count=4)
    # One step an epoch, behind one of each pair and before those of server and client.
    assert rates[2:-2] == pytest.approx([1e-3] * 3 + [2e-4] * 2 + [5e-5] * 2)
