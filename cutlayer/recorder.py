"""`cutlayer record`: a deployment is run, and what its server saw is kept; apart from it, what only the judge may know.

A recording is a folder ``recordings/<name>/`` with the server's own messages, its own part of the model and what the
plan told it. The rows behind the targets and the other parties' states lie in ``truths/<name>/``: no replay hands them
to an attack, and a recording can be given away without them.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file, save
from torch import Tensor

from cutlayer import registry, victim
from cutlayer.attack import Attack, TamperingAttack
from cutlayer.deployment import CARRIERS, accuracy, assemble, brief, measured, whole_model
from cutlayer.experiment import Experiment, make
from cutlayer.handover import Keeper
from cutlayer.host import Host
from cutlayer.message import Kind, detached
from cutlayer.record import Epoch, write_atomically
from cutlayer.recording import Recorder, RecordingError
from cutlayer.scene import Scene
from cutlayer.seating import Brief, seat_server
from cutlayer.session import Session
from cutlayer.target import send_targets
from cutlayer.threat import Row, Seat
from cutlayer.victim import Progress

TRAINING, ATTENDED = "training", "attended-"
"""Segments: the training, and before the names of targets that are sent at its end to who was there all along."""
FORMAT = 1
_FOR_TRAINING = 0.9  # of the limit: targets come last and must find room


@dataclass(frozen=True)
class Shape:
    """How targets are sent: what a recording must hold for an attack to be replayed on it."""

    kind: str
    targets: int
    batch: int

    @property
    def name(self) -> str:
        """Of the file with their messages."""
        return f"{self.kind}-{self.targets}-by-{self.batch}"


def shape_of(scene: Scene) -> Shape:
    """What the scene's attack wants to be sent."""
    setting, count = scene.attack.setting, len(scene.target_rows)
    size = scene.experiment.target_batch or setting.target_batch or count
    return Shape(setting.target_kind, count, min(size, count))


@dataclass(frozen=True)
class Segment:
    """One file of a recording."""

    exchanges: int
    bytes: int
    complete: bool
    """Whether all of it was recorded: nothing was left out at the limit."""


@dataclass(frozen=True)
class Recording:
    """A folder of recorded messages."""

    folder: Path
    brief: Brief
    """What the server was told."""
    segments: Mapping[str, Segment]
    left_out: Mapping[str, str]
    """Segments that this deployment cannot have, and why."""

    @property
    def truth(self) -> Path:
        """Where the judge's side of it lies, if it is at hand."""
        return self.folder.parent.parent / "truths" / self.folder.name

    def file(self, segment: str) -> Path:
        """Of the messages of a segment."""
        return self.folder / f"{segment}.wire"

    def own_state(self, segment: str, when: str) -> dict[str, Tensor]:
        """The server party's own state ``before`` or ``after`` a segment."""
        return load_file(self.folder / f"{segment}.{when}.safetensors")


def open_recording(folder: Path) -> Recording:
    """The recording in ``folder``; ``RecordingError`` where there is none, or one that was never finished."""
    path = folder / "recording.json"
    if not path.is_file():
        there = ": it was broken off, `cutlayer record` begins it anew" if list(folder.glob("*.wire")) else ""
        raise RecordingError(f"{folder} holds no recording{there}")
    try:
        kept = json.loads(path.read_bytes())
        told = TypeAdapter(Brief).validate_python(kept["brief"])
        segments = {name: Segment(**fields) for name, fields in kept["segments"].items()}
    except (ValueError, TypeError, KeyError) as error:
        raise RecordingError(f"{path} is not of this version of cutlayer: {error}") from None
    return Recording(folder, told, segments, kept.get("left_out", {}))


def recording_folder(scene: Scene, run: Path) -> Path:
    """Where the recording of the scene's deployment goes."""
    experiment = scene.experiment
    model = Path(experiment.model.rpartition(":")[0]).stem or experiment.model
    parts = [experiment.protocol, experiment.dataset, model, f"cut{experiment.cut}", experiment.when]
    parts += [*experiment.defenses, f"seed{experiment.seed}", victim.key(scene)[:8]]
    return run / "recordings" / re.sub(r"[^\w.+-]+", "_", "-".join(parts))


