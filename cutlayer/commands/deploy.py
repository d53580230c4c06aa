"""`cutlayer serve` and `cutlayer join`: one party of a training between several."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cutlayer.codec import FrameError
from cutlayer.commands.say import say
from cutlayer.deploying.coordinator import Coordinator
from cutlayer.deploying.meaning import in_words
from cutlayer.deploying.member import Member
from cutlayer.deploying.outcome import PartyRecord, read_party_record
from cutlayer.deploying.place import Place, limits, take_place
from cutlayer.deploying.roll import Roll
from cutlayer.deploying.seal import SealError
from cutlayer.deploying.settings import (
    ClientSettings,
    ServerSettings,
    Settings,
    identity_of,
    read_plan,
    read_settings,
)
from cutlayer.deploying.terms import Plan, differences
from cutlayer.deploying.trustee import Trustee
from cutlayer.disk import sweep
from cutlayer.exchange.handover import Route
from cutlayer.experiment import ExperimentError
from cutlayer.layout import PartyFolder
from cutlayer.lock import locked
from cutlayer.threat import Seat
from cutlayer.transport.certificate import Identity
from cutlayer.transport.duplex import Duplex, RefusedError, printable
from cutlayer.transport.rpc import connect, serve
from cutlayer.wire import WireError

_QUIET_SECONDS = 15.0


def serve_one(file: Path, overrides: Sequence[str], console: Console) -> PartyRecord:
    """Serve the training of ``file`` to its end; the server's record."""
    settings = read_settings(ServerSettings, file, overrides)
    plan = read_plan(settings)
    identity = identity_of(settings, settings.listen)
    _sealable(plan, identity)
    with locked(settings.folder, PartyFolder(settings.folder).lock, "another `folder`"):
        sweep(settings.folder)
        return _serve(plan, settings, identity, console)


def _serve(plan: Plan, settings: ServerSettings, identity: Identity | None, console: Console) -> PartyRecord:
    _same_plan(settings, plan)
    record = read_party_record(settings.folder)
    if record and _over(settings, record):
        say(console, f"done already: {_results(settings)}")
        return record
    place = take_place(plan, settings, Seat.SERVER)
    _same_own(settings, place.own, record)
    with _watching(console) as (watch, tell):
        roll = Roll(plan, identity is not None, tell)
        try:
            server, port = serve(settings.listen, identity, roll.names, roll.admit, limits(plan, settings))
        except RuntimeError:
            place.durable.shelf.close()
            reason = "it is in use, or no address of this machine"
            raise ExperimentError(f"listen = {settings.listen!r}: {reason}") from None
        how = "mutual TLS" if identity else "in the clear"
        _tell_data(place, tell)
        tell(f"listening at {settings.listen.rpartition(':')[0]}:{port} ({how}) for {', '.join(roll.names)}")
        try:
            # Only now: a server that could not listen leaves nothing that a corrected plan would not fit.
            coordinator = Coordinator(place, roll, watch, tell)
            coordinator.outcome.write("training")
            missing = coordinator.run()
        finally:
            server.stop(1).wait()
            place.durable.shelf.close()
        if missing:
            peer = plan.experiment.handover is Route.PEER
            again = "who trained last has it" if peer else "the same command again hands it out"
            tell(f"without the final client part: {', '.join(missing)}; {again}")
    say(console, f"done: {_results(settings)}")
    found = read_party_record(settings.folder)
    assert found
    return found


def join_one(file: Path, overrides: Sequence[str], console: Console) -> PartyRecord | None:
    """Take part in a training to its end; this client's record, none of a trusted party."""
    settings = read_settings(ClientSettings, file, overrides)
    plan = read_plan(settings)
    identity = identity_of(settings, settings.server)
    _sealable(plan, identity)
    name = identity.name if identity else settings.name
    with locked(settings.folder, PartyFolder(settings.folder).lock, "another `folder`"):
        sweep(settings.folder)
        if identity and name == plan.terms.trusted_party:
            _keep(plan, settings, identity, console)
            return None
        if name not in plan.terms.clients:
            raise ExperimentError(f"{name!r} is not one of the plan's clients: {', '.join(plan.terms.clients)}")
        return _join(plan, settings, identity, name, console)


