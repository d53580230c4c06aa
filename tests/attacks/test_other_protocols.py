"""Attacks in protocols of the user's own: what they are told of one is what it does, not what it is called."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cutlayer import registry
from cutlayer.auditing.grants import Outside
from cutlayer.seat.making import make_protocol
from cutlayer.seat.seating import seat_clients, seat_server
from cutlayer.threat import NotOfferedError, Seat, View
from tests import trials
from tests.trials import Case, attack_of, scene_of, told_of

PROTOCOLS = registry.names("protocols")
CASES = trials.plain(trials.cases())


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of plug-ins with every protocol there is as ``my_<name>``."""
    (tmp_path / "protocols").mkdir()
    for name in PROTOCOLS:
        source = Path(registry.module("protocols", name).__file__ or "").read_text()
        (tmp_path / "protocols" / f"my_{name}.py").write_text(source)
        if name in trials.CUTS:
            monkeypatch.setitem(trials.CUTS, f"my_{name}", trials.CUTS[name])
    return tmp_path


def refusal(case: Case) -> str:
    """Why the attack does not begin, given all it declares; empty where it does."""
    scene, attack = scene_of(case), attack_of(case)
    told = told_of(scene, attack.threat.knows)
    try:
        if attack.threat.seat is Seat.CLIENT:
            seat_clients(told, lambda: pytest.fail("there is no client yet"), Outside())
        else:
            seat_server(told, Outside())
    except NotOfferedError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_copy_of_a_protocol_is_refused_as_the_original_is(case: Case, copies: Path) -> None:
    mine = Case(case.attack, f"my_{case.protocol}", case.options, copies)
    assert refusal(mine) == refusal(case).replace(case.protocol, mine.protocol)


@pytest.mark.parametrize("protocol", ["label_only", pytest.param("u_shaped", marks=pytest.mark.slow)])
def test_in_a_copy_of_a_protocol_a_proxy_is_the_same(protocol: str, copies: Path) -> None:
    (case,) = (case for case in CASES if (case.attack, case.protocol) == ("fgsm", protocol))
    one, other = trials.trial(case), trials.run(Case("fgsm", f"my_{protocol}", case.options, copies))
    assert one.guesses
    for mine, theirs in zip(other.guesses, one.guesses, strict=True):
        assert all(torch.equal(mine.tensors[name], tensor) for name, tensor in theirs.tensors.items())


@pytest.mark.parametrize(
    ("attack", "owners", "labels_at", "says"),
    [
        ("label_inference", "client server", "client", "in mine the last part is the server's own"),
        ("surrogate_client", "client server client", "server", "in mine the server computes no loss"),
    ],
)
def test_another_protocol_is_told_by_what_it_does(attack: str, owners: str, labels_at: str, says: str) -> None:
    protocol = make_protocol("vanilla")
    protocol.owners, protocol.labels_at = tuple(map(Seat, owners.split())), Seat(labels_at)  # type: ignore[misc]
    made = attack_of(Case(attack, "vanilla"))
    view = View(made.threat, dict.fromkeys(made.threat.knows, lambda: None), (), protocol.layout("mine"))
    with pytest.raises(NotOfferedError, match=says):
        made.begin(view)
