"""A recording without its truth, as a party of a real deployment has it: attacks guess, and nobody can say how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save

from cutlayer.attack import Guess, TamperingAttack
from cutlayer.disk import write_whole
from cutlayer.exchange.tape import RecordingError, Tape
from cutlayer.knowledge import Knows, Source
from cutlayer.message import Kind, detached
from cutlayer.model import CutError
from cutlayer.network import NetworkError, build
from cutlayer.protocol import TRAINING
from cutlayer.recordings.archive import Recording
from cutlayer.seat.making import make_attack, make_protocol
from cutlayer.seat.seating import seat_server
from cutlayer.stream import derive
from cutlayer.threat import Progress, Row, Seat
from cutlayer.wire import WireError, check

OFFERED = tuple(what for what in Knows if what.facts.source is Source.PLAN)
"""What the plan and the messages give; own data, own parts and answers of the other party are not in the folder."""


@dataclass(frozen=True)
class Unjudged:
    """What an attack made of a recording."""

    guesses: Sequence[Guess]
    files: Sequence[Path]
    """One for each guess, beside the recording: its tensors, and the places on the wire that they are about."""


def guess(
    recording: Recording, attack: str, options: Mapping[str, Any], targets: int | None, progress: Progress
) -> Unjudged:
    """Let ``attack`` guess about the ``targets`` samples sent last; without a number, about those of the last message.

    Where the recording stopped at its limit, these are the last ones before that. ``RecordingError`` where the attack
    asks for more than the folder holds.
    """
    plugins = recording.brief.plugin_folder
    made = make_attack(attack, options, plugins)
    if isinstance(made, TamperingAttack) or made.threat.seat is not Seat.SERVER or recording.seat is not Seat.SERVER:
        raise RecordingError(f"{attack} cannot be replayed: only attacks that watch, from the recorded server's seat")
    if lacking := sorted(made.threat.knows - {*OFFERED}):
        raise RecordingError(f"{attack} needs {', '.join(lacking)}, which no recording of a deployment holds")
    cut_short = [segment.exchanges for segment in recording.segments.values() if not segment.complete]
    if cut_short and made.watches & TRAINING and made.setting.target_kind != "train":
        raise RecordingError(
            f"{attack} watches the training: its recording stopped at its limit, after {cut_short[0]} exchanges"
        )
    files = [recording.file(name) for name in recording.segments]
    rows = _last(files, Kind.PREDICT if made.setting.target_kind == "predict" else None, targets)
    offers = tuple(what for what in (*recording.brief.offers, Knows.PEER_ARCHITECTURE) if what in OFFERED)
    told = replace(recording.brief, attack=attack, options=dict(options), offers=offers, attack_seed=derive(0, attack))
    try:
        model = build(told.model, told.input_shape, told.classes, 0, plugins, told.scaling)
        protocol = make_protocol(told.protocol, plugins)
        agreement = protocol.agree(model, told.cuts, told.input_shape)
        host = seat_server(replace(told, tapes=tuple(map(str, files))), None, progress)
        for file in files:
            for number, exchange in enumerate(Tape(file), start=1):
                # Nobody answers here who would check it.
                if frame := protocol.wire.get(exchange.request.kind):
                    check(exchange.request, frame.request, agreement)
                host.answer(exchange.request)
                progress(f"replaying {file.stem}", number, number)
    except (NetworkError, CutError) as error:
        raise RecordingError(f"model = {told.model!r} is not the recorded network: {error}") from None
    except WireError as error:
        raise RecordingError(f"a recorded message does not fit model = {told.model!r}: {error}") from None
    host.occupant.announce(rows)
    guesses = host.occupant.infer()
    return Unjudged(guesses, [_kept(recording, attack, number, one) for number, one in enumerate(guesses)])


def _last(files: Sequence[Path], kind: Kind | None, targets: int | None) -> tuple[Row, ...]:
    found: list[Row] = []
    for file in files:
        for exchange in Tape(file):
            request = exchange.request
            wanted = request.kind is kind if kind else request.kind in {Kind.TRAIN, Kind.FORWARD}
            if wanted and request.tensors:
                count = len(next(tensor for tensor in request.tensors.values() if tensor.ndim))
                rows = [Row(request.kind, request.step, number) for number in range(count)]
                found = (found + rows)[-targets:] if targets else rows
    if not found:
        raise RecordingError(f"no {kind or 'training'} message was recorded: there is nothing to guess")
    return tuple(found)


def _kept(recording: Recording, attack: str, number: int, found: Guess) -> Path:
    path = recording.layout.guesses / f"{attack}-{number}-{found.goal}.safetensors"
    tensors = {name: detached(tensor.cpu()) for name, tensor in found.tensors.items()}
    about = " ".join(f"{row.kind}:{row.step}:{row.row}" for row in found.rows)
    write_whole(path, save(tensors, metadata={"goal": found.goal.value, "rows": about, "name": found.name}))
    return path
