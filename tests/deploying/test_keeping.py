"""A party of a deployment that keeps its wire: what it keeps, over restarts too, and what an attack makes of it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors import safe_open

from cutlayer.commands.record import replay_all
from cutlayer.exchange.tape import Recorder, Tape
from cutlayer.experiment import ExperimentError
from cutlayer.message import Kind, Message
from cutlayer.recordings.archive import open_recording
from cutlayer.recordings.recorder import record
from cutlayer.threat import Seat
from tests.cells import quiet
from tests.deploying.test_noise import OWN
from tests.deployments import CUTS, Deployment, assert_same_bits, made_here, plan_of
from tests.scenes import PLUGINS, made, scene_of

__all__ = ["made", "made_here"]
pytestmark = pytest.mark.usefixtures("made", "made_here")


def training(file: Path) -> list[tuple[Message, Message]]:
    exchanges = [(one.request, one.reply) for one in Tape(file)]
    return [pair for pair in exchanges if pair[0].kind is not Kind.PREDICT]


def same(one: Message, other: Message) -> bool:
    return (one.kind, one.step, one.tensors.keys()) == (other.kind, other.step, other.tensors.keys()) and all(
        torch.equal(tensor, other[name]) for name, tensor in one.tensors.items()
    )


# In vanilla a client drives, as in u_shaped.
@pytest.mark.parametrize("protocol", ["u_shaped", "label_only", pytest.param("vanilla", marks=pytest.mark.slow)])
@pytest.mark.parametrize("own", [{}, OWN], ids=["plain", "defended"])
def test_a_deployment_keeps_what_a_session_would(tmp_path, protocol, own):
    """Server and client keep the same messages of one training, and a simulation of it the same once more."""
    deployed = Deployment(plan_of(protocol=protocol), tmp_path, settings={"record": "10MB"}, own=own)
    deployed.run()
    assert_same_bits(deployed, **own)
    kept = [open_recording(tmp_path / name / "recording") for name in ("server", "c0")]
    assert [recording.seat for recording in kept] == [Seat.SERVER, Seat.CLIENT]
    server, client = (training(recording.file("session")) for recording in kept)
    scene = scene_of(protocol=protocol, cut=CUTS[protocol], attack="spy", **own)
    simulated = record(scene, tmp_path, 1 << 28, True, quiet)
    for others in (client, training(simulated.file("training"))):
        assert len(server) == len(others) > 10
        for one, other in zip(server, others, strict=True):
            assert same(one[0], other[0])
            assert same(one[1], other[1])
    told = json.loads((tmp_path / "server" / "recording" / "recording.json").read_text())["brief"]
    assert (told["party_seed"], told["attack_seed"]) == (0, 0)
    assert {one.request.kind for one in Tape(kept[0].file("session"))} >= {Kind.PREDICT}


def test_work_done_again_after_a_stop_is_kept_once(tmp_path):
    deployed = Deployment(plan_of(epochs=1), tmp_path, settings={"record": "10MB"})
    deployed.run()
    file = tmp_path / "server" / "recording" / "session.wire"
    before = file.read_bytes()
    exchanges = list(Tape(file))
    again = Recorder(file, 1 << 24)
    for one in exchanges[2:]:
        again(one.request, lambda request, one=one: one.reply)
    assert file.read_bytes() == before


def test_nothing_is_kept_unless_asked_for(tmp_path):
    Deployment(plan_of(epochs=1), tmp_path).run()
    assert not list(tmp_path.rglob("recording*"))


def test_a_size_that_is_none_is_refused(tmp_path):
    with pytest.raises(ExperimentError, match="record = 'much': no size"):
        Deployment(plan_of(), tmp_path, settings={"record": "much"}).place("server")


def test_an_attack_guesses_from_what_a_server_kept(tmp_path):
    plan = plan_of(epochs=1, cut="0")
    deployed = Deployment(plan, tmp_path, settings={"record": "10MB"})
    deployed.run()
    folder, console = tmp_path / "server" / "recording", Console(file=io.StringIO(), width=200)
    assert str(PLUGINS.parent) not in (folder / "recording.json").read_text()
    short = ["unsplit.rounds=1", "unsplit.input_steps=2", "unsplit.model_steps=2", "unsplit.restarts=1"]
    short += [own := f"plugins={PLUGINS}"]
    records, guesses = replay_all(folder, ["attack=unsplit", "targets=3", *short], "typed", console)
    assert records == []
    (inputs, *_) = sorted(guesses.glob("*inputs.safetensors"))
    with safe_open(inputs, "pt") as found:
        assert found.get_tensor("inputs").shape == (3, 1, 8, 8)
        assert len(found.metadata()["rows"].split()) == 3
    assert isinstance(console.file, io.StringIO)
    assert "a guess that nobody here can judge" in console.file.getvalue()
    for given, why in (
        (["attack=fsha"], "only attacks that watch"),
        (["attack=inversion_query_free"], "needs .*own_part"),
        (["cut=1"], "without a truth a replay takes attack, targets"),
        (["targets=0"], "targets = 0"),
    ):
        with pytest.raises(ExperimentError, match=why):
            replay_all(folder, [*given, own], "typed", console)
    with pytest.raises(ExperimentError, match="from the recorded server's seat"):
        replay_all(tmp_path / "c0" / "recording", ["attack=unsplit", own], "typed", console)
