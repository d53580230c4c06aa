"""Settings and certificates on disk for the parties of a deployment that run as processes."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cutlayer.transport.certificate import write_new
from tests.deployments import Deployment
from tests.scenes import PLUGINS


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def files_for(deployed: Deployment, changes: Mapping[str, Any], at: tuple[str, int] | None = None) -> dict[str, Path]:
    """A folder with certificates and settings for every party; their files by name."""
    host, port = at or ("127.0.0.1", free_port())
    found = {}
    plan = deployed.plan
    agreed = {k: v for k, v in plan.agreed().items() if k not in ("architecture", "language") and v is not None}
    for name in ("server", *plan.terms.clients):
        folder = deployed.folder / name
        folder.mkdir(parents=True)
        identity = deployed.papers.identity(name, [host] if name == "server" else ())
        for kind in ("certificate", "key", "authority"):
            write_new(folder / f"{kind}.pem", getattr(identity, kind))
        own = {"listen": f"{host}:{port}"} if name == "server" else {"server": f"{host}:{port}", "share": "dealt"}
        own |= {"folder": ".", "dataset": "made", "plugins": str(PLUGINS), "randomness": "plan", **changes}
        lines = [*(f"{key} = {_toml(value)}" for key, value in own.items()), "[plan]"]
        lines += [f"{key} = {_toml(value)}" for key, value in agreed.items()]
        found[name] = folder / "party.toml"
        found[name].write_text("\n".join(lines))
    return found


def _toml(value: object) -> str:
    return repr(value) if not isinstance(value, bool) else str(value).lower()
