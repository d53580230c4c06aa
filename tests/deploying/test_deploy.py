"""The commands of a deployment: what they leave where they could not begin, and trials that grow."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from rich.console import Console

from cutlayer.commands.certs import make_certs
from cutlayer.commands.deploy import serve_one
from cutlayer.experiment import ExperimentError

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


@pytest.mark.parametrize("names", [["alice", "al ice"], ["alice", "server"], ["alice", "alice"]])
def test_a_name_that_is_none_leaves_no_file(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ExperimentError, match="name"):
        make_certs(tmp_path / "trial", names, [], 7443, 1, quiet)
    assert not (tmp_path / "trial").exists()


def test_a_folder_that_cannot_be_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExperimentError, match="cannot be written: Not a directory"):
        make_certs(tmp_path / "file" / "trial", ["alice"], [], 7443, 1, quiet)
    make_certs(tmp_path / "trial", ["alice"], [], 7443, 1, quiet)
    with pytest.raises(ExperimentError, match=r"folder = .* cannot be written to: File exists"):
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
