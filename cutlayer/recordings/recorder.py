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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from cutlayer import registry
from cutlayer.attack import TamperingAttack
from cutlayer.auditing import victim
from cutlayer.auditing.begun import Begun
from cutlayer.auditing.target import at_once, send_targets
from cutlayer.auditing.training import train_through
from cutlayer.checksum import pack_checked
from cutlayer.computing import prepare
from cutlayer.disk import write_whole
from cutlayer.exchange.tape import FORMAT, Recorder, RecordingError
from cutlayer.layout import RecordingFolder, RunFolder, file_name, model_name
from cutlayer.lock import locked
from cutlayer.record import Epoch
from cutlayer.recordings.archive import ATTENDED, TRAINING, Recording, Segment, open_recording
from cutlayer.recordings.taped import Taped
from cutlayer.scene.scene import Scene
from cutlayer.seat.host import Host
from cutlayer.seat.making import make_attack
from cutlayer.seat.seating import seat_server
from cutlayer.simulation.assembly import CARRIERS, accuracy, assemble, brief, whole_model
from cutlayer.simulation.session import Session
from cutlayer.threat import Progress, Seat

_FOR_TRAINING = 0.9  # of the limit: targets come last and must find room
_NAME = re.compile(rf"(?:{ATTENDED})?(predict|train)-(\d+)-by-(\d+)")


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

    @property
    def words(self) -> str:
        """The same to a reader, such as "6 targets in one message"."""
        carrier = "training step" if self.kind == "train" else "message"
        sent = f"one {carrier}" if self.batch == self.targets else f"{carrier}s of {self.batch} each"
        return f"{self.targets} target{'s' if self.targets > 1 else ''} in {sent}"


def shape_named(segment: str) -> Shape | None:
    """How the targets of a segment were sent; None where it is no segment of targets."""
    found = _NAME.fullmatch(segment)
    return Shape(found[1], int(found[2]), int(found[3])) if found else None


def in_words(segment: str) -> str:
    """What a segment holds, to a reader."""
    shape, attended = shape_named(segment), segment.startswith(ATTENDED)
    return f"{shape.words}{' for attacks that watch the training' * attended}" if shape else f"the {segment}"


def shape_of(scene: Scene) -> Shape:
    """What the scene's attack wants to be sent."""
    setting, count = scene.attack.setting, len(scene.target_rows)
    return Shape(setting.target_kind, count, at_once(scene))


def recording_folder(scene: Scene, run: Path) -> RecordingFolder:
    """Where the recording of the scene's deployment goes."""
    experiment = scene.experiment
    model = model_name(experiment.model)
    parts = [experiment.protocol, experiment.dataset, model, f"cut{experiment.cut}", experiment.when]
    parts += [*experiment.defenses, f"seed{experiment.seed}", victim.key(scene)[:8]]
    return RunFolder(run).recording(file_name(*parts))


def kept(scene: Scene, run: Path, training: bool) -> Recording | None:
    """The finished recording of the scene's deployment, which is never overwritten; None where there is none.

    ``RecordingError`` where it lacks some of what is asked for now.
    """
    folder = recording_folder(scene, run)
    if not folder.about.is_file():
        return None
    found = open_recording(folder.path)
    wanted = [TRAINING] if training else []
    for shape in shapes_of(scene):
        wanted += [ATTENDED + shape.name] if training and shape.kind == "predict" else []
        wanted.append(shape.name)
    lacking = [name for name in wanted if name not in {*found.segments, *found.left_out}]
    if lacking:
        raise RecordingError(
            f"{folder.path} is there already, without {', '.join(map(in_words, lacking))}, and is not overwritten: "
            "choose another folder with name= or out=, or remove it"
        )
    return found


def record(scene: Scene, run: Path, limit: int, training: bool, progress: Progress) -> Recording:
    """Run the scene's deployment and keep what the server sees, at most ``limit`` bytes of messages.

    The training, unless it is left out, and then the targets of every passive attack, each on the deployment as the
    attack would find it. The training of a recording that was broken off is taken up where it was last kept, to the
    same bytes; a finished one is ``kept``. ``ExperimentError`` while another process records the same.
    """
    prepare(scene.experiment.threads)
    folder = recording_folder(scene, run)
    with locked(folder.path, folder.lock, "another folder with name= or out="):
        begun = Begun(folder.begun)
        if (found := kept(scene, run, training)) is None:
            shutil.rmtree(folder.truth.path, ignore_errors=True)
            taken_up = {folder.wire(TRAINING)} if training and begun.steps else set[Path]()
            for old in {*folder.path.glob("*")} - taken_up:
                old.unlink()
            found = _Work(scene, folder, limit, progress).done(training)
        begun.discard()
        return found


def steps_to_train(scene: Scene, run: Path) -> int:
    """Training steps that ``record`` would still take."""
    return victim.all_steps(scene) - Begun(recording_folder(scene, run).begun).steps


