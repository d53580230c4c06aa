"""A party's own record: what it says of earlier processes, and what it makes of a file that is none."""

from __future__ import annotations

import pytest

from cutlayer.deploying.member import Member
from cutlayer.deploying.outcome import Outcome, read_party_record
from cutlayer.experiment import ExperimentError
from cutlayer.transport.duplex import DisconnectedError
from tests.deployments import CUTS, Deployment, in_process, made_here, plan_of
from tests.scenes import made

__all__ = ["made", "made_here"]
pytestmark = pytest.mark.usefixtures("made", "made_here")


@pytest.mark.parametrize("name", ["server", "c0"])
def test_a_process_that_goes_on_counts_as_an_interruption_and_one_behind_the_end_does_not(tmp_path, name):
    deployed = Deployment(plan_of(), tmp_path)
    for expected in (0, 1, 2):
        place = deployed.place(name)
        assert Outcome(place).write("training").interruptions == expected
        place.durable.shelf.close()
    place = deployed.place(name)
    found = Outcome(place)
    found.finish()
    assert found.interruptions == 3
    assert Outcome(place).interruptions == 0
    place.durable.shelf.close()


def test_another_file_in_its_place_is_told(tmp_path):
    (tmp_path / "record.json").write_text('{"cell": 1}')
    with pytest.raises(ExperimentError, match="is not a party's record: choose another `folder`"):
        read_party_record(tmp_path)


@pytest.mark.parametrize("protocol", CUTS)
def test_at_the_end_every_client_measures_the_accuracy_on_its_own_test_data(tmp_path, protocol):
    deployed = Deployment(plan_of(3, protocol=protocol, evaluate=1), tmp_path)
    deployed.run()
    _, _, (early, final) = in_process(deployed.plan)
    # All have the same test data here; after an epoch before the last who trained last has the part.
    found = [deployed.record(name).accuracy for name in deployed.plan.terms.clients]
    assert found == [
        {2: pytest.approx(final)},
        {2: pytest.approx(final)},
        {1: pytest.approx(early), 2: pytest.approx(final)},
    ]


class Silent:
    """A connection that ends before the other side has said anything, or after its first word."""

    def __init__(self, *words):
        self.words = list(words)

    def tell(self, verb, **fields):
        pass

    def receive(self, seconds=None):
        if not self.words:
            raise DisconnectedError("nobody is there")
        return self.words.pop(0)

    def close(self, reason=None):
        pass


def test_a_server_that_is_not_there_yet_has_interrupted_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("cutlayer.deploying.member.time.sleep", lambda seconds: None)
    place = Deployment(plan_of(), tmp_path).place("c0")
    links = iter([Silent(), Silent(), Silent(b'{"verb": "wait"}')])
    member = Member(place, None, lambda: next(links))
    with pytest.raises(StopIteration):
        member.run()
    assert member.outcome.interruptions == 1
    place.durable.shelf.close()
