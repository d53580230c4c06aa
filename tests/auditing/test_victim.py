"""The attacked deployment: trained once, kept whole, taken up to the bit, shared where nothing can differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cutlayer.auditing.victim import key, steps_to_train, train
from cutlayer.protocols import vanilla
from cutlayer.scene.scene import Scene
from cutlayer.simulation.assembly import assemble, brief, honest_host, whole_parts
from cutlayer.threat import Knows, Seat
from tests.cells import quiet
from tests.scenes import made, scene_of
from tests.trainings import interrupted_at, same

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")

CUTS = {"vanilla": "1", "u_shaped": "1:3", "label_only": "3"}
PLAIN = '''"""No layer that draws."""
from collections import OrderedDict
from torch import nn


def build(input_shape, classes):
    return nn.Sequential(OrderedDict(
        conv=nn.Conv2d(1, 3, 3), {norm}relu=nn.ReLU(), fc=nn.Sequential(nn.Flatten(), nn.Linear(108, 12)),
        sigmoid=nn.Sigmoid(), out=nn.Linear(12, classes)))
'''


def plain(tmp_path: Path, norm: bool = False) -> str:
    file = tmp_path / f"plain{norm}.py"
    if not file.exists():
        file.write_text(PLAIN.format(norm="norm=nn.BatchNorm2d(3), " if norm else ""))
    return f"{file}:build"


@pytest.mark.parametrize(
    ("values", "epochs", "steps"),
    [
        ({}, 1, 0),
        ({"optimizer": "sgd", "momentum": 0.9}, 1, 1),
        ({"clients": 5, "turn": 1}, 2, 4),
        ({"clients": 2, "optimizer_state": "carried"}, 1, 1),
        ({}, 3, 0),
    ],
)
def test_an_interrupted_training_is_taken_up_to_the_bit(
    tmp_path: Path, values: dict[str, Any], epochs: int, steps: int
) -> None:
    """In the last step of an epoch, which is then not kept yet; right after it; in the middle; in the very last."""
    scene = scene_of(protocol="u_shaped", cut="1:4", epochs=3, batch_size=4, **values)
    total = steps_to_train(scene, tmp_path)
    step = epochs * total // 3 + steps
    through = train(scene, tmp_path / "through", quiet)
    with pytest.raises(KeyboardInterrupt):
        train(scene, tmp_path / "cut", interrupted_at(step))
    done = total // 3 * ((step - 1) // (total // 3))
    assert steps_to_train(scene, tmp_path / "cut") == total - done
    seen: list[int] = []
    resumed = train(scene, tmp_path / "cut", lambda what, done, total: seen.append(done))
    assert seen == list(range(done + 1, total + 1))
    assert same(through, resumed)
    assert through.history == resumed.history
    assert [epoch.epoch for epoch in resumed.history] == [1, 2, 3]


@pytest.mark.parametrize("optimizer", [{"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "adam"}])
@pytest.mark.parametrize("how", [{"precision": "fp32", "memory_format": "channels_last"}, {"precision": "bf16"}])
def test_however_images_lie_in_memory_a_training_is_taken_up_to_the_bit(
    tmp_path: Path, optimizer: dict[str, Any], how: dict[str, Any]
) -> None:
    """What the optimizer keeps lies as the kernels do: with another layout a step rounds otherwise."""
    file = tmp_path / "deep.py"
    file.write_text(PLAIN.format(norm="deeper=nn.Conv2d(3, 32, 3, padding=1), back=nn.Conv2d(32, 3, 3, padding=1), "))
    values = {"model": f"{file}:build", "plugins": None, "attack": "unsplit", "epochs": 3, **optimizer, **how}
    scene = scene_of(protocol="vanilla", cut="1", **values)
    through = train(scene, tmp_path / "through", quiet)
    with pytest.raises(KeyboardInterrupt):
        train(scene, tmp_path / "cut", interrupted_at(steps_to_train(scene, tmp_path) // 2))
    assert same(through, train(scene, tmp_path / "cut", quiet))


def test_a_training_that_another_cut_has_begun_is_no_obstacle(tmp_path: Path) -> None:
    """Trained, they are the same to the bit; while it lasts, each party has its own part."""
    model = plain(tmp_path)
    one, other = (scene_of(protocol="vanilla", cut=cut, epochs=3, model=model) for cut in ("1", "2"))
    assert key(one) == key(other)
    total = steps_to_train(one, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(one, tmp_path, interrupted_at(total // 2))
    assert steps_to_train(other, tmp_path) == total
    finished = train(other, tmp_path, quiet)
    assert steps_to_train(one, tmp_path) == 0
    assert same(finished, train(one, tmp_path, interrupted_at(1)))


def test_a_finished_training_is_looked_up(tmp_path: Path) -> None:
    scene = scene_of(protocol="vanilla", cut="1")
    first = train(scene, tmp_path, quiet)
    again = train(scene, tmp_path, interrupted_at(1))
    assert same(first, again)
    assert first.history == again.history
    assert steps_to_train(scene, tmp_path) == 0
    (folder,) = (tmp_path / "victims").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["history.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("precision", "memory_format"), [("fp32", "contiguous"), ("fp32", "channels_last"), ("bf16", "auto")]
)
def test_victims_that_share_a_key_train_to_the_same_bits(tmp_path: Path, precision: str, memory_format: str) -> None:
    """Whatever may be shared is; under bf16 a cut can matter, as what crosses it is float32."""
    model, found, how = plain(tmp_path, norm=True), {}, {"precision": precision, "memory_format": memory_format}
    places = [("vanilla", str(cut)) for cut in range(5)] + list(CUTS.items())[1:]
    for protocol, cut in places:
        scene = scene_of(protocol=protocol, cut=cut, model=model, plugins=None, attack="unsplit", **how)
        trained = train(scene, tmp_path / f"{protocol}{cut}", quiet)
        first = found.setdefault(key(scene), trained)
        assert same(first, trained), f"{protocol} {cut}"
    if precision == "fp32":
        assert len(found) == 1
    else:
        assert 1 < len(found) < len(places)


def test_layers_that_draw_keep_victims_apart() -> None:
    scenes = [scene_of(protocol=protocol, cut=cut) for protocol, cut in (*CUTS.items(), ("vanilla", "2"))]
    assert len({key(scene) for scene in scenes}) == 4


def test_a_layer_that_draws_keeps_victims_apart_however_seldom_it_shows(tmp_path: Path) -> None:
    file = tmp_path / "seldom.py"
    file.write_text(PLAIN.format(norm="drop=nn.Dropout(1e-6), "))
    scenes = [scene_of(protocol="vanilla", cut=cut, model=f"{file}:build") for cut in ("0", "3")]
    assert len({key(scene) for scene in scenes}) == 2


def test_several_clients_or_a_defense_keep_victims_apart(tmp_path: Path) -> None:
    for values in ({"clients": 2}, {"defense": "gaussian_noise"}):
        scenes = [
            scene_of(protocol=protocol, cut=cut, model=plain(tmp_path), plugins=None, attack="unsplit", **values)
            for protocol, cut in CUTS.items()
        ]
        assert len({key(scene) for scene in scenes}) == 3


def test_a_protocol_of_ones_own_trains_victims_of_its_own(tmp_path: Path) -> None:
    """It may train otherwise than the package's do: with a loss of its own, say."""
    (tmp_path / "protocols").mkdir()
    own = (Path(vanilla.__file__)).read_text().replace("class Vanilla", "class Flipped")
    (tmp_path / "protocols" / "flipped.py").write_text(own.replace('request["labels"])', '3 - request["labels"])'))
    values = {"cut": "1", "model": plain(tmp_path), "plugins": tmp_path, "attack": "unsplit"}
    scenes = [scene_of(protocol=protocol, **values) for protocol in ("vanilla", "flipped")]
    assert len({key(scene) for scene in scenes}) == 2
    one, other = (train(scene, tmp_path / "run", quiet) for scene in scenes)
    assert not same(one, other)


