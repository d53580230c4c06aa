"""The attacked deployment's training: done once, kept, and taken up again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from cutlayer import __version__
from cutlayer.auditing.begun import Begun
from cutlayer.auditing.training import train_through
from cutlayer.checksum import DamageError, pack_checked, read_checked
from cutlayer.computing import prepare
from cutlayer.data.content import content_of
from cutlayer.disk import write_whole
from cutlayer.experiment import ExperimentError
from cutlayer.layout import RunFolder, VictimFolder
from cutlayer.model import join, split
from cutlayer.order import batch_sizes
from cutlayer.protocol import task_loss
from cutlayer.record import Epoch
from cutlayer.scene.loading import own_files
from cutlayer.scene.scene import Scene
from cutlayer.simulation.assembly import accuracy, assemble, honest_host, whole_model
from cutlayer.stream import drawing
from cutlayer.threat import Progress

_PROBED = 4  # samples on which it is tried whether a cut changes a bit
_TRAINED_BY = (
    *("dataset", "train_rows", "test_rows", "classes", "validation_rows", "validation_from", "patience"),
    *("model", "input_mean", "input_std", "weights", "seed", "clients", "skew", "turn"),
    *("handover", "optimizer_state", "epochs", "batch_size", "optimizer", "learning_rate", "amsgrad", "epsilon"),
    *("momentum", "weight_decay", "milestones", "decay", "pipelined", "defense"),
    *("device", "precision", "memory_format", "threads"),
)


class _History(BaseModel):
    """What lies beside a finished victim's weights."""

    place: str
    """The protocol and the cut that it was trained in."""
    epochs: tuple[Epoch, ...]


@dataclass(frozen=True)
class Victim:
    """A trained deployment."""

    model: nn.Sequential
    """The whole network: the parts of the client whose turn was last, and the server's."""
    history: tuple[Epoch, ...]

    @property
    def accuracy(self) -> float | None:
        """On the whole test split, from 0 to 1."""
        return self.history[-1].accuracy


def train(scene: Scene, run: Path, progress: Progress) -> Victim:
    """The scene's victim: looked up in ``run``, taken up where an interrupted training stopped, or trained.

    Another command may be training it at the same time: to the same bits, so whoever is first keeps it.
    """
    folder = RunFolder(run).victim(key(scene))
    if victim := look_up(scene, folder):
        return victim
    prepare(scene.experiment.threads)
    session = assemble(scene, honest_host(scene))
    begun = Begun(folder.begun(_place(scene)), lambda: _finished(folder))

    found = train_through(scene, session, begun, "training", progress, ended=lambda: _finished(folder))
    if (victim := look_up(scene, folder)) is None:
        history = found.epochs or (Epoch(epoch=0, accuracy=accuracy(scene, session)),)
        victim = Victim(whole_model(scene, session), history)
        keep(scene, folder, victim)
    begun.discard()
    return victim


def keep(scene: Scene, folder: VictimFolder, victim: Victim) -> None:
    """Keep a finished ``victim`` of the ``scene`` in ``folder``, for other cells to look up."""
    write_whole(folder.weights, pack_checked(victim.model.state_dict()))
    history = _History(place=_place(scene), epochs=victim.history)
    write_whole(folder.history, history.model_dump_json())


def look_up(scene: Scene, folder: VictimFolder) -> Victim | None:
    """The finished victim that ``folder`` keeps of the scene's model; None where there is none.

    What was measured of its gradients is left out where it was trained in another protocol or at another cut.
    ``ExperimentError`` where the folder holds something else.
    """
    if not _finished(folder):
        return None
    model, reading = join([scene.model]), folder.weights
    try:
        model.load_state_dict(read_checked(reading)[0])
        reading = folder.history
        history = _History.model_validate_json(reading.read_bytes())
    except (DamageError, FileNotFoundError, RuntimeError, ValidationError):
        raise ExperimentError(f"{reading} is of another version, or damaged: remove {folder.path}") from None
    unknown = {} if history.place == _place(scene) else {"gradient_norm": None, "label_gap": None}
    return Victim(model, tuple(epoch.changed(**unknown) for epoch in history.epochs))


def trained(key: str, run: Path) -> bool:
    """Whether the victim with this ``key`` is there to be looked up."""
    return _finished(RunFolder(run).victim(key))


def _finished(folder: VictimFolder) -> bool:
    return folder.history.is_file()


def steps_to_train(scene: Scene, run: Path) -> int:
    """Training steps that ``train`` would still take."""
    if trained(key(scene), run):
        return 0
    return all_steps(scene) - Begun(RunFolder(run).victim(key(scene)).begun(_place(scene))).steps


def all_steps(scene: Scene) -> int:
    """Training steps of all epochs."""
    return scene.experiment.epochs * sum(
        len(batch_sizes(len(shard), scene.experiment.batch_size)) for shard in scene.deal()
    )


def key(scene: Scene) -> str:
    """What two cells share whose victims train to the same bits."""
    experiment = scene.experiment
    own = () if _shared(scene) else ("protocol", "cut")
    options = {name: experiment.options.get(name, {}) for name in (experiment.dataset, *experiment.defenses)}
    told, data = json.dumps(options, sort_keys=True, default=str), content_of(scene.dataset)
    code = own_files(experiment, "models", "datasets", "defenses", "protocols")
    return experiment.fingerprint(__version__, code, str(scene.withheld), told, data, only=(*_TRAINED_BY, *own))


@lru_cache(maxsize=256)
def _shared(scene: Scene) -> bool:
    """Whether each protocol of the package and each cut trains to the same bits as the whole: tried on a few samples.

    That the package's protocols are no others than that is tested; one of the user's own may train as it likes.
    Layers that draw prevent it, as each part draws from a stream of its own, even where so few samples show no
    difference; and so can bf16: what crosses a cut is float32 there.
    """
    if scene.experiment.clients > 1 or scene.experiment.defenses or scene.experiment.pipelined:
        return False
    if not type(scene.protocol).__module__.startswith("cutlayer.protocols."):
        return False
    (whole, drawn), (parts, _) = _step(scene, ()), _step(scene, scene.cuts)
    return not drawn and all(torch.equal(one, other) for one, other in zip(whole, parts, strict=True))


def _step(scene: Scene, cuts: tuple[int, ...]) -> tuple[list[Tensor], bool]:
    """Outputs and weights' gradients of one step of the model cut at ``cuts``, and whether any layer drew for it."""
    rows, computing = scene.samples.train_rows[:_PROBED], scene.computing
    parts = nn.ModuleList(split(scene.model, cuts)).train()
    computing.place(parts)
    value, device = scene.samples.inputs(rows), torch.device(computing.device)
    with drawing(0, device):
        before = _generators(device)
        for part in parts:
            with computing.precision():
                value = part(computing.bring(value))
            value = value.float()
        task_loss(value, scene.samples.labels(rows)).backward()  # type: ignore[no-untyped-call]
        drawn = not torch.equal(before, _generators(device))
    return [value, *(weight.grad for weight in parts.parameters() if weight.grad is not None)], drawn


def _generators(device: torch.device) -> Tensor:
    """Where the default generators stand, which layers draw from."""
    gpu = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return torch.cat([torch.default_generator.get_state(), *gpu])


def _place(scene: Scene) -> str:
    """The protocol and the cut, as the name of a folder."""
    return f"{scene.experiment.protocol}-{scene.experiment.cut.replace(':', '_')}"
