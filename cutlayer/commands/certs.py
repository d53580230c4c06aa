"""`cutlayer certs`: a private authority, a certificate for every party of a trial, and files to start from."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from rich.console import Console

from cutlayer.commands.say import say
from cutlayer.deploying.settings import ServerSettings
from cutlayer.experiment import ExperimentError
from cutlayer.grid import read_toml
from cutlayer.transport.certificate import (
    NAME,
    CertificateError,
    fingerprint,
    hosts_of,
    issue,
    last_day,
    make_authority,
    write_new,
)

AUTHORITY = "authority"
SERVER = "server"
_PLAN = """\
# What all parties agree on: the same file for everybody. `cutlayer list` explains the keys of the training.
protocol = "vanilla"
model = "lenet"
cut = "2"
inputs = [1, 28, 28]
classes = 10
clients = [{clients}]
epochs = 2
batch_size = 64
learning_rate = 0.001
seed = 1
"""
_SERVER = """\
# cutlayer serve server.toml
plan = "plan.toml"
listen = "{listen}"
"""
_CLIENT = """\
# cutlayer join client.toml
plan = "plan.toml"
server = "{server}"
# This party's own data, here the embedded digits: `cutlayer list` shows the datasets; data_dir is the folder with their
# files.
dataset = "digits"
{share}"""


def make_certs(
    folder: Path, clients: Sequence[str], hosts: Sequence[str], port: int | None, days: int, console: Console
) -> None:
    """One folder for each party in ``folder``, and one for the authority, which never leaves the machine.

    A file that is there already is never overwritten; an authority that is there already signs new parties, and the
    server that is there already is the one they are sent to.
    """
    for name in clients:
        if name in (AUTHORITY, SERVER) or clients.count(name) > 1:
            why = f"that is the {name}'s" if name in (AUTHORITY, SERVER) else "two have this one"
            raise ExperimentError(f"client {name!r}: every client needs a name of its own, and {why}")
        if not NAME.fullmatch(name):
            raise ExperimentError(f"{name!r} cannot be a party's name: letters, digits, dots, dashes, at most 63")
        held = folder / name / "certificate.pem"
        if held.exists():
            raise ExperimentError(f"{held} is there already and is not overwritten: name new parties only")
    try:
        # All of it is made before any of it is written: half a trial would stand in the way of the next one.
        made = _made(folder, clients, hosts, port, days, console)
        for place, files in made.items():
            place.mkdir(parents=True, exist_ok=True)
            place.chmod(0o700)
            for file, content in files.items():
                write_new(place / file, content)
    except CertificateError as error:
        raise ExperimentError(str(error)) from None
    except OSError as error:
        raise ExperimentError(f"{error.filename} cannot be written: {error.strerror}") from None
    for name in clients:
        own = made[folder / name]["certificate.pem"]
        told = f"{folder / name}: certificate of {name} until {last_day(own)}, SHA-256 {fingerprint(own)}"
        say(console, told)
    steps = (
        f"next: bring each folder to its party over a way you trust, and keep {folder / AUTHORITY} to yourself;",
        "agree on plan.toml, which all of them hold, and see in client.toml that it names the party's own data;",
        f"then `cutlayer serve {folder / SERVER / 'server.toml'}`, and `cutlayer join client.toml` at every client",
    )
    for line in steps:
        say(console, line)


def _made(
    folder: Path, clients: Sequence[str], hosts: Sequence[str], port: int | None, days: int, console: Console
) -> dict[Path, dict[str, bytes]]:
    """The files of every folder that is still to be made."""
    made: dict[Path, dict[str, bytes]] = {}
    signer = [folder / AUTHORITY / name for name in ("authority.pem", "key.pem")]
    if all(path.exists() for path in signer):
        authority, key = (path.read_bytes() for path in signer)
        told = f"{folder / AUTHORITY}: this authority is there already and signs the new certificates"
        say(console, told)
    else:
        authority, key = make_authority("cutlayer trial", days)
        made[folder / AUTHORITY] = {"authority.pem": authority, "key.pem": key}
    plan = _PLAN.format(clients=", ".join(f'"{name}"' for name in clients))
    agreed = folder / SERVER / "plan.toml"
    if agreed.exists():
        plan = agreed.read_text(encoding="utf-8")
        told = f"{agreed}: copied to the new parties; who is not in it yet has to be named in every copy"
        say(console, told)

    def party(name: str, reached: Sequence[str], file: str, text: str) -> None:
        certificate, own_key = issue(authority, key, name, reached, days)
        files = {"certificate.pem": certificate, "key.pem": own_key, "authority.pem": authority}
        made[folder / name] = {**files, "plan.toml": plan.encode(), file: text.encode()}

    server = _address(folder / SERVER, hosts, port)
    port = port or _usual_port()
    if not (folder / SERVER).exists():
        local = ["localhost", "127.0.0.1", "::1"]
        names = [*hosts, *(host for host in local if host not in hosts)]
        listen = f"{'0.0.0.0' if hosts else '127.0.0.1'}:{port}"
        party(SERVER, names, "server.toml", _SERVER.format(listen=listen))
    share = 'share = "dealt"  # all clients hold the same data here: deal it; leave this out with data of your own\n'
    for name in clients:
        party(name, [], "client.toml", _CLIENT.format(server=server, share=share if len(clients) > 1 else ""))
    return made


def _address(there: Path, hosts: Sequence[str], port: int | None) -> str:
    """Where clients find the server: as is asked for, or else as the server that is ``there`` already has it."""
    host, file = hosts[0] if hosts else "localhost", there / "server.toml"
    if file.exists():
        kept = read_toml(file)
        certificate = there / str(kept.get("certificate", "certificate.pem"))
        try:
            names = hosts_of(certificate.read_bytes())
        except OSError as error:
            raise ExperimentError(f"{certificate} cannot be read: {error.strerror}") from None
        host = hosts[0] if hosts else names[0]
        if not any(fnmatch(host, name) for name in names):
            raise ExperimentError(f"host {host!r}: the certificate in {there} is for {', '.join(names)}")
        port = port or _port(str(kept.get("listen", f":{_usual_port()}")))
    port = port or _usual_port()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _usual_port() -> int:
    return _port(str(ServerSettings.model_fields["listen"].default))


def _port(address: str) -> int:
    port = address.rpartition(":")[2]
    if not port.isdecimal():
        raise ExperimentError(f"listen = {address!r}: an address and a port, as in 127.0.0.1:7443")
    return int(port)
