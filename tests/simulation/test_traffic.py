"""What a record says that crossed is what crosses when the deployment really trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cutlayer.auditing.audit import run_cell
from cutlayer.deploying import conversation, member, place
from cutlayer.message import Kind
from cutlayer.record import Epoch, read_record, write_record
from cutlayer.recordings.recorder import record
from cutlayer.recordings.replay import replay_cell
from cutlayer.simulation import traffic
from cutlayer.simulation.assembly import assemble, honest_host
from cutlayer.simulation.traffic import cost
from cutlayer.sweeping.folder import cell_folder, finished
from cutlayer.threat import Seat
from tests.cells import UNSPLIT, quiet
from tests.deployments import Deployment, in_process, made_here, plan_of
from tests.scenes import made, scene_of

__all__ = ["made", "made_here"]
pytestmark = pytest.mark.usefixtures("made")
CUTS = {"vanilla": "1", "u_shaped": "1:4", "label_only": "4"}
PACKED = {"defense": "int8_quantization"}
THREE = {"clients": 3, "turn": 2, "handover": "server"}


@pytest.mark.parametrize(
    ("protocol", "values"),
    [
        *((protocol, THREE) for protocol in CUTS),
        ("vanilla", {}),
        ("u_shaped", PACKED),
        *(pytest.param(protocol, {}, marks=pytest.mark.slow) for protocol in ("u_shaped", "label_only")),
        *(pytest.param(protocol, PACKED, marks=pytest.mark.slow) for protocol in ("vanilla", "label_only")),
    ],
)
def test_the_record_says_what_really_crosses(protocol: str, values: dict[str, Any]) -> None:
    scene = scene_of(protocol=protocol, cut=CUTS[protocol], carrier="loopback", **values)
    host = honest_host(scene)
    session = assemble(scene, host)
    for epoch in (1, 2):
        session.train_epoch(epoch)
        session.predictions(session.samples.test_rows, host)
    said, meter = cost(scene).traffic, host.meter
    assert said.keys() == {str(kind) for kind in meter.round_trips}
    for kind, trips in meter.round_trips.items():
        one = said[kind.value]
        # A hand-over is the client's request, whoever drives the training.
        up_first = scene.protocol.driver is Seat.CLIENT or kind is Kind.WEIGHTS
        sent, received = meter.sent_by[kind], meter.received_by[kind]
        assert (one.round_trips, one.messages) == (trips, 2 * trips)
        assert (one.bytes_up, one.bytes_down) == ((sent, received) if up_first else (received, sent)), kind


@pytest.mark.usefixtures("made_here")
# In vanilla a client drives, as in u_shaped.
@pytest.mark.parametrize("protocol", ["u_shaped", "label_only", pytest.param("vanilla", marks=pytest.mark.slow)])
def test_an_evaluation_is_counted_in_the_messages_of_a_deployment(
    protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (conversation, member, place, traffic):
        monkeypatch.setattr(module, "PREDICTED_AT_ONCE", 5)
    deployed = Deployment(plan_of(protocol=protocol), tmp_path)
    deployed.run()
    said, crossed = cost(in_process(deployed.plan)[0]).traffic, deployed.record("server").traffic
    trips = {kind: one.round_trips for kind, one in said.items()}
    assert trips == {kind: one.round_trips for kind, one in crossed.items()}
    # 16 test rows after each of two epochs.
    assert trips["predict"] == 2 * 4


def test_the_sums_are_the_training_alone() -> None:
    found = cost(scene_of(protocol="u_shaped", cut="1:4"))
    training = [found.traffic[kind] for kind in ("forward", "backward")]
    assert found.bytes_up == sum(kind.bytes_up for kind in training)
    assert found.bytes_down == sum(kind.bytes_down for kind in training)
    assert "predict" in found.traffic


@pytest.mark.parametrize(
    ("protocol", "values"),
    [
        ("vanilla", {}),
        ("u_shaped", THREE),
        ("label_only", THREE),
        pytest.param("vanilla", THREE, marks=pytest.mark.slow),
        *(pytest.param(protocol, {}, marks=pytest.mark.slow) for protocol in ("u_shaped", "label_only")),
    ],
)
def test_epochs_that_did_not_run_did_not_cross(protocol: str, values: dict[str, Any]) -> None:
    of = {"protocol": protocol, "cut": CUTS[protocol], **values}
    ran = [Epoch(epoch=number) for number in (1, 2, 3)]
    whole, ended = cost(scene_of(**of, epochs=12)), cost(scene_of(**of, epochs=12), ran)
    assert ended == cost(scene_of(**of, epochs=3))
    assert whole.bytes_up == 4 * ended.bytes_up


# Who attends the training, and who meets it when it is over.
@pytest.mark.parametrize("values", [{"attack": "spy"}, {**UNSPLIT, "cut": "1"}])
def test_an_early_end_is_in_the_record_and_in_that_of_a_replay(values: dict[str, Any], tmp_path: Path) -> None:
    # A rate that ruins the training at once.
    asked = {"learning_rate": 30.0, "validation_rows": 8, "epochs": 9, "patience": 1, "link": "dsl"}
    scene = scene_of(**{"protocol": "vanilla", "cut": "1", "isolate": False, **asked, **values})
    found = run_cell(scene, tmp_path / "run", quiet).record
    assert 1 < len(found.training) < 9
    said, whole = cost(scene, found.training), cost(scene)
    assert (found.traffic, found.bytes_up, found.bytes_down) == (said.traffic, said.bytes_up, said.bytes_down)
    for_all = found.model_copy(update={"traffic": whole.traffic}).on("dsl")
    assert for_all.link_seconds == pytest.approx((found.link_seconds or 0.0) * 9 / len(found.training))
    recording = record(scene, tmp_path / "recorded", 1 << 28, True, quiet)
    assert replay_cell(scene, recording, quiet).record.traffic == found.traffic


def test_what_is_attacked_before_a_training_is_told_all_of_it(tmp_path: Path) -> None:
    scene = scene_of(protocol="vanilla", cut="1", when="before", isolate=False, epochs=3)
    found = run_cell(scene, tmp_path, quiet).record
    assert len(found.training) == 3
    assert found.traffic == cost(scene).traffic == cost(scene, [Epoch(epoch=0)]).traffic
    assert found.traffic["train"].round_trips == 3 * 6


def test_another_link_is_worked_out_from_the_record_that_is_there(tmp_path: Path) -> None:
    values = {"protocol": "vanilla", "cut": "1", "isolate": False, "epochs": 1}
    scene = scene_of(link="dsl", **values)
    done = run_cell(scene, tmp_path, quiet).record
    assert done.link_seconds is not None
    write_record(cell_folder(scene, tmp_path), done, {})
    other = scene_of(link="4g", **values)
    looked_up = finished(other, tmp_path)
    assert looked_up is not None
    assert looked_up.link == "4g"
    assert looked_up.link_seconds != done.link_seconds
    assert looked_up.experiment["link"] == "4g"
    assert read_record(cell_folder(scene, tmp_path)) == looked_up
    assert finished(scene_of(**values), tmp_path) == looked_up