def record(scene: Scene, run: Path, limit: int, training: bool, progress: Progress) -> Recording:
    """Run the scene's deployment and keep what the server sees, at most ``limit`` bytes of messages.

    The training, unless it is left out, and then the targets of every passive attack, each on the deployment as the
    attack would find it. A recording that is there is begun anew.
    """
    torch.set_num_threads(scene.experiment.threads)
    folder = recording_folder(scene, run)
    work = _Work(scene, folder, run / "truths" / folder.name, limit, progress)
    for old in (folder, work.truth):
        shutil.rmtree(old, ignore_errors=True)
    return work.done(training)


@dataclass
class _Work:
    scene: Scene
    folder: Path
    truth: Path
    limit: int
    progress: Progress

    def __post_init__(self) -> None:
        self.segments: dict[str, Segment] = {}
        self.left_out: dict[str, str] = {}
        self.history: list[Epoch] = []

    def done(self, training: bool) -> Recording:
        scene = self.scene
        after = scene.experiment.when == "after"
        session = self._trained(training, scene.experiment.epochs if after else 0)
        # As under an attack that attends the training: this evaluation counts among the client's predictions.
        found = accuracy(scene, session)
        self.history, states = self.history or [Epoch(epoch=0, accuracy=found)], session.checkpoint()
        model = whole_model(scene, session) if after else scene.model
        for shape, one in _shapes(scene).items() if training else ():
            if shape.kind == "predict":
                session.restore(states)
                self._targets(ATTENDED + shape.name, one, session)
        for shape, one in _shapes(scene).items():
            try:
                self._targets(shape.name, one, None, model)
            except (ValueError, RuntimeError) as error:
                # Some networks cannot be trained on one sample: no attack that wants that would get so far.
                self.left_out[shape.name] = " ".join(str(error).split())[:200]
                for path in self.folder.glob(f"{shape.name}.*"):
                    path.unlink()
        told = asdict(replace(brief(scene, attack=False), codec="", codec_options={}))
        told["offers"] = sorted(scene.protocol.exposes[Seat.SERVER])
        content = {"format": FORMAT, "seat": "server", "brief": told, "left_out": self.left_out}
        content["segments"] = {name: asdict(segment) for name, segment in self.segments.items()}
        experiment = {"experiment": scene.experiment.model_dump(mode="json")}
        experiment["history"] = [epoch.model_dump() for epoch in self.history]  # type: ignore[assignment]
        write_atomically(self.truth / "truth.json", json.dumps(experiment))
        write_atomically(self.folder / "recording.json", json.dumps(content))
        return open_recording(self.folder)

    def _trained(self, training: bool, epochs: int) -> Session:
        """A session at the end of the training, and its states there."""
        scene, name = self.scene, TRAINING
        recorder = Recorder(self.folder / f"{name}.wire", int(self.limit * _FOR_TRAINING)) if training else None
        keeper = Keeper("trusted_party")
        session = assemble(scene, self._host(recorder, keeper), keeper)
        self._state(name, "before", session.host)
        total, done = epochs * session.steps_per_epoch(), 0
        what = "training"

        def tell() -> None:
            nonlocal done, what
            done += 1
            if recorder and done % max(1, total // 10) == 0:
                what = f"training{_size_told(recorder)}"
            self.progress(what, done, total)

        with contextlib.closing(recorder) if recorder else contextlib.nullcontext():
            for epoch in range(1, epochs + 1):
                loss = session.train_epoch(epoch, tell)
                self.history.append(measured(scene, session, epoch, loss))
                if victim.over(self.history, scene.experiment.patience):
                    break
        self._state(name, "after", session.host)
        if recorder:
            self._done(name, recorder)
        return session

    def _targets(self, name: str, scene: Scene, session: Session | None, model: Any = None) -> None:
        room = self.limit - sum(segment.bytes for segment in self.segments.values())
        recorder = Recorder(self.folder / f"{name}.wire", room)
        keeper = Keeper("trusted_party")
        host = self._host(recorder, keeper)
        if session is None:
            session = assemble(scene, host, keeper, model)
        else:
            host.restore(session.host.checkpoint())
            session.host = host
        self._state(name, "before", host)
        with contextlib.closing(recorder):
            sent = send_targets(scene, session)
        self.progress(f"targets ({name}){_size_told(recorder)}", 1, 1)
        self._state(name, "after", host)
        self._done(name, recorder)
        for party, tensors in session.checkpoint().items():
            _keep(self.truth / name / f"{party}.safetensors", tensors)
        targets = [[*row, number] for row, number in sent.items()]
        write_atomically(self.folder / f"{name}.targets.json", json.dumps([target[:3] for target in targets]))
        write_atomically(self.truth / name / "rows.json", json.dumps(targets))

    def _host(self, recorder: Recorder | None, keeper: Keeper) -> Host:
        told = brief(self.scene, attack=False)
        carrier = CARRIERS[self.scene.experiment.carrier]
        return seat_server(told, carrier=carrier, keeper=keeper, beside=recorder)

    def _state(self, name: str, when: str, host: Host) -> None:
        _keep(self.folder / f"{name}.{when}.safetensors", host.checkpoint())

    def _done(self, name: str, recorder: Recorder) -> None:
        self.segments[name] = Segment(recorder.exchanges, recorder.bytes, not recorder.full)


def truth_kept(recording: Recording) -> tuple[Experiment, list[Epoch]]:
    """The experiment behind a recording, and how its training went; ``RecordingError`` without the judge's side."""
    path = recording.truth / "truth.json"
    if not path.is_file():
        raise RecordingError(f"{recording.truth} is not there")
    kept = json.loads(path.read_bytes())
    return make(kept["experiment"]), [Epoch(**epoch) for epoch in kept["history"]]


def targets_kept(recording: Recording, segment: str) -> list[Row]:
    """The targets of a segment by their places on the wire."""
    return [
        Row(Kind(kind), step, row)
        for kind, step, row in json.loads((recording.folder / f"{segment}.targets.json").read_bytes())
    ]


def rows_kept(recording: Recording, segment: str) -> dict[Row, int]:
    """The judge's: which sample each target was."""
    kept = json.loads((recording.truth / segment / "rows.json").read_bytes())
    return {Row(Kind(kind), step, row): number for kind, step, row, number in kept}


def states_kept(recording: Recording, segment: str) -> dict[str, dict[str, Tensor]]:
    """The judge's: every party's state after a segment."""
    return {path.stem: load_file(path) for path in (recording.truth / segment).glob("*.safetensors")}


def _shapes(scene: Scene) -> dict[Shape, Scene]:
    """The distinct shapes of the targets of all passive attacks at the server, and of the scene's own attack."""
    found: dict[Shape, Scene] = {}
    for one in (scene, *_others(scene)):
        if not isinstance(one.attack, TamperingAttack) and one.attack.threat.seat is Seat.SERVER:
            found.setdefault(shape_of(one), one)
    return found


def _others(scene: Scene) -> Iterator[Scene]:
    plugins = scene.experiment.plugins
    for name in registry.names("attacks", plugins):
        kind: type[Attack] = registry.cls("attacks", name, Attack, plugins)
        yield replace(scene, attack=registry.make(kind, {}, name))


def _keep(path: Path, tensors: Mapping[str, Tensor]) -> None:
    write_atomically(path, save({name: detached(tensor.cpu()) for name, tensor in tensors.items()}))


def _size_told(recorder: Recorder) -> str:
    return ", recording is full" if recorder.full else f", {recorder.bytes / 1e6:.0f} MB recorded"
