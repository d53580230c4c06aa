"""A party's own file of settings: where its plan, its certificates, its data and its folder are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, Field

from cutlayer import registry
from cutlayer.deploying.terms import Plan, make_plan, validated
from cutlayer.experiment import ExperimentError
from cutlayer.given import Given
from cutlayer.grid import read_toml, typed
from cutlayer.mistake import nearest
from cutlayer.transport.certificate import CertificateError, Identity, read_identity
from cutlayer.transport.duplex import RefusedError
from cutlayer.transport.rpc import only_loopback

_PATHS = ("folder", "certificate", "key", "authority", "data_dir", "plugins")


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    # gRPC takes a port from 65536 on for another one, and a host without a port for one with its own.
    if not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > _PORTS:
        raise ValueError(f"must be host:port with a port up to {_PORTS}, such as 127.0.0.1:7443")
    return text


_PORTS = 65535
Address = Annotated[str, AfterValidator(_address)]


class Settings(Given):
    """What one party's own file says. Paths are relative to the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: str | dict[str, Any] = Field(description="the agreed plan: a file, or a table [plan]")
    folder: Path = Field(Path("run"), description="where this party keeps its state and its results")
    certificate: Path = Field(Path("certificate.pem"), description="this party's certificate")
    key: Path = Field(Path("key.pem"), description="its private key")
    authority: Path = Field(Path("authority.pem"), description="the certificate of who vouches for the others")
    insecure: bool = Field(False, description="no TLS, no certificates: only on this machine itself")
    randomness: Literal["own", "plan"] = Field(
        "own",
        description="own: initial weights, shuffling and dropout from a secret of this party; plan: from the plan's "
        "seed, which makes the run repeatable and lets everybody who knows the plan compute them. The noise of a "
        "defense comes from the secret either way",
    )
    checkpoint_every: int = Field(100, ge=1, description="training steps between two checkpoints")
    ping_seconds: float = Field(20.0, gt=0, description="a connection without a sign of life for twice as long is dead")
    wait_seconds: float = Field(600.0, gt=0, description="seconds to wait for a party whose turn it is to answer")
    record: str = Field("", description="keep this party's messages, at most so much (500MB); empty: keep none")
    dataset: str = Field("", description="a dataset plug-in: this party's own data")
    data_dir: Path | None = Field(None, description="folder with the data's files; without it, the Hugging Face hub")
    train_rows: int | None = Field(None, ge=1, description="use only so many training rows")
    test_rows: int | None = Field(None, ge=1, description="use only so many test rows")
    plugins: Path | None = Field(None, description="folder with models/, datasets/, defenses/ ... of your own")
    defense: str = Field("none", description="a client's defense plug-ins, joined by +, or none")
    device: Literal["cpu", "cuda"] = Field("cpu")
    precision: Literal["fp32", "bf16"] = Field("fp32")
    memory_format: Literal["contiguous", "channels_last"] = Field("contiguous")
    threads: int = Field(1, ge=1, description="CPU threads; runs that are to end in equal bits use equally many")
    options: dict[str, dict[str, Any]] = Field({}, description="plug-ins' options, as tables")

    @property
    def fixed(self) -> dict[str, Any]:
        """What the bits depend on and must stay once a training has begun, as JSON."""
        return self.model_dump(mode="json", include={"randomness", "defense", "options"})


class ServerSettings(Settings):
    """The file behind `cutlayer serve`."""

    listen: Address = Field("127.0.0.1:7443", description="host:port to listen at; 0.0.0.0:7443 for every network")


class ClientSettings(Settings):
    """The file behind `cutlayer join`."""

    server: Address = Field(description="host:port of the server")
    server_name: str = Field("", description="the name in the server's certificate, where it is not the host")
    name: str = Field("", description="this client's name; the certificate's where there is one")
    share: Literal["all", "dealt"] = Field(
        "all",
        description="all: every training row is this client's; dealt: all clients hold the same data, in a trial, "
        "and the plan's seed deals it",
    )
    pins: dict[str, str] = Field({}, description="SHA-256 of other clients' certificates, by name, if known")


Kind = TypeVar("Kind", bound=Settings)


