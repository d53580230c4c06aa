"""The attacked deployment: its sessions, and the training that it gets once, kept and taken up again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn

from cutlayer import __version__
from cutlayer.auxiliary import SHARE
from cutlayer.channel import Direct, Loopback
from cutlayer.handover import Keeper, Route
from cutlayer.host import Carrier, Host, LocalHost
from cutlayer.message import detached
from cutlayer.model import join, split
from cutlayer.protocol import task_loss
from cutlayer.record import Epoch, write_atomically
from cutlayer.samples import batch_sizes
from cutlayer.scene import Scene, make_defenses, own_files
from cutlayer.seating import Brief, make_party, seat_server
from cutlayer.session import Change, Plan, Session
from cutlayer.stream import derive, drawing
from cutlayer.threat import Knows, Seat

Progress = Callable[[str, int, int], None]
CARRIERS: Mapping[str, Carrier] = {"direct": Direct, "loopback": Loopback}
_PROBED = 4  # samples on which it is tried whether a cut changes a bit
_TRAINED_BY = (
    *("dataset", "data_dir", "train_rows", "test_rows", "model", "weights", "seed", "clients", "skew", "turn"),
    *("handover", "optimizer_state", "epochs", "batch_size", "optimizer", "learning_rate", "amsgrad", "epsilon"),
    *("momentum", "weight_decay", "milestones", "decay", "defense", "device", "precision", "threads"),
)


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


def brief(scene: Scene, attack: bool) -> Brief:
    """What the server's seat is told, with or without an adversary in it."""
    experiment = scene.experiment
    offers = {*scene.protocol.exposes[Seat.SERVER], *experiment.offers}
    if experiment.handover is Route.SERVER and experiment.clients > 1:
        offers.add(Knows.PEER_WEIGHTS)
    if scene.auxiliary and not scene.auxiliary.labeled:
        offers.discard(Knows.AUX_LABELS)
    return Brief(
        protocol=experiment.protocol,
        model=experiment.model,
        cuts=scene.cuts,
        input_shape=scene.dataset.input_shape,
        classes=len(scene.dataset.classes),
        optimization=experiment.optimization,
        party_seed=derive(experiment.seed, "party", Seat.SERVER.value),
        attack_seed=derive(experiment.seed, "adversary", experiment.attack),
        attack=experiment.attack if attack else "",
        options=scene.options if attack else {},
        offers=tuple(sorted(offers)),
        plugins=str(experiment.plugins or ""),
        device=experiment.device,
        autocast=scene.autocast,
        threads=experiment.threads,
    )


def honest_host(scene: Scene, keeper: Keeper | None = None) -> LocalHost:
    """The server's party in this process, with nobody curious in its seat."""
    return seat_server(brief(scene, attack=False), carrier=CARRIERS[scene.experiment.carrier], keeper=keeper)


def assemble(scene: Scene, host: Host, keeper: Keeper, weights: nn.Sequential | None = None) -> Session:
    """A session at the start of its training, or with the ``weights`` of a trained model."""
    experiment, samples = scene.experiment, scene.samples
    source = weights or scene.model
    server = scene.protocol.deal(source, scene.cuts)[Seat.SERVER]
    seed = derive(experiment.seed, "party", Seat.SERVER.value)
    host.restore(
        make_party(Seat.SERVER.value, server, experiment.optimization, seed, scene.device, scene.autocast).checkpoint()
    )
    shards = scene.deal()
    clients = []
    for number, shard in enumerate(shards):
        name = f"{Seat.CLIENT}-{number}"
        parts = scene.protocol.deal(source, scene.cuts)[Seat.CLIENT]
        seed = derive(experiment.seed, "party", name)
        client = make_party(name, parts, experiment.optimization, seed, scene.device, scene.autocast)
        if scene.protocol.labels_at is Seat.CLIENT:
            client.labels = torch.full((len(samples.train_rows) + len(samples.test_rows),), -1)
            client.labels[shard] = samples.labels(shard)
            client.labels[samples.test_rows] = samples.labels(samples.test_rows)
        clients.append(client)
    plan = Plan(
        experiment.seed, experiment.batch_size, experiment.turn, experiment.handover, experiment.optimizer_state
    )
    return Session(
        protocol=scene.protocol,
        agreement=scene.agreement,
        clients=clients,
        shards=shards,
        host=host,
        keeper=keeper,
        samples=samples,
        plan=plan,
        defenses=make_defenses(experiment),
        carrier=CARRIERS[experiment.carrier],
    )


def train(scene: Scene, run: Path, progress: Progress) -> Victim:
    """The scene's victim: looked up in ``run``, taken up where an interrupted training stopped, or trained."""
    folder = run / "victims" / key(scene)
    finished = folder / "history.json"
    if finished.is_file():
        model = join([scene.model])
        model.load_state_dict(load_file(folder / "model.safetensors"))
        return Victim(model, tuple(Epoch(**epoch) for epoch in json.loads(finished.read_text())))
    torch.set_num_threads(scene.experiment.threads)
    keeper = Keeper("trusted_party")
    session = assemble(scene, honest_host(scene, keeper), keeper)
    history = _resume(session, folder)
    epochs, steps = scene.experiment.epochs, session.steps_per_epoch()
    for epoch in range(len(history) + 1, epochs + 1):
        done = iter(range((epoch - 1) * steps + 1, epoch * steps + 1))
        loss = session.train_epoch(epoch, lambda done=done: progress("training", next(done), epochs * steps))  # type: ignore[misc]
        history.append(Epoch(epoch=epoch, loss=loss, accuracy=accuracy(scene, session)))
        _keep(session, folder, history)
    if not history:
        history.append(Epoch(epoch=0, accuracy=accuracy(scene, session)))
    model = whole_model(scene, session)
    write_atomically(folder / "model.safetensors", save({n: detached(t) for n, t in model.state_dict().items()}))
    write_atomically(finished, json.dumps([epoch.model_dump() for epoch in history]))
    for kept in (*folder.glob("epoch-*"), *folder.glob(".draft-*")):
        shutil.rmtree(kept, ignore_errors=True)
    return Victim(model, tuple(history))


