"""What does not apply is found before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from cutlayer.auditing import attacked, audit
from cutlayer.auditing.audit import inapplicable, leaves, run_cell, shared
from cutlayer.message import Kind
from cutlayer.record import NOT_APPLICABLE
from tests.cells import GREY, STOCHASTIC, attacks, quiet
from tests.scenes import made, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")
KEY = "the experiment does not offer"
OWN_DATA = ("peer_architecture", "aux_inputs", "aux_labels", "natural_inputs")
ON_THE_VICTIM = {"attack": "pgd", "options": {"pgd": {"network": "victim"}}}
WHITE_BOX = {"attack": "inversion_white_box", "offers": ("peer_architecture", "peer_weights")}
UNDER = {"protocol": "u_shaped", "cut": "1", "under": "sladv", "aux": "share", "isolate": False}


@pytest.fixture
def untrained() -> Iterator[None]:
    """Whatever would be trained is a failure."""
    trained = AssertionError("trained for nothing")
    with ExitStack() as patched:
        for module in (audit, attacked):
            for what in ("train", "assemble"):
                patched.enter_context(patch.object(module, what, side_effect=trained))
        yield


def reason(run: Path, **values: Any) -> str:
    """Why a cell does not apply: the same that is said before the run, and nobody waits for what it would train."""
    scene = scene_of(**{"isolate": False, **values})
    record = run_cell(scene, run, quiet).record
    assert (record.status, record.verdict) == (NOT_APPLICABLE, NOT_APPLICABLE)
    return record.reason


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("attack", "options"),
    [
        ("client_backdoor", {"size": 3}),
        ("surrogate_client", {"size": 3}),
        ("injector_autoencoder", {"size": 3}),
        ("sladv", {}),
        ("fsha", {}),
    ],
)
def test_tampering_with_a_training_that_is_still_to_come(tmp_path: Path, attack: str, options: dict[str, Any]) -> None:
    values = {"attack": attack, "options": {attack: options}, "cut": "1", "aux": "share", "offers": OWN_DATA}
    said = "it tampers with the training, and with when = 'before' there is none before its guess"
    assert reason(tmp_path, **values, when="before") == said
    scene = scene_of(**values, when="before", isolate=False)
    assert inapplicable(scene) == said
    assert shared(scene) == leaves(scene) == ()
    assert inapplicable(scene_of(**values)) == ""
    assert reason(tmp_path, **values, epochs=0) == said.replace("when = 'before'", "epochs = 0")


def test_who_leaves_the_training_alone_may_come_before_it() -> None:
    values = {"attack": "sladv", "cut": "1", "aux": "share", "offers": OWN_DATA, "when": "before"}
    scene = scene_of(**values)
    with patch.object(type(scene.attack), "watches", frozenset({Kind.PREDICT})):
        assert inapplicable(scene) == ""
    assert inapplicable(scene_of(protocol="vanilla", cut="1", when="before")) == "", "it only watches"


@pytest.mark.usefixtures("untrained")
def test_who_watches_a_training_cannot_come_after_it(tmp_path: Path) -> None:
    """It would be shown an honest one, and the record would say that another attack had tampered with it."""
    values = {
        **UNDER,
        "plugins": attacks(tmp_path, mine=GREY),
        "attack": "mine",
        "offers": OWN_DATA,
        "model": STOCHASTIC,
    }
    said = "it watches the training, which is over where under = 'sladv' has been before"
    assert reason(tmp_path, **values) == said
    assert inapplicable(scene_of(**{**values, "under": ""})) == ""


def test_who_would_watch_comes_before_the_training_where_it_is_to(tmp_path: Path) -> None:
    """It meets the network as it begins; the accuracy is what it comes to afterwards."""
    values = {"protocol": "vanilla", "cut": "1", "model": STOCHASTIC, "isolate": False, "when": "before"}
    found = [
        run_cell(scene_of(**values, **own), tmp_path, quiet).record
        for own in ({"plugins": attacks(tmp_path, mine=GREY), "attack": "mine"}, {"plugins": None, **WHITE_BOX})
    ]
    assert [record.attack.notes.get("steps seen") for record in found] == [0, None]
    assert found[0].training == found[1].training != ()
    assert found[0].utility == found[1].utility == found[0].training[-1].accuracy


@pytest.mark.usefixtures("untrained")
def test_offers_that_both_attacks_need_are_named_at_once(tmp_path: Path) -> None:
    offers = ("peer_architecture", "peer_weights", "natural_inputs", "natural_labels")
    both = "offers=aux_inputs,natural_inputs,natural_labels,peer_architecture,peer_weights"
    lacking = reason(tmp_path, **ON_THE_VICTIM, **UNDER, offers=offers)
    assert lacking == f"under = 'sladv': {KEY} aux_inputs (key offers): {both}"
    # The later one lacks some.
    lacking = reason(tmp_path, **ON_THE_VICTIM, **UNDER, offers=("aux_inputs", "natural_inputs", "natural_labels"))
    assert lacking == f"{KEY} peer_architecture, peer_weights (key offers): {both}"
    assert inapplicable(scene_of(**ON_THE_VICTIM, **UNDER, offers=(*offers, "aux_inputs"))) == ""


@pytest.mark.usefixtures("untrained")
def test_no_offer_is_named_that_would_not_do(tmp_path: Path) -> None:
    options = {"surrogate_client": {"size": 3}}
    lacking = reason(tmp_path, attack="surrogate_client", options=options, protocol="u_shaped", cut="1", offers=())
    assert lacking.startswith(KEY)
    assert lacking.endswith("(only a protocol can show labels)")


@pytest.mark.usefixtures("untrained")
def test_an_attack_before_the_cells_own_refuses_by_name(tmp_path: Path) -> None:
    values = {**UNDER, "protocol": "label_only", "cut": "4", "offers": OWN_DATA}
    scene = scene_of(**values, attack="fgsm")
    assert inapplicable(scene) == "", "what its begin() refuses is known once it is seated"
    refused = "under = 'sladv': in label_only the inputs and the first layers are the server's own"
    assert reason(tmp_path, **values, attack="fgsm") == refused
