"""The party that keeps the client part between turns: what it says, and what it leaves."""

from __future__ import annotations

import pytest

from cutlayer.deploying import trustee as module
from cutlayer.deploying.trustee import Trustee
from cutlayer.transport.duplex import control
from tests import deployments
from tests.deploying.test_hostile_server import TRUSTED, Server, say
from tests.deployments import Deployment, ends_well, made_here, plan_of
from tests.scenes import made

__all__ = ["made", "made_here"]
pytestmark = pytest.mark.usefixtures("made", "made_here")
AWAY, KEEPING = "no connection (nothing more); trying again", "keeping the client part between turns"


def trustee_of(folder, links, seen):
    deployed, left = Deployment(plan_of(2, **TRUSTED), folder), iter(links)
    watch = lambda what, done, total: seen.append(what)  # noqa: E731
    return Trustee(deployed.plan, deployed.papers.identity("tess"), folder, lambda: next(left), watch, {})


def test_it_says_that_it_keeps_a_part_once_the_server_has_answered(tmp_path, monkeypatch):
    monkeypatch.setattr("cutlayer.deploying.trustee.time.sleep", lambda seconds: None)
    seen, wait = [], say("wait", why="c0 trains")
    links = [Server(), Server(), Server(wait, wait), Server(), Server(say("finish"))]
    trustee_of(tmp_path, links, seen).run()
    assert seen == [AWAY, AWAY, KEEPING, AWAY, AWAY, KEEPING]
    assert [said["verb"] for link in links for said in link.told] == ["hello"] * 5 + ["done"]


def test_it_hears_of_a_turn_that_trains(tmp_path, monkeypatch):
    """Before a part is handed over to it, which the first turn ends with."""
    deployed, heard = Deployment(plan_of(2, epochs=1, **TRUSTED), tmp_path), []

    def noted(frame):
        heard.append(control(frame))
        return heard[-1]

    monkeypatch.setattr(module, "control", noted)
    threads = [deployed.serve(), deployed.keep()]
    assert deployed.roll.wait("tess", deployments.SECONDS, lambda: True)
    ends_well(deployed, *threads, *(deployed.join(name) for name in ("c0", "c1")))
    assert heard[0] == {"verb": "wait", "why": "c0 trains, turn 1 of 2"}


@pytest.mark.parametrize(("there", "left"), [((), []), (("client_part.frame",), []), (("secret",), ["state/secret"])])
def test_nothing_of_its_own_is_left_at_the_end(tmp_path, there, left):
    for name in there:
        (tmp_path / "state").mkdir(exist_ok=True)
        (tmp_path / "state" / name).write_bytes(b"")
    trustee_of(tmp_path, [Server(say("finish"))], []).run()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == left
    assert (tmp_path / "state").exists() is bool(left)
