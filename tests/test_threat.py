"""The view: what is known passes one gate, declared, offered and counted."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import chain
from unittest.mock import Mock

import pytest
import torch

from cutlayer.adversary import Adversary
from cutlayer.budget import Budget
from cutlayer.experiment import OFFERABLE
from cutlayer.message import Kind
from cutlayer.registry import names
from cutlayer.seat.making import make_protocol
from cutlayer.stream import Stream
from cutlayer.threat import (
    Architecture,
    Goal,
    Knows,
    NotOfferedError,
    Row,
    Seat,
    ThreatModel,
    TooEarlyError,
    TooLateError,
    UndeclaredError,
    View,
)

METHODS = {
    Knows.OWN_PART: "own_part",
    Knows.OWN_PARTY: "own_party",
    Knows.PEER_ARCHITECTURE: "peer_architecture",
    Knows.PEER_WEIGHTS: "peer_weights",
    Knows.PEER_GRADIENTS: "peer_gradients",
    Knows.AUX_INPUTS: "aux_inputs",
    Knows.AUX_LABELS: "aux_labels",
    Knows.NATURAL_INPUTS: "natural_inputs",
    Knows.NATURAL_LABELS: "natural_labels",
    Knows.SCHEDULE: "schedule",
    Knows.CLASS_PRIOR: "class_prior",
}


def model(*knows: Knows) -> ThreatModel:
    return ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), frozenset(knows))


def view(*knows: Knows, offered: set[Knows] | None = None) -> View:
    grants = {what: lambda *arguments, what=what: (what, *arguments) for what in offered or set(Knows)}
    return View(model(*knows), grants, [Row(Kind.PREDICT, 0, 0)])


@pytest.mark.parametrize(("what", "method"), METHODS.items())
def test_what_is_declared_and_offered_is_given_and_counted(what, method):
    window = view(what)
    which = (0,) if what is Knows.OWN_PART else ()
    assert getattr(window, method)() == (what, *which)
    assert getattr(window, method)() == (what, *which)
    assert window.used == {what: 2}


@pytest.mark.parametrize(("what", "method"), METHODS.items())
def test_nothing_is_granted_once_the_guess_is_made(what, method):
    window = view(what)
    window.close()
    with pytest.raises(TooLateError, match=f"{what} is asked for after the guess"):
        getattr(window, method)()
    assert window.used == {}


@pytest.mark.parametrize("anytime", [False, True])
def test_a_view_is_valid_until_an_attack_has_guessed_that_is_asked_once(anytime):
    window, attack = view(Knows.CLASS_PRIOR), Mock(anytime=anytime, infer=list)
    Adversary(attack, window, Stream(1)).infer()
    with nullcontext() if anytime else pytest.raises(TooLateError):
        assert window.class_prior() == (Knows.CLASS_PRIOR,)


@pytest.mark.parametrize(("what", "method"), METHODS.items())
def test_what_is_not_declared_is_refused_and_not_counted(what, method):
    window = view(*(set(Knows) - {what}))
    with pytest.raises(UndeclaredError, match=f"does not declare {what}; it declares"):
        getattr(window, method)()
    assert window.used == {}


def test_a_view_holds_nothing_undeclared():
    """An attack reads its attributes as easily as it calls its methods."""
    grants = {what: Mock() for what in Knows}
    window = View(model(Knows.SCHEDULE), grants, ())
    assert not hasattr(window, "grants")
    held = [one for value in vars(window).values() for one in (value.values() if isinstance(value, dict) else [value])]
    assert {what for what, grant in grants.items() if grant in held} == {Knows.SCHEDULE}


@pytest.mark.parametrize("what", ["natural_inputs", "natural_labels"])
def test_nothing_of_targets_is_known_before_there_are_any(what):
    """What an attack leaves of a training is met with other targets, and within other budgets, too."""
    grants = {Knows(what): lambda: torch.zeros(1)}
    window = View(model(Knows(what)), grants, (), within=(Budget((0.1,)),))
    for ask in (getattr(window, what), lambda: window.budgets):
        with pytest.raises(TooEarlyError, match="once there are targets"):
            ask()
    assert window.used == {}
    window.targets = [Row(Kind.PREDICT, 0, 0)]
    assert getattr(window, what)() is not None
    assert [budget.name for budget in window.budgets] == [""]


@pytest.mark.parametrize("what", Knows)
def test_a_view_is_not_built_when_something_declared_is_not_offered(what):
    with pytest.raises(NotOfferedError, match=f"does not offer {what} "):
        view(*Knows, offered=set(Knows) - {what})


def test_what_is_missing_is_named_in_order():
    with pytest.raises(NotOfferedError, match=r"does not offer aux_inputs, peer_weights "):
        view(Knows.PEER_WEIGHTS, Knows.AUX_INPUTS, Knows.SCHEDULE, offered={Knows.SCHEDULE})


def test_what_no_experiment_can_offer_is_not_sent_to_its_keys():
    shown = [make_protocol(name).exposes.values() for name in names("protocols")]
    assert frozenset[Knows]().union(*chain(*shown)) == set(Knows) - set(OFFERABLE)
    with pytest.raises(NotOfferedError, match=r"does not offer aux_inputs, labels \(only a protocol can show labels\)"):
        view(Knows.LABELS, Knows.AUX_INPUTS, Knows.SCHEDULE, offered={Knows.SCHEDULE})


def test_every_query_is_counted():
    window = view(Knows.PEER_QUERIES)
    inputs = torch.rand(7, 2)
    assert window.peer_queries(inputs)[1] is inputs
    window.peer_queries(inputs[:3])
    assert window.used == {Knows.PEER_QUERIES: 10}


def test_undeclared_queries_are_not_counted():
    window = view(Knows.SCHEDULE)
    with pytest.raises(UndeclaredError, match="peer_queries"):
        window.peer_queries(torch.rand(7, 2))
    assert window.used == {}


def test_a_model_that_declares_nothing_says_so():
    with pytest.raises(UndeclaredError, match="it declares nothing"):
        view().own_part()


def test_notes_are_kept():
    window = view()
    window.note("loss", 0.5)
    window.note("loss", 0.25)
    window.note("curve", [1.0, 0.5])
    assert window.notes == {"loss": 0.25, "curve": [1.0, 0.5]}


def test_progress_is_reported_at_the_start_and_at_the_end():
    window, seen = view(), []
    window.progress = lambda *report: seen.append(report)
    assert list(window.track(range(1000), "steps")) == list(range(1000))
    assert seen[0] == ("steps", 0, 1000)
    assert seen[-1] == ("steps", 1000, 1000)
    assert len(seen) < 50


def test_progress_over_something_without_a_length_needs_a_total():
    window, seen = view(), []
    window.progress = lambda *report: seen.append(report)
    assert list(window.track(iter("ab"), "letters", total=2)) == ["a", "b"]
    assert seen[-1] == ("letters", 2, 2)
    assert list(window.track([], "nothing")) == []
    assert seen[-1] == ("nothing", 0, 0)


def test_values_are_frozen():
    for value, field in ((model(), "tampers"), (Architecture(torch.nn.Linear, ((1,),), 2), "classes")):
        with pytest.raises(AttributeError):
            setattr(value, field, 1)