@dataclass
class _Work:
    scene: Scene
    folder: RecordingFolder
    limit: int
    progress: Progress

    def __post_init__(self) -> None:
        self.segments: dict[str, Segment] = {}
        self.left_out: dict[str, str] = {}
        self.history: Sequence[Epoch] = ()

    def done(self, training: bool) -> Recording:
        scene = self.scene
        after = scene.experiment.when == "after"
        session = self._trained(training)
        # As in an audit: what is asked before the targets counts in their steps.
        self.history = self.history or [Epoch(epoch=0, accuracy=accuracy(scene, session))]
        states = session.checkpoint()
        model = whole_model(scene, session) if after else scene.model
        for shape, one in shapes_of(scene).items() if training else ():
            if shape.kind == "predict":
                session.restore(states)
                self._targets(ATTENDED + shape.name, one, session)
        for shape, one in shapes_of(scene).items():
            try:
                self._targets(shape.name, one, None, model)
            except (ValueError, RuntimeError) as error:
                # Some networks cannot be trained on one sample: no attack that wants that would get so far.
                self.left_out[shape.name] = " ".join(str(error).split())[:200]
                for path in self.folder.path.glob(f"{shape.name}.*"):
                    path.unlink()
        told = asdict(replace(brief(scene, attack=False), codec="", codec_options={}))
        told["offers"] = sorted(scene.protocol.exposes[Seat.SERVER])
        # Where files of one's own lie is nobody else's affair.
        told |= {key: Path(told[key]).name for key in ("model", "plugins")}
        content = {"format": FORMAT, "seat": "server", "brief": told, "left_out": self.left_out}
        content["segments"] = {name: asdict(segment) for name, segment in self.segments.items()}
        experiment = {"experiment": scene.experiment.model_dump(mode="json")}
        experiment["history"] = [epoch.model_dump() for epoch in self.history]  # type: ignore[assignment]
        write_whole(self.folder.truth.experiment, json.dumps(experiment))
        write_whole(self.folder.about, json.dumps(content))
        return open_recording(self.folder.path)

    def _trained(self, training: bool) -> Session:
        """A session at the end of the training, and its states there."""
        scene, name = self.scene, TRAINING
        recorder = Recorder(self.folder.wire(name), int(self.limit * _FOR_TRAINING)) if training else None
        session = assemble(scene, self._host(recorder))
        self._state(name, "before", session.host)
        size = ""

        def tell(what: str, done: int, total: int) -> None:
            nonlocal size
            if recorder and done % max(1, total // 10) == 0:
                size = _size_told(recorder)
            self.progress(f"{what}{size}", done, total)

        with contextlib.closing(recorder) if recorder else contextlib.nullcontext():
            if scene.experiment.when == "after":
                begun = Taped(self.folder.begun, recorder=recorder)
                self.history = train_through(scene, session, begun, "training", tell).epochs
        self._state(name, "after", session.host)
        if recorder:
            self._done(name, recorder)
        return session

    def _targets(self, name: str, scene: Scene, session: Session | None, model: nn.Sequential | None = None) -> None:
        # The mark of a file is written whatever its limit.
        room = max(0, self.limit - sum(segment.bytes for segment in self.segments.values()))
        recorder = Recorder(self.folder.wire(name), room)
        host = self._host(recorder)
        if session is None:
            session = assemble(scene, host, model)
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
            _keep(self.folder.truth.state(name, party), tensors)
        targets = [[*row, number] for row, number in sent.items()]
        write_whole(self.folder.targets(name), json.dumps([target[:3] for target in targets]))
        write_whole(self.folder.truth.rows(name), json.dumps(targets))

    def _host(self, recorder: Recorder | None) -> Host:
        told = brief(self.scene, attack=False)
        carrier = CARRIERS[self.scene.experiment.carrier]
        return seat_server(told, carrier=carrier, beside=recorder)

    def _state(self, name: str, when: str, host: Host) -> None:
        _keep(self.folder.own_state(name, when), host.checkpoint())

    def _done(self, name: str, recorder: Recorder) -> None:
        self.segments[name] = Segment(recorder.exchanges, recorder.bytes, not recorder.full)


def shapes_of(scene: Scene) -> dict[Shape, Scene]:
    """The distinct shapes of the targets of all passive attacks at the server, and of the scene's own attack."""
    found: dict[Shape, Scene] = {}
    for one in (scene, *_others(scene)):
        if not isinstance(one.attack, TamperingAttack) and one.attack.threat.seat is Seat.SERVER:
            found.setdefault(shape_of(one), one)
    return found


def _others(scene: Scene) -> Iterator[Scene]:
    plugins = scene.experiment.plugins
    for name in registry.names("attacks", plugins):
        yield replace(scene, attack=make_attack(name, {}, plugins))


def _keep(path: Path, tensors: Mapping[str, Tensor]) -> None:
    write_whole(path, pack_checked(tensors))


def _size_told(recorder: Recorder) -> str:
    return ", recording is full" if recorder.full else f", {recorder.bytes / 1e6:.0f} MB recorded"
