"""`cutlayer replay`: an attack is shown a recording instead of a running deployment, and guesses the same."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from cutlayer.attack import Attack, Guess, TamperingAttack
from cutlayer.auditing.attacked import attends, attends_training
from cutlayer.auditing.grants import Outside
from cutlayer.auditing.outline import outline
from cutlayer.auditing.result import Result, filled, images_of, not_applicable
from cutlayer.computing import prepare
from cutlayer.exchange.tape import RecordingError, Tape
from cutlayer.isolated.isolation import ProcessHost
from cutlayer.judging.judge import Truth, admitted, judge_all
from cutlayer.judging.truth import truth_of
from cutlayer.record import Record
from cutlayer.recordings.archive import ATTENDED, TRAINING, Recording, rows_kept, states_kept, targets_kept, truth_kept
from cutlayer.recordings.recorder import in_words, shape_named, shape_of
from cutlayer.scene.scene import Scene
from cutlayer.seat.host import Host
from cutlayer.seat.seating import Brief, seat_server
from cutlayer.simulation.assembly import CARRIERS, assemble, brief, honest_host
from cutlayer.simulation.session import Session
from cutlayer.simulation.traffic import cost
from cutlayer.threat import Knows, NotOfferedError, Progress, Seat

LIVE = tuple(what for what in Knows if what.facts.live)
"""What only a running deployment can give: no message of the recorded party holds it."""
KEYS = ("attack", "steps", "offers", "aux", "aux_rows", "isolate", "leak", "partial", "link", "targets", "plugins")
"""What may be said anew for a replay; all else was settled when the recording was made, but for where a model lies."""


def replay_cell(scene: Scene, recording: Recording, progress: Progress) -> Result:
    """Show the recording to the scene's attack and judge its guesses by the truth that was kept apart from it.

    An attack that asks for more than a recording holds gives a record that says so.
    """
    prepare(scene.experiment.threads)
    start, record = time.perf_counter(), outline(scene)
    try:
        segments = _segments(scene, recording)
        session = _deployed(scene, recording, segments[-1])
        outside = Outside(scene.auxiliary, scene.facts)
        told = _told(brief(scene, attack=True), recording, segments)
        host = _host(scene, told, outside, progress)
        try:
            if isinstance(host, ProcessHost):
                host.ready()
            # Another process has read them anew.
            scene.check_files()
            guesses = _guesses(host, recording, segments, progress)
            truth = truth_of(scene, session, rows_kept(recording, segments[-1]), None, progress)
            result = _judged(scene, recording, truth, guesses, host, record)
        finally:
            host.close()
    except NotOfferedError as error:
        return not_applicable(record, str(error))
    seconds = time.perf_counter() - start
    return replace(result, record=result.record.changed(seconds=seconds, recording=recording.folder.name))


def refusal(attack: Attack) -> str:
    """Why ``attack`` cannot be replayed on any recording; empty where it can."""
    threat = attack.threat
    if threat.seat is not Seat.SERVER:
        return f"the recording is the server's, the attack sits at the {threat.seat}'s seat"
    if isinstance(attack, TamperingAttack):
        return "it tampers with messages: a recording answers nobody"
    if lacking := sorted(threat.knows & {*LIVE}):
        return f"a recording cannot hold {', '.join(lacking)}: nobody is there to be asked"
    if Knows.OWN_PART in threat.knows and attends_training(attack):
        return "a recording holds the server's own part before and after the training, not at each of its steps"
    return ""


def _segments(scene: Scene, recording: Recording) -> list[str]:
    """The files that show the attack what it would have seen live, in order; its targets are in the last one."""
    if why := refusal(scene.attack):
        raise NotOfferedError(why)
    shape = shape_of(scene)
    wanted = [TRAINING, ATTENDED + shape.name] if attends(scene) else [shape.name]
    for name in wanted:
        if name not in recording.segments:
            raise NotOfferedError(_missing(name, scene, recording))
        if not recording.segments[name].complete:
            kept = recording.segments[name].exchanges
            raise NotOfferedError(f"the recording of {in_words(name)} stopped at its limit, after {kept} exchanges")
    return wanted


def _missing(name: str, scene: Scene, recording: Recording) -> str:
    """Why the attack cannot have the segment ``name``, and what would help."""
    attack, wanted = scene.experiment.attack, shape_named(name)
    if wanted is None:
        return f"no training was recorded, and {attack} watches it: record again without --no-training"
    if why := recording.left_out.get(name):
        return f"{attack} needs {wanted.words}, which could not be sent when this was recorded: {why}"
    alike = [one for one in recording.segments if one.startswith(ATTENDED) is name.startswith(ATTENDED)]
    there = [shape for one in alike if (shape := shape_named(one))]
    again = f"record again with attack={attack}"
    if scene.experiment.targets != truth_kept(recording)[0].targets:
        again = f"leave targets out, or record again with targets={scene.experiment.targets}"
    has = " and ".join(shape.words for shape in there) or "no targets that it could use"
    return f"this recording has {has}; {attack} needs {wanted.words}: {again}"


def _told(told: Brief, recording: Recording, segments: Sequence[str]) -> Brief:
    offers = tuple(what for what in told.offers if what not in LIVE)
    tapes = tuple(str(recording.file(name).resolve()) for name in segments)
    return replace(told, codec="", codec_options={}, offers=offers, tapes=tapes)


def _host(scene: Scene, told: Brief, outside: Outside, progress: Progress) -> Host:
    if not scene.experiment.isolate:
        return seat_server(told, outside, progress, CARRIERS["direct"])
    return ProcessHost(told, outside, progress)


def _guesses(host: Host, recording: Recording, segments: Sequence[str], progress: Progress) -> Sequence[Guess]:
    host.restore(recording.own_state(segments[0], "before"))
    for name in segments:
        tape, count = Tape(recording.file(name)), recording.segments[name].exchanges
        number = 0
        for number, exchange in enumerate(tape, start=1):
            host.answer(exchange.request)
            progress(f"replaying {name}", number, count)
        if tape.cut_off or number != count:
            raise RecordingError(tape.told() or f"{tape.file} has {number} exchanges, {count} were recorded")
    host.restore(recording.own_state(segments[-1], "after"))
    host.occupant.announce(tuple(targets_kept(recording, segments[-1])))
    return host.occupant.infer()


def _deployed(scene: Scene, recording: Recording, segment: str) -> Session:
    """The judge's: the deployment as a segment left it; ``RecordingError`` where the scene's network is another one."""
    session = assemble(scene, honest_host(scene))
    try:
        session.restore(states_kept(recording, segment))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise RecordingError(f"model = {scene.experiment.model!r} is not the recorded network: {reason}") from None
    return session


def _judged(
    scene: Scene, recording: Recording, truth: Truth, guesses: Sequence[Guess], host: Host, record: Record
) -> Result:
    attack = scene.attack
    admitted_ones = admitted(guesses, attack.threat.goals)
    judgements = judge_all(admitted_ones, truth, scene.experiment.thresholds, attack.deciding)
    history = truth_kept(recording)[1]
    done = filled(
        record,
        judgements=judgements,
        findings=host.occupant.findings,
        cost=cost(scene, history),
        training=history,
        # Of a network that was to be trained afterwards there is no accuracy.
        utility=history[-1].accuracy if history and scene.experiment.when == "after" else None,
    )
    return Result(done.on(scene.experiment.link), images_of(judgements))
