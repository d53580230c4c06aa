"""`cutlayer list` and `explain`: plug-ins and keys in plain words."""

from __future__ import annotations

import ast
import inspect
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cutlayer import registry
from cutlayer.attack import Attack
from cutlayer.commands.complaint import joined
from cutlayer.commands.prose import prose, spelled
from cutlayer.defense import Defense
from cutlayer.experiment import Experiment, ExperimentError, make
from cutlayer.mistake import nearest
from cutlayer.seat.making import make_attack, make_protocol
from cutlayer.threat import Knows, ThreatModel


def listing(plugins: Path | None) -> tuple[list[Table], list[str]]:
    """A table for each kind of plug-in, and a line on why each other file of ``plugins`` is in none of them."""
    tables, wrong = list[Table](), list[str]()
    for folder in registry.FOLDERS:
        table = _table(folder)
        lines, others = registry.summaries(folder, plugins)
        for name, line in lines.items():
            table.add_row(name, line)
        tables.append(table)
        wrong += (f"cutlayer: {joined(why)}" for why in others)
    return tables, wrong


def keys() -> Table:
    """Every key of an experiment, its default and what it says."""
    table = Table(title="keys of an experiment", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for heading in ("key", "default", "meaning"):
        table.add_column(heading)
    for name, field in Experiment.model_fields.items():
        default = field.get_default(call_default_factory=False)
        shown = "" if default is None else ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        table.add_row(name, Text(shown), Text(field.description or ""))
    return table


def explanation(name: str, plugins: Path | None) -> Group:
    """Threat model, paper and options of the attack or defense ``name``."""
    for folder, parent in (("attacks", Attack), ("defenses", Defense)):
        if name in registry.names(folder, plugins):
            kind = registry.cls(folder, name, parent, plugins)
            return Group(*_explained(name, kind, plugins), *_options(kind))
    for folder in registry.FOLDERS:
        if name in registry.names(folder, plugins):
            # The others say all there is to say in the line that `cutlayer list` has of them.
            said = f"{name} is a {folder.removesuffix('s')}: {registry.summary(folder, name, plugins)}"
            raise ExperimentError(f"{said} Attacks and defenses are explained")
    known = [*registry.names("attacks", plugins), *registry.names("defenses", plugins)]
    raise ExperimentError(f"no attack or defense {name!r}{nearest(name, known)}; one of {', '.join(known)}")


def suggested(name: str, kind: type[Attack], plugins: Path | None) -> list[str]:
    """What to give `cutlayer audit` for the attack to apply where it runs by default."""
    threat, given = make_attack(name, {}, plugins).threat, [f"attack={name}"]
    exposed = make_protocol(kind.setting.protocol, plugins).exposes[threat.seat]
    if threat.knows - exposed - set(make({}).offers):
        given.append(f"offers={','.join(sorted(threat.knows - exposed))}")
    return [*given, *([f"plugins={plugins}"] if plugins else [])]


def _explained(name: str, kind: type, plugins: Path | None) -> Iterator[Text | Padding]:
    yield Text(kind.__name__, style="bold")
    if paper := getattr(kind, "paper", ""):
        yield Text(paper, style="italic")
    yield Padding(Text(getattr(kind, "plain", "")), (1, 0))
    if issubclass(kind, Attack):
        threat = make_attack(name, {}, plugins).threat
        lines = {
            "seat": str(threat.seat),
            "wants": ", ".join(sorted(threat.goals)),
            "needs to know": ", ".join(sorted(threat.knows)) or "nothing beyond the wire",
            "conduct": _conduct(threat),
            "runs by default": f"in {kind.setting.protocol}, {kind.setting.when} the training",
        }
        for what, said in lines.items():
            yield Text.assemble((f"{what}: ", "bold"), said)
        # On a line of its own, whole: to be copied.
        yield Text("to try it:", style="bold")
        command = shlex.join(["cutlayer", "audit", *suggested(name, kind, plugins)])
        yield Text(f"    {command}", no_wrap=True, overflow="ignore")
        yield Text()
    yield from prose(inspect.getdoc(kind) or "")


def _conduct(threat: ThreatModel) -> str:
    if threat.tampers:
        return "malicious: departs from the protocol"
    asks = Knows.PEER_QUERIES in threat.knows
    return f"honest but curious: {'follows the protocol, and asks beside it' if asks else 'only watches'}"


def _options(kind: type) -> Iterator[Table]:
    table = Table(title="options", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for heading in ("option", "default", "meaning"):
        table.add_column(heading)
    said = _field_docs(kind)
    names = registry.option_names(kind)
    own = vars(kind).get("__annotations__", {})
    for field in sorted(fields(kind), key=lambda field: field.name not in own):
        if field.name in names:
            table.add_row(field.name, Text(_default(field)), spelled(said.get(field.name, "")))
    if names:
        yield table


def _default(field: Field[Any]) -> str:
    if field.default is not MISSING:
        value = field.default
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return str(field.default_factory()) if field.default_factory is not MISSING else ""


def _field_docs(kind: type) -> dict[str, str]:
    """The docstrings that stand under the fields of a dataclass, its own and those it inherits."""
    found = {}
    for one in (one for one in reversed(kind.__mro__) if is_dataclass(one)):
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, below in zip(body.body, body.body[1:], strict=False):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                value = below.value if isinstance(below, ast.Expr) else None
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    found[statement.target.id] = " ".join(value.value.split())
    return found


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column()
    return table