def _join(plan: Plan, settings: ClientSettings, identity: Identity | None, name: str, console: Console) -> PartyRecord:
    record = read_party_record(settings.folder)
    _same_plan(settings, plan)
    done = record is not None and record.status == "done"
    if record and _over(settings, record):
        say(console, f"done already: {_results(settings)}")
        return record
    place = take_place(plan, settings, Seat.CLIENT, plan.terms.clients.index(name), name)
    _same_own(settings, place.own, record)
    _stand(place)
    bounds = limits(plan, settings)
    with _watching(console) as (watch, tell):
        tell(f"{name} joins {settings.server}" + (f", from step {place.durable.party.step}" if record else ""))
        _tell_data(place, tell)
        member = Member(
            place,
            identity,
            lambda: connect(settings.server, identity, settings.server_name, bounds),
            watch,
            settings.pins,
        )
        if not done:
            member.outcome.write("training")
        try:
            # Stopped between the end and the farewell: it has all it needs, but the server waits to hear so.
            with _told():
                member.run(once=done)
        except ExperimentError:
            if record is None and place.durable.party.step == 0:
                # Whoever was refused corrects the plan, and nothing of the wrong one is worth keeping.
                PartyFolder(settings.folder).record.unlink(missing_ok=True)
                shutil.rmtree(place.durable.shelf.folder)
            raise
        finally:
            place.durable.shelf.close()
    say(console, f"done: {_results(settings)}")
    found = read_party_record(settings.folder)
    assert found
    return found


def _keep(plan: Plan, settings: ClientSettings, identity: Identity, console: Console) -> None:
    bounds = limits(plan, settings)
    with _watching(console) as (watch, tell):
        tell(f"{identity.name} joins {settings.server} and keeps the client part between turns")

        def dial() -> Duplex:
            return connect(settings.server, identity, settings.server_name, bounds)

        with _told():
            Trustee(plan, identity, settings.folder, dial, watch, settings.pins).run()
    say(console, "done: nothing is kept here any more")


def _results(settings: Settings) -> str:
    folder = PartyFolder(settings.folder)
    return f"{folder.part}, {folder.record}"


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (RefusedError, WireError, FrameError, SealError) as error:
        raise ExperimentError(f"the training stopped: {printable(str(error))}") from None


def _tell_data(place: Place, tell: Callable[[str], None]) -> None:
    """Who is refused because a number means something else to others can see here what it means."""
    if place.samples:
        tell(printable(f"numbers in its own data: {in_words(place.samples.dataset)}"))


def _stand(place: Place) -> None:
    if not place.durable.recover():
        place.durable.begin(place.durable.turn)


def _sealable(plan: Plan, identity: Identity | None) -> None:
    route = plan.experiment.handover
    if identity is None and len(plan.terms.clients) > 1 and route is not Route.SERVER:
        raise ExperimentError(
            f"handover = {route.value!r}: without certificates the clients cannot seal what they hand over; "
            "handover = 'server' shows it to the server"
        )


def _same_plan(settings: Settings, plan: Plan) -> None:
    record = read_party_record(settings.folder)
    if record:
        _same(settings.folder, "by another plan", plan.agreed(), record.plan)


def _over(settings: Settings, record: PartyRecord) -> bool:
    """Whether nothing is left to do in the folder; ``ExperimentError`` where it was done with other settings."""
    if record.status != "done" or PartyFolder(settings.folder).state.exists():
        return False
    # How many rows there were by then stays true whatever has become of the data.
    _same_own(settings, {**(record.own or {}), **settings.fixed}, record)
    return True


def _same_own(settings: Settings, own: Mapping[str, Any], record: PartyRecord | None) -> None:
    # Without it another version has begun, which its checkpoints say.
    if record and record.own is not None:
        _same(settings.folder, "that began with other settings or data", own, record.own)


def _same(folder: Path, what: str, now: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    difference = differences(now, there, "the folder")
    if difference:
        raise ExperimentError(
            f"folder = {str(folder)!r} holds a training {what}: "
            f"{difference.replace('at the server', 'now').replace('at the folder', 'there')}; choose another folder, "
            "or remove this one if nothing in it is wanted"
        )


@contextmanager
def _watching(console: Console) -> Iterator[tuple[_Watch, Callable[[str], None]]]:
    """What shows progress, and what says single lines; the log goes the same way."""
    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    logger = logging.getLogger("cutlayer")
    handler = RichHandler(console=console, show_path=False)
    logger.addHandler(handler)
    logger.propagate = False
    with bars:
        try:
            yield _Watch(bars, console), partial(say, console)
        finally:
            logger.removeHandler(handler)


class _Watch:
    """A bar where there is a terminal, a line now and then where there is none."""

    def __init__(self, bars: Progress, console: Console) -> None:
        self._bars, self._console = bars, console
        self._task = bars.add_task("starting", total=None)
        self._what, self._said = "", 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        new = what != self._what
        if new or now - self._said > _QUIET_SECONDS or done == total:
            if not self._console.is_terminal and (new or now - self._said > _QUIET_SECONDS):
                told = f"{what}: {done} of {total}" if total else what
                say(self._console, told)
            self._said = now
        self._what = what
        self._bars.update(self._task, description=what, completed=done, total=total or None)