def read_settings(kind: type[Kind], file: Path, overrides: Sequence[str] = ()) -> Kind:
    """The settings in ``file``, changed by ``key=value`` (``plan.key=value``); mistakes are an ``ExperimentError``."""
    values = read_toml(file)
    _check_side(kind, file, values)
    where = file.parent
    named = next((text.partition("=")[2] for text in reversed(overrides) if text.startswith("plan=")), None)
    plan = values.get("plan")
    if named is not None or isinstance(plan, str):
        # What is typed is meant from here.
        path = Path(named).expanduser() if named is not None else where / Path(str(plan)).expanduser()
        values["plan"] = _with_model_from(path.parent, read_toml(path))
    elif isinstance(plan, dict):
        values["plan"] = _with_model_from(where, plan)
    written, own = _plugins(values), _tables(kind)
    # A plug-in can have a key's name, as the dataset folder has: its table is told from that key's value.
    tables = {key: values.pop(key) for key in [*values] if isinstance(values[key], dict) and key not in own}
    for text in (text for text in overrides if not text.startswith("plan=")):
        head, dot, _ = text.partition("=")[0].partition(".")
        _override(tables if dot and head not in own else values, text)
    # What a file says of a plug-in that overrides have put aside is passed over; what is typed is meant.
    aside = written - _plugins(values) - {text.partition(".")[0] for text in overrides}
    settings = validated(kind, values)
    twice = next((name for name in tables if name in settings.options), "")
    if twice:
        raise ExperimentError(f"{twice}: its options are given twice, as {twice} and as options.{twice}")
    options = {name: table for name, table in {**settings.options, **tables}.items() if name not in aside}
    moved = {name: where / path.expanduser() for name in _PATHS if (path := getattr(settings, name)) is not None}
    settings = settings.model_copy(update={**moved, "options": options})
    _check_options(settings)
    return settings


def _check_side(kind: type[Settings], file: Path, values: Mapping[str, Any]) -> None:
    """``ExperimentError`` for the other side's file."""
    serves = kind is ServerSettings
    other: type[Settings] = ClientSettings if serves else ServerSettings
    theirs = sorted(values.keys() & other.model_fields.keys() - kind.model_fields.keys())
    if theirs:
        here, there = ("serve", "join") if serves else ("join", "serve")
        raise ExperimentError(f"{file} has {theirs[0]!r}, no key of `cutlayer {here}`: it is for `cutlayer {there}`")


def _with_model_from(folder: Path, plan: dict[str, Any]) -> dict[str, Any]:
    """``plan`` whose model, where that is a function of a file, is looked for from ``folder``, where the plan lies."""
    file, colon, function = str(plan.get("model", "")).rpartition(":")
    return {**plan, "model": f"{folder / Path(file).expanduser()}:{function}"} if colon else plan


def _plugins(values: Mapping[str, Any]) -> set[str]:
    """The plug-ins whose options a party's file may hold."""
    return {str(values.get("dataset", "")), *str(values.get("defense", "")).split("+")}


def _tables(kind: type[Settings]) -> list[str]:
    """The keys whose values are tables."""
    return [key for key in ("plan", "pins", "options") if key in kind.model_fields]


def _check_options(settings: Settings) -> None:
    """``ExperimentError`` for options of what this party does not use: a slip of the pen, and they would do nothing."""
    known = {name for folder in ("defenses", "datasets") for name in registry.names(folder, settings.plugins)}
    for name in settings.options:
        if name not in known and name in type(settings).model_fields:
            raise ExperimentError(f"{name} is a value, no table with keys of its own")
        if name not in known:
            near = nearest(name, (*type(settings).model_fields, *known))
            tables = ", ".join(key for key in _tables(type(settings)) if key != "options")
            raise ExperimentError(
                f"unknown table {name!r}{near}; tables: {tables}, and each plug-in's with its options"
            )
        if name not in _plugins(settings.model_dump(include={"dataset", "defense"})):
            raise ExperimentError(
                f"options are given for {name!r}, which neither defense = {settings.defense!r} "
                f"nor dataset = {settings.dataset!r} names"
            )


def read_plan(settings: Settings) -> Plan:
    """The plan that ``settings`` name."""
    assert isinstance(settings.plan, dict)
    return make_plan(settings.plan, settings.plugins)


def identity_of(settings: Settings, address: str) -> Identity | None:
    """Whom the party proves to be; ``None`` in the clear, which ``address`` must allow."""
    try:
        if settings.insecure:
            only_loopback(address)
            return None
        return read_identity(settings.certificate, settings.key, settings.authority)
    except (CertificateError, RefusedError) as error:
        raise ExperimentError(str(error)) from None


def _override(values: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ExperimentError(f"{text!r} is not of the form key=value")
    if key in _PATHS:
        # What is typed is meant from here, not from where the file lies.
        value = str(Path(value).expanduser().absolute())
    table: dict[str, Any] = values
    *outer, last = key.strip().split(".")
    for name in outer:
        inner: object = table.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ExperimentError(f"{text!r}: {name} = {inner!r} is a value, no table with keys of its own")
        table = inner
    found = typed(value)
    table[last] = value if found is None else found
