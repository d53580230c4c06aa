"""The Python files of the repository, and what they import: for the tests that keep its walls."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent
PLUGINS = {"protocols", "attacks", "defenses", "models", "datasets"}


@cache
def house() -> dict[str, str]:
    """Every Python file by its path."""
    return {
        file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
        for folder in ("cutlayer", "tests", "benchmarks", "scripts")
        for file in sorted((ROOT / folder).rglob("*.py"))
    }


@cache
def parsed(source: str) -> tuple[ast.AST, ...]:
    """Every node of the file: several checks read the same ones."""
    return tuple(ast.walk(ast.parse(source)))


@cache
def imports(path: str, source: str) -> tuple[tuple[int, str], ...]:
    """Line and dotted name of every import: in a function, under `if TYPE_CHECKING` and as a string too."""
    package, found = PurePosixPath(path).parent.parts, list[tuple[int, str]]()
    for node in parsed(source):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            origin = ".".join([*above, *([node.module] if node.module else [])])
            found += [(node.lineno, f"{origin}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"}:
            named = node.args[0] if node.args else None
            if isinstance(named, ast.Constant) and isinstance(named.value, str):
                found.append((node.lineno, named.value))
    return tuple(found)


def _called(call: ast.Call) -> str:
    """The last part of the called function's name, if it has one."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
