"""`cutlayer certs`: a private authority, a certificate for every party of a trial, and files to start from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from cutlayer.certificate import NAME, CertificateError, fingerprint, issue, make_authority, write_new
from cutlayer.experiment import ExperimentError

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
    folder: Path, clients: Sequence[str], hosts: Sequence[str], port: int, days: int, console: Console
) -> None:
    """One folder for each party in ``folder``, and one for the authority, which never leaves the machine.

    A file that is there already is never overwritten; an authority that is there already signs new parties.
    """
    for name in clients:
        if name in (AUTHORITY, SERVER) or clients.count(name) > 1:
            raise ExperimentError(f"client {name!r}: every client needs a name of its own, and not {SERVER!r}")
        if not NAME.fullmatch(name):
            raise ExperimentError(f"{name!r} cannot be a party's name: letters, digits, dots, dashes, at most 63")
        held = folder / name / "certificate.pem"
        if held.exists():
            raise ExperimentError(f"{held} is there already and is not overwritten: name new parties only")
    try:
        authority, key = _authority(folder / AUTHORITY, days, console)
        local = ["localhost", "127.0.0.1", "::1"]
        names = [*hosts, *(host for host in local if host not in hosts)]
        plan = _PLAN.format(clients=", ".join(f'"{name}"' for name in clients))
        agreed = folder / SERVER / "plan.toml"
        if agreed.exists():
            plan = agreed.read_text(encoding="utf-8")
            told = f"{agreed}: copied to the new parties; who is not in it yet has to be named in every copy"
            console.print(told, highlight=False, soft_wrap=True)
        if not (folder / SERVER).exists():
            listen = f"{'0.0.0.0' if hosts else '127.0.0.1'}:{port}"
            _party(
                folder / SERVER, SERVER, names, authority, key, days, plan, "server.toml", _SERVER.format(listen=listen)
            )
        share = (
            'share = "dealt"  # all clients hold the same data here: deal it; leave this out with data of your own\n'
        )
        text = _CLIENT.format(server=f"{(hosts or ['localhost'])[0]}:{port}", share=share if len(clients) > 1 else "")
        for name in clients:
            _party(folder / name, name, [], authority, key, days, plan, "client.toml", text)
            shown = fingerprint((folder / name / "certificate.pem").read_bytes())
            console.print(f"{folder / name}: certificate of {name}, SHA-256 {shown}", highlight=False, soft_wrap=True)
    except CertificateError as error:
        raise ExperimentError(str(error)) from None
    except OSError as error:
        raise ExperimentError(f"{error.filename} cannot be written: {error.strerror}") from None
    steps = (
        f"next: bring each folder to its party over a way you trust, and keep {folder / AUTHORITY} to yourself;",
        "agree on plan.toml, which all of them hold, and see in client.toml that it names the party's own data;",
        f"then `cutlayer serve {folder / SERVER / 'server.toml'}`, and `cutlayer join client.toml` at every client",
    )
    for line in steps:
        console.print(line, highlight=False, soft_wrap=True)


def _authority(folder: Path, days: int, console: Console) -> tuple[bytes, bytes]:
    certificate, key = folder / "authority.pem", folder / "key.pem"
    if certificate.exists() and key.exists():
        told = f"{folder}: this authority is there already and signs the new certificates"
        console.print(told, highlight=False, soft_wrap=True)
        return certificate.read_bytes(), key.read_bytes()
    _private(folder)
    made = make_authority("cutlayer trial", days)
    for path, content in zip((certificate, key), made, strict=True):
        write_new(path, content)
    return made


def _party(
    folder: Path,
    name: str,
    hosts: Sequence[str],
    authority: bytes,
    key: bytes,
    days: int,
    plan: str,
    file: str,
    text: str,
) -> None:
    certificate, own_key = issue(authority, key, name, hosts, days)
    _private(folder)
    files = {"certificate.pem": certificate, "key.pem": own_key, "authority.pem": authority}
    for path, content in {**files, "plan.toml": plan.encode(), file: text.encode()}.items():
        write_new(folder / path, content)


def _private(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