def whole_model(scene: Scene, session: Session) -> nn.Sequential:
    """The deployed network as ``session`` stands: the parts of the client whose turn was last, and the server's."""
    return join(whole_parts(scene, session)).cpu()


def whole_parts(scene: Scene, session: Session) -> list[nn.Module]:
    """The deployed network's parts in order."""
    server = honest_host(scene)
    server.restore(session.host.checkpoint())
    client = session.clients[session.last or 0]
    held = {Seat.CLIENT: iter(client.parts), Seat.SERVER: iter(server.party.parts)}
    return [next(held[owner]) for owner in scene.protocol.owners]


def accuracy(scene: Scene, session: Session) -> float:
    """Of the deployment on the whole test split."""
    labels = session.samples.labels(session.samples.test_rows)
    return (answers(scene, session).argmax(1) == labels).double().mean().item()


def answers(scene: Scene, session: Session, change: Change | None = None) -> Tensor:
    """The deployment's logits for its test split, changed first: through the defenses, past nobody curious."""
    replica = honest_host(scene)
    replica.restore(session.host.checkpoint())
    return session.predictions(session.samples.test_rows, replica, change)


def trained(key: str, run: Path) -> bool:
    """Whether the victim with this ``key`` is there to be looked up."""
    return (run / "victims" / key / "history.json").is_file()


def steps_to_train(scene: Scene, run: Path) -> int:
    """Training steps that ``train`` would still take."""
    if trained(key(scene), run):
        return 0
    folder = run / "victims" / key(scene)
    begun = max(map(_number, folder.glob("epoch-*")), default=0)
    steps = sum(len(batch_sizes(len(shard), scene.experiment.batch_size)) for shard in scene.deal())
    return (scene.experiment.epochs - begun) * steps


def key(scene: Scene) -> str:
    """What two cells share whose victims train to the same bits."""
    experiment, dataset = scene.experiment, scene.dataset
    own = () if _shared(scene) else ("protocol", "cut")
    options = {name: experiment.options.get(name, {}) for name in (experiment.dataset, *experiment.defenses)}
    data = (dataset.source, dataset.pixels, str(len(dataset.train)), str(len(dataset.test)))
    code = own_files(experiment, "models", "datasets", "defenses", "protocols")
    shared = experiment.aux == SHARE
    extra = (__version__, code, *([SHARE] if shared else []), json.dumps(options, sort_keys=True, default=str), *data)
    return experiment.fingerprint(*extra, only=(*_TRAINED_BY, *own))


@lru_cache(maxsize=256)
def _shared(scene: Scene) -> bool:
    """Whether every protocol and cut trains to the same bits as the whole model: tried on a few samples.

    Layers that draw prevent it, and so can bf16: what crosses a cut is float32 there.
    """
    if scene.experiment.clients > 1 or scene.experiment.defenses:
        return False
    alike = zip(_step(scene, (), 1), _step(scene, scene.cuts, 2), strict=True)
    return all(torch.equal(whole, split) for whole, split in alike)


def _step(scene: Scene, cuts: tuple[int, ...], seed: int) -> list[Tensor]:
    """The outputs and the weights' gradients of one step of the model cut at ``cuts``."""
    rows = scene.samples.train_rows[:_PROBED]
    parts = nn.ModuleList(split(scene.model, cuts)).to(scene.device).train()
    precision = torch.autocast(scene.device, torch.bfloat16, enabled=bool(scene.autocast))
    value = scene.samples.inputs(rows).to(scene.device)
    with drawing(seed, torch.device(scene.device)):
        for part in parts:
            with precision:
                value = part(value)
            value = value.float()
    task_loss(value, scene.samples.labels(rows)).backward()  # type: ignore[no-untyped-call]
    return [value, *(weight.grad for weight in parts.parameters() if weight.grad is not None)]


def _keep(session: Session, folder: Path, history: list[Epoch]) -> None:
    # Another command may be training the same victim: to the same bits, so whoever is first keeps it.
    draft = folder / f".draft-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name, tensors in session.checkpoint().items():
        save_file({label: tensor.contiguous() for label, tensor in tensors.items()}, draft / f"{name}.safetensors")
    (draft / "history.json").write_text(json.dumps([epoch.model_dump() for epoch in history]))
    whole = folder / f"epoch-{len(history)}"
    try:
        draft.rename(whole)
    except OSError:
        if not whole.is_dir():
            raise
        shutil.rmtree(draft)
    for earlier in folder.glob("epoch-*"):
        if _number(earlier) < len(history):
            shutil.rmtree(earlier, ignore_errors=True)


def _number(kept: Path) -> int:
    """Of the epoch that a folder keeps."""
    return int(kept.name.removeprefix("epoch-"))


def _resume(session: Session, folder: Path) -> list[Epoch]:
    kept = sorted(folder.glob("epoch-*"), key=_number)
    if not kept:
        return []
    states: dict[str, dict[str, Tensor]] = {path.stem: load_file(path) for path in kept[-1].glob("*.safetensors")}
    session.restore(states)
    return [Epoch(**epoch) for epoch in json.loads((kept[-1] / "history.json").read_text())]
