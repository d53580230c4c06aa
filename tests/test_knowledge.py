"""What can be known: nothing without its facts, and none that deny one another."""

from __future__ import annotations

import pytest

from cutlayer.knowledge import FACTS, Knows, Source


def test_all_that_can_be_known_has_its_facts() -> None:
    assert {*FACTS} == {*Knows}


@pytest.mark.parametrize("what", Knows)
def test_the_facts_of_one_thing_agree(what: Knows) -> None:
    facts = what.facts
    assert facts.live or facts.source is not Source.PEER, "a recording has nobody to ask"
    assert facts.source is Source.PEER or not facts.state, "it is the other seat's own part that is meant"
    assert facts.offerable or not facts.outside, "nobody has by taking part what others have to be asked for"
