"""The files that a user's own file imports from its folder."""

from __future__ import annotations

import ast
import contextlib
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

States = Mapping[Path, tuple[int, int]]
"""What files were when they were looked at: bytes, and nanoseconds of the last change."""

_ONE_AT_A_TIME = threading.RLock()
# Modules are looked for in one list of folders for all threads.
_READ: dict[str, tuple[ModuleType, States]] = {}
# What the neighbors that are imported now were read from, by their names.


def states(files: Iterable[Path]) -> States:
    """Those of ``files`` that are there, each once, as they are now."""
    told = ((file, file.stat()) for file in dict.fromkeys(files) if file.is_file())
    return {file: (stat.st_size, stat.st_mtime_ns) for file, stat in told}


def with_neighbors(file: Path) -> tuple[Path, ...]:
    """``file``, and the files of all its neighbors."""
    return (file, *(near for files in neighbors(file).values() for near in files))


def neighbors(file: Path) -> dict[str, tuple[Path, ...]]:
    """What ``file`` imports from its folder, directly or by way of one another: names and their files, in order.

    A package has all of its files. The standard library and what is installed stand before a neighbor of that name.
    """
    return _reached(file.parent, [file])


def _reached(folder: Path, files: Iterable[Path]) -> dict[str, tuple[Path, ...]]:
    """What ``files`` import from ``folder``."""
    found: dict[str, tuple[Path, ...]] = {}
    left = list(files)
    while left:
        path = left.pop()
        for name in _imported(path, path.stat().st_mtime_ns) - found.keys():
            if beside := _beside(folder, name):
                found[name] = beside
                left += beside
    return {name: found[name] for name in sorted(found)}


@contextlib.contextmanager
def importable(file: Path) -> Iterator[None]:
    """Inside the block neighbors of ``file`` can be imported; where it fails, none of them stays.

    One that was read from what its files no longer are is read anew. ``ImportError`` where a neighbor has the name of
    another folder's that is imported already.
    """
    folder = str(file.parent)
    with _ONE_AT_A_TIME:
        read = {}
        for name, files in (names := neighbors(file)).items():
            loaded = sys.modules.get(name)
            if loaded is not None and _folder(loaded.__spec__) != file.parent.resolve():
                there = loaded.__file__ or next(iter(loaded.__path__))
                raise ImportError(f"{name} is {there} already, not the one in {folder}: rename one of the two")
            beyond = _reached(file.parent, files).values()
            read[name] = states([*files, *(near for others in beyond for near in others)])
            # What somebody else has imported may be of any age.
            if loaded is not None and _READ.get(name) != (loaded, read[name]):
                _forget({name}, set(sys.modules))
        before, added, written = set(sys.modules), folder not in sys.path, sys.dont_write_bytecode
        # Last, so that nobody's own file stands for an installed one.
        sys.path += [folder] * added
        # Bytecode is told from its source by whole seconds: of two edits within one the first would be run.
        sys.dont_write_bytecode = True
        try:
            yield
            _READ.update({name: (sys.modules[name], read[name]) for name in names if name in sys.modules})
        except BaseException:
            _forget(names, set(sys.modules) - before)
            raise
        finally:
            sys.dont_write_bytecode = written
            if added:
                sys.path.remove(folder)


def _forget(names: Iterable[str], among: Iterable[str]) -> None:
    """Import the packages and modules with these ``names`` anew, as far as they are ``among`` those given."""
    for module in among:
        if module.partition(".")[0] in names:
            del sys.modules[module]


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
