"""The commands of a deployment: what they leave where they could not begin, and trials that grow."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import pytest
from rich.console import Console

from cutlayer.commands import deploy
from cutlayer.commands.certs import make_certs
from cutlayer.commands.deploy import _same_own, _told, join_one, serve_one
from cutlayer.deploying import place
from cutlayer.deploying.outcome import Outcome
from cutlayer.deploying.settings import ClientSettings, ServerSettings, read_plan, read_settings
from cutlayer.experiment import ExperimentError
from cutlayer.threat import Seat
from cutlayer.transport.duplex import RefusedError
from tests.deployments import Deployment, made_here, plan_of
from tests.interruptions import files_for

__all__ = ["made_here"]

quiet = Console(quiet=True)


def test_a_server_that_cannot_listen_leaves_nothing_that_another_plan_would_not_fit(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        make_certs(tmp_path, ["alice"], [], port, 1, quiet)
        for changes in ([], ["plan.epochs=9"]):
            with pytest.raises(ExperimentError, match=rf"listen = '127.0.0.1:{port}': it is in use"):
                serve_one(tmp_path / "server" / "server.toml", changes, quiet)
    assert not (tmp_path / "server" / "run" / "record.json").exists()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["alice", "al ice"], "'al ice' cannot be a party's name"),
        (["alice", "server"], "client 'server': every client needs a name of its own, and that is the server's"),
        (["alice", "authority"], "client 'authority': every .*, and that is the authority's"),
        (["alice", "alice"], "client 'alice': every client needs a name of its own, and two have this one"),
    ],
)
def test_a_name_that_is_none_leaves_no_file(tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(ExperimentError, match=said):
        make_certs(tmp_path / "trial", names, [], 7443, 1, quiet)
    assert not (tmp_path / "trial").exists()


def test_a_folder_that_cannot_be_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExperimentError, match="cannot be written: Not a directory"):
        make_certs(tmp_path / "file" / "trial", ["alice"], [], 7443, 1, quiet)
    make_certs(tmp_path / "trial", ["alice"], [], 7443, 1, quiet)
    with pytest.raises(ExperimentError, match=r"/file cannot be written to: File exists; choose another `folder`"):
        serve_one(tmp_path / "trial" / "server" / "server.toml", [f"folder={tmp_path / 'file'}"], quiet)


def test_a_party_that_is_added_to_a_trial_gets_its_plan(tmp_path: Path) -> None:
    make_certs(tmp_path, ["alice"], [], 7443, 1, quiet)
    plan = (tmp_path / "server" / "plan.toml").read_text() + "decay = 0.5\n"
    (tmp_path / "server" / "plan.toml").write_text(plan)
    with pytest.raises(
        ExperimentError, match=r"alice/certificate.pem is there already and is not overwritten: name new"
    ):
        make_certs(tmp_path, ["tom", "alice"], [], 7443, 1, quiet)
    assert not (tmp_path / "tom").exists(), "half of what was asked for"
    make_certs(tmp_path, ["tom"], [], 7443, 1, quiet)
    assert (tmp_path / "tom" / "plan.toml").read_text() == plan


@pytest.fixture
def alone(made_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No party of the test gets as far as the network."""

    def too_far(*_: object) -> None:
        raise AssertionError("it went on")

    for name in ("connect", "serve"):
        monkeypatch.setattr(deploy, name, too_far)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["randomness=own"], 'randomness is "own" now, "plan" there'),
        (["defense=none"], 'defense is "none" now, "gaussian_noise" there'),
        (["gaussian_noise.sigma=0.5"], "options is .*0.5.* now, {} there"),
        (["share=all"], "training rows is 44 now, 22 there"),
    ],
)
def test_a_client_does_not_go_on_with_other_settings_or_data_of_its_own(
    tmp_path: Path, changes: list[str], message: str
) -> None:
    file = files_for(Deployment(plan_of(2), tmp_path), {})["c0"]
    settings = read_settings(ClientSettings, file, ["defense=gaussian_noise"])
    begun = place.take_place(read_plan(settings), settings, Seat.CLIENT, 0, "c0")
    before = Outcome(begun).write("training")
    assert before.own == begun.own
    with pytest.raises(ExperimentError, match=f"that began with other settings or data: {message}; choose another"):
        join_one(file, ["defense=gaussian_noise", *changes], quiet)
    assert begun.durable.shelf.marks() == []
    # What another version left is told by its checkpoints.
    _same_own(settings, begun.own, before.model_copy(update={"own": None}))


@pytest.mark.usefixtures("alone")
def test_a_training_that_is_over_was_not_one_with_other_settings(tmp_path: Path) -> None:
    file = files_for(Deployment(plan_of(2), tmp_path), {})["c0"]
    settings = read_settings(ClientSettings, file, ["defense=gaussian_noise"])
    begun = place.take_place(read_plan(settings), settings, Seat.CLIENT, 0, "c0")
    done = Outcome(begun).write("done")
    begun.durable.shelf.clear()
    assert join_one(file, ["defense=gaussian_noise", "data_dir=elsewhere"], quiet) == done
    for changed, said in (("none", '"none" now'), ("gaussian_noise", "")):
        options = [] if said else ["gaussian_noise.sigma=0.5"]
        with pytest.raises(
            ExperimentError, match=f"other settings or data: .*{said or '0.5'}.*; choose another folder"
        ):
            join_one(file, [f"defense={changed}", *options], quiet)


@pytest.mark.usefixtures("alone")
def test_a_server_does_not_go_on_with_other_randomness(tmp_path: Path) -> None:
    file = files_for(Deployment(plan_of(2), tmp_path), {})["server"]
    settings = read_settings(ServerSettings, file)
    Outcome(place.take_place(read_plan(settings), settings, Seat.SERVER)).write("training")
    with pytest.raises(ExperimentError, match='randomness is "own" now, "plan" there'):
        serve_one(file, ["randomness=own"], quiet)


@pytest.mark.usefixtures("alone")
def test_a_client_is_told_what_the_numbers_in_its_data_mean(tmp_path: Path) -> None:
    file, told = files_for(Deployment(plan_of(), tmp_path), {})["c0"], io.StringIO()
    with pytest.raises(AssertionError, match="it went on"):
        join_one(file, [], Console(file=told, width=200))
    assert "numbers in its own data: classes 0 a, 1 b, 2 c, 3 d" in told.getvalue()


def test_what_the_other_side_says_last_cannot_steer_a_terminal() -> None:
    with pytest.raises(ExperimentError) as caught, _told():
        raise RefusedError("no\x1b[2J\n")
    assert str(caught.value) == r"the training stopped: no\x1b[2J\n"