def test_a_key_is_of_what_the_training_depends_on(tmp_path: Path) -> None:
    model = plain(tmp_path)

    def key_of(**values: Any) -> str:
        return key(scene_of(**{"protocol": "vanilla", "cut": "1", "model": model, "plugins": None, **values}))

    plain_key = key_of(attack="unsplit")
    assert key_of(attack="unsplit", when="before", targets=2, isolate=False, leak=0.5) == plain_key
    for values in (
        {"seed": 2},
        {"epochs": 3},
        {"batch_size": 7},
        {"learning_rate": 0.1},
        {"defense": "gaussian_noise"},
    ):
        assert key_of(attack="unsplit", **values) != plain_key
    noises = [{"gaussian_noise": {"sigma": sigma}} for sigma in (0.1, 0.2)]
    assert len({key_of(attack="unsplit", defense="gaussian_noise", options=noise) for noise in noises}) == 2
    Path(model.rpartition(":")[0]).write_text(PLAIN.format(norm="more=nn.Identity(), "))
    assert key_of(attack="unsplit") != plain_key


def test_no_epochs_leave_the_network_as_drawn(tmp_path: Path) -> None:
    scene = scene_of(protocol="vanilla", cut="1", epochs=0)
    victim = train(scene, tmp_path, interrupted_at(1))
    assert [epoch.epoch for epoch in victim.history] == [0]
    assert victim.accuracy is not None
    for name, tensor in victim.model.state_dict().items():
        assert torch.equal(tensor, scene.model.state_dict()[name]), name


