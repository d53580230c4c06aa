"""Client backdoors: what is poisoned and what stays, who poisons, and that the server is none the wiser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cutlayer.adversary import Adversary
from cutlayer.attacks.client_backdoor import ClientBackdoor
from cutlayer.auditing.audit import run_cell
from cutlayer.batch import Batch
from cutlayer.experiment import ExperimentError, make
from cutlayer.scene.settle import settle
from cutlayer.stream import Stream
from cutlayer.threat import View
from tests.parties import layout_of
from tests.scenes import PLUGINS, made

__all__ = ["made"]

SHAPE = (1, 8, 8)
INPUTS = torch.rand(40, *SHAPE, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(40) % 4
SMALL = {"size": 3, "target": 1}


def poisoned(**options: Any) -> tuple[Batch, ClientBackdoor, Adversary]:
    attack = ClientBackdoor(**{**SMALL, **options})
    adversary = Adversary(attack, View(attack.threat, {}, (), layout_of("vanilla")), Stream(3))
    adversary.begin()
    return adversary.own_batch(Batch(torch.arange(40), INPUTS, LABELS)), attack, adversary


@pytest.mark.parametrize("trigger", ["patch", "blended", "sinusoidal"])
def test_a_share_gets_trigger_and_target_and_the_rest_stays(trigger: Any) -> None:
    batch, attack, adversary = poisoned(trigger=trigger, poisoned=0.25)
    assert batch.labels is not None
    changed = (batch.inputs != INPUTS).flatten(1).any(1)
    assert int(changed.sum()) == 10
    assert set(batch.labels[changed].tolist()) == {1}
    assert torch.equal(batch.labels[~changed], LABELS[~changed])
    assert attack._drawn is not None
    torch.testing.assert_close(batch.inputs[changed], attack._drawn.stamp(INPUTS[changed]))
    again = adversary.own_batch(Batch(torch.arange(40), INPUTS, LABELS))
    assert not torch.equal((again.inputs != INPUTS).flatten(1).any(1), changed), "the same samples every time"


def test_labels_can_be_kept() -> None:
    batch, _, _ = poisoned(labels="kept", poisoned=0.5)
    changed = (batch.inputs != INPUTS).flatten(1).any(1)
    assert batch.labels is not None
    assert torch.equal(batch.labels, LABELS)
    assert int(changed.sum()) == 5
    assert set(LABELS[changed].tolist()) == {1}


def test_a_sinusoid_is_the_published_one() -> None:
    _, attack, _ = poisoned(trigger="sinusoidal", amplitude=0.1, frequency=2)
    assert attack._drawn is not None
    gray = attack._drawn.stamp(torch.full((1, *SHAPE), 0.5))[0, 0]
    expected = 0.5 + 0.1 * torch.tensor([2 * torch.pi * column * 2 / 8 for column in range(8)]).sin()
    torch.testing.assert_close(gray, expected.expand(8, 8))


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("protocol", ["vanilla", pytest.param("u_shaped", marks=pytest.mark.slow)])
def test_a_malicious_client_among_three_plants_a_backdoor(protocol: str, tmp_path: Path) -> None:
    options = {"client_backdoor": {**SMALL, "values": "white"}}
    found = audited(tmp_path, protocol=protocol, options=options, epochs=6, learning_rate=0.04)
    success = {score.metric: score for score in found.scores}["attack_success"]
    assert success.value is not None
    assert success.blind is not None
    assert success.value > 0.8 > 0.5 > success.blind
    assert found.threat.used == {}
    assert found.isolated is False
    assert len(found.course) == 5


def audited(folder: Path, **values: Any) -> Any:
    given = {"attack": "client_backdoor", "cut": "1:3" if values.get("protocol") == "u_shaped" else "1"}
    given |= {"batch_size": 8, "model": "stochastic", "plugins": PLUGINS}
    scene = settle(make({**given, "clients": 3, "isolate": False, **values}))[0]
    return run_cell(scene, folder, lambda what, done, total: None).record


@pytest.mark.usefixtures("made")
def test_where_clients_hold_no_inputs_it_does_not_apply(tmp_path: Path) -> None:
    record = audited(tmp_path, protocol="label_only", epochs=1, options={"client_backdoor": SMALL})
    assert (record.status, "hold no inputs" in record.reason) == ("not applicable", True)


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"malicious": 4}, "malicious = 4: there are only 3 clients"),
        ({"malicious": 2, "clients": 1}, "malicious = 2: there is only 1 client$"),
        ({"options": {"client_backdoor": {"size": 9}}}, "trigger of 9 pixels .* does not fit 8 x 8"),
        ({"options": {"client_backdoor": {"target": 4, "trigger": "blended"}}}, "target = 4: there are 4 classes"),
        ({"options": {"client_backdoor": {"poisoned": 0}}}, "poisoned = 0.0: it is greater than 0"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(values: dict[str, Any], message: str) -> None:
    given = {"attack": "client_backdoor", "clients": 3, "cut": "1", "model": "stochastic", "plugins": PLUGINS}
    with pytest.raises(ExperimentError, match=message):
        settle(make({**given, **values}))


@pytest.mark.usefixtures("made")
def test_who_is_malicious_is_drawn_from_the_seed() -> None:
    given = {"attack": "client_backdoor", "clients": 9, "malicious": 3, "cut": "1", "model": "stochastic"}
    given |= {"plugins": PLUGINS, "options": {"client_backdoor": SMALL}}
    drawn = [settle(make({**given, "seed": seed}))[0].malicious for seed in (1, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert len({tuple(numbers) for numbers in drawn}) > 1
    assert all(len(set(numbers)) == 3 and set(numbers) <= set(range(9)) for numbers in drawn)
