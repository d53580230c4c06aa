"""The files that a user's own file imports from its folder."""

from __future__ import annotations

import ast
import contextlib
import sys
import threading
from collections.abc import Iterator
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

_ONE_AT_A_TIME = threading.RLock()
# Modules are looked for in one list of folders for all threads.


def neighbors(file: Path) -> dict[str, tuple[Path, ...]]:
    """What ``file`` imports from its folder, directly or by way of one another: names and their files, in order.

    A package has all of its files. The standard library and what is installed stand before a neighbor of that name.
    """
    found: dict[str, tuple[Path, ...]] = {}
    left = [file]
    while left:
        path = left.pop()
        for name in _imported(path, path.stat().st_mtime_ns) - found.keys():
            if files := _beside(file.parent, name):
                found[name] = files
                left += files
    return {name: found[name] for name in sorted(found)}


@contextlib.contextmanager
def importable(file: Path) -> Iterator[None]:
    """Inside the block neighbors of ``file`` can be imported; where it fails, none of them stays.

    ``ImportError`` where a neighbor has the name of another folder's that is imported already.
    """
    folder = str(file.parent)
    with _ONE_AT_A_TIME:
        for name in (names := neighbors(file)):
            loaded = sys.modules.get(name)
            if loaded is not None and _folder(loaded.__spec__) != file.parent.resolve():
                there = loaded.__file__ or next(iter(loaded.__path__))
                raise ImportError(f"{name} is {there} already, not the one in {folder}: rename one of the two")
        before, added = set(sys.modules), folder not in sys.path
        # Last, so that nobody's own file stands for an installed one.
        sys.path += [folder] * added
        try:
            yield
        except BaseException:
            for module in set(sys.modules) - before:
                if module.partition(".")[0] in names:
                    del sys.modules[module]
            raise
        finally:
            if added:
                sys.path.remove(folder)


@lru_cache(maxsize=1024)
def _imported(path: Path, changed: int) -> frozenset[str]:
    """The first part of each name that the file, as it was ``changed`` last, imports anywhere."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (SyntaxError, ValueError):
        return frozenset()
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    parts = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return frozenset(name.partition(".")[0] for name in (*plain, *parts))


def _beside(folder: Path, name: str) -> tuple[Path, ...]:
    """The files of ``name`` in ``folder``; none where it is found elsewhere first."""
    package, module = folder / name, folder / f"{name}.py"
    if name in {*sys.stdlib_module_names, "cutlayer"} or not (module.is_file() or package.is_dir()):
        return ()
    found = PathFinder.find_spec(name)
    if found and found.origin and _folder(found) != folder.resolve():
        return ()
    single = module.is_file() and not (package / "__init__.py").is_file()
    return (module,) if single else tuple(sorted(package.rglob("*.py")))


def _folder(spec: ModuleSpec | None) -> Path | None:
    """Where a module lies, or the package that it is."""
    place = next(iter(spec.submodule_search_locations or ()), spec.origin) if spec else None
    return Path(place).parent.resolve() if place else None