@pytest.mark.parametrize("protocol", CUTS)
def test_the_whole_model_is_the_trained_parts_in_order(tmp_path: Path, protocol: str) -> None:
    scene = scene_of(protocol=protocol, cut=CUTS[protocol], clients=2)
    victim = train(scene, tmp_path, quiet)
    assert list(victim.model.state_dict()) == list(scene.model.state_dict())
    rows = scene.samples.test_rows
    with torch.no_grad():
        hits = victim.model.eval()(scene.samples.inputs(rows)).argmax(1) == scene.samples.labels(rows)
    assert victim.accuracy == hits.double().mean().item()
    session = assemble(scene, honest_host(scene), victim.model)
    values = [tensor for part in whole_parts(scene, session) for tensor in part.state_dict().values()]
    kept = load_file(tmp_path / "victims" / key(scene) / "model.safetensors")
    assert all(torch.equal(a, kept[n]) for a, n in zip(values, victim.model.state_dict(), strict=True))


def offered(scene: Scene) -> set[Knows]:
    return set(brief(scene, attack=True).offers)


def test_a_handover_through_the_server_exposes_the_weights_to_it() -> None:
    values = {"protocol": "vanilla", "cut": "1", "offers": ()}
    assert Knows.PEER_WEIGHTS not in offered(scene_of(**values, clients=2))
    assert Knows.PEER_WEIGHTS not in offered(scene_of(**values, handover="server"))
    assert Knows.PEER_WEIGHTS in offered(scene_of(**values, handover="server", clients=2))


def test_offers_come_on_top_of_what_the_protocol_exposes() -> None:
    scene = scene_of(protocol="vanilla", cut="1", offers=("peer_queries",))
    assert offered(scene) == {*scene.protocol.exposes[Seat.SERVER], Knows.PEER_QUERIES}


def test_many_clients_take_turns_by_every_rule_at_once(tmp_path: Path) -> None:
    values = {"clients": 3, "skew": 0.3, "turn": 2, "handover": "trusted_party", "optimizer_state": "carried"}
    scene = scene_of(protocol="u_shaped", cut="1:4", epochs=8, learning_rate=0.01, **values)
    assert (train(scene, tmp_path, quiet).accuracy or 0.0) > 0.6


def test_the_training_stops_where_the_validation_loss_falls_no_more(tmp_path: Path) -> None:
    values = {"protocol": "vanilla", "cut": "1", "epochs": 12, "learning_rate": 0.3, "validation_rows": 8}
    whole = train(scene_of(**values), tmp_path / "whole", quiet)
    losses = [epoch.validation_loss or 0.0 for epoch in whole.history]
    assert len(losses) == 12
    assert all(epoch.validation_accuracy is not None for epoch in whole.history)
    stopped = train(scene_of(**values, patience=2), tmp_path / "stopped", quiet)
    ends = next(n for n in range(3, 13) if min(losses[n - 2 : n]) >= min(losses[: n - 2]))
    assert len(stopped.history) == ends < 12
    assert stopped.history == whole.history[:ends]


def test_an_interrupted_training_stops_where_the_whole_one_does(tmp_path: Path) -> None:
    values = {"protocol": "vanilla", "cut": "1", "epochs": 12, "learning_rate": 0.3, "validation_rows": 8}
    scene = scene_of(**values, patience=2)
    whole = train(scene, tmp_path / "whole", quiet)
    for after in (11, 14):
        with pytest.raises(KeyboardInterrupt):
            train(scene, tmp_path / "halted", interrupted_at(after))
    assert same(whole, train(scene, tmp_path / "halted", quiet))
