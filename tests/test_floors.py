"""The walls of the house: who may import whom, what nobody may import, how long a file may be."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import accumulate
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parent.parent
PLUGINS = {"protocols", "attacks", "defenses", "models", "datasets"}
FLOORS = {
    # A module or a folder of the package is listed here, on the lowest floor that its imports allow.
    name: floor
    for floor, names in {
        0: "message link batch model stream provenance budget certificate computing stash mistake neighbor",
        1: "codec wire",
        2: "recording channel party optimization duplex",
        3: "tap rpc threat",
        4: "attack defense protocol scrutiny pipeline handover compression registry network dataset trigger blocks "
        "data methods",
        5: " ".join(PLUGINS),
        6: "record experiment grid host seating session defending",
        7: "scene settle deployment traffic judging isolated auditing sweeping recordings deploying "
        "papers report reproduction",
        8: "cli commands __main__",
    }.items()
    for name in names.split()
}
LISTED = "FLOORS in tests/test_floors.py"
ATTACK_MAY_IMPORT = {"message", "batch", "attack", "threat", "trigger", "budget", "methods"}
ATTACK_MAY_USE = sys.stdlib_module_names | {"torch", "numpy"}
# Ways to other modules and other stack frames that no import statement shows.
AROUND_THE_WALLS = {"importlib", "runpy", "pkgutil", "gc", "inspect", "ctypes", "sys", "builtins", "traceback"}
AROUND_THE_WALLS_CALLS = {"__import__", "eval", "exec"}
PICKLES = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "pandas.read_pickle"} | {
    f"torch.{name}" for name in ("load", "save", "serialization", "package", "hub", "jit.load", "jit.save")
}
PULLS_TORCHVISION = {"torchvision", "timm", "piq", "lpips", "torchattacks"}
LONGEST = 300


@cache
def parsed(source: str) -> tuple[ast.AST, ...]:
    """Every node of the file: several checks read the same ones."""
    return tuple(ast.walk(ast.parse(source)))


def module_of(path: str) -> str:
    """The name in FLOORS that stands for the file: its module, or the folder it lies in."""
    parts = PurePosixPath(path).with_suffix("").parts[1:]
    return "" if parts == ("__init__",) else parts[0]


def imports(path: str, tree: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import: in a function, under `if TYPE_CHECKING` and as a string too."""
    package = PurePosixPath(path).parent.parts
    for node in tree:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}:
            named = node.args[0] if node.args else None
            if isinstance(named, ast.Constant) and isinstance(named.value, str):
                yield node.lineno, named.value


def reached(path: str, tree: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Line and FLOORS name of every module of the package that the file imports."""
    found = ((line, *name.split(".")) for line, name in imports(path, tree))
    once = {(line, rest[0]): None for line, package, *rest in found if package == "cutlayer" and rest}
    yield from ((line, name) for line, name in once if name != "__version__")


def floor_breaches(path: str, source: str) -> list[str]:
    """Imports of the package that go up, into an unlisted module, or from one plug-in to another."""
    own, tree = module_of(path), parsed(source)
    if own and own not in FLOORS:
        return [f"{path}: '{own}' has no floor; list it in {LISTED}"]
    breaches = []
    for line, name in reached(path, tree):
        if name not in FLOORS:
            breaches.append(f"{path}:{line}: imports '{name}', which has no floor; list it in {LISTED}")
        elif FLOORS[name] > FLOORS.get(own, -1):
            breaches.append(f"{path}:{line}: '{own or 'cutlayer'}' imports '{name}' from a floor above it")
        elif own in PLUGINS and name in PLUGINS:
            breaches.append(f"{path}:{line}: a plug-in imports from '{name}'; plug-ins never import one another")
    return breaches


def attack_breaches(path: str, source: str) -> list[str]:
    """What an attack imports beyond the few modules it may see."""
    if module_of(path) != "attacks":
        return []
    tree, breaches = parsed(source), []
    for line, name in imports(path, tree):
        package, _, rest = name.partition(".")
        module = rest.split(".")[0]
        if package == "cutlayer" and module not in ATTACK_MAY_IMPORT:
            breaches.append(f"{path}:{line}: an attack imports '{name}'; it may import {sorted(ATTACK_MAY_IMPORT)}")
        elif package in AROUND_THE_WALLS or package not in ATTACK_MAY_USE | {"cutlayer"}:
            breaches.append(f"{path}:{line}: an attack imports '{name}'; it may use torch, numpy, the standard library")
    breaches += [
        f"{path}:{node.lineno}: an attack uses '{node.id}'"
        for node in tree
        if isinstance(node, ast.Name) and node.id in AROUND_THE_WALLS_CALLS
    ]
    return breaches


def names_used(path: str, tree: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything imported, and of every attribute of an imported name."""
    yield from imports(path, tree)
    meant = {}
    for node in tree:
        if isinstance(node, ast.Import):
            meant |= {
                a.asname or a.name.split(".")[0]: a.name if a.asname else a.name.split(".")[0] for a in node.names
            }
        elif isinstance(node, ast.ImportFrom):
            meant |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    for node in tree:
        inner, rest = node, list[str]()
        while isinstance(inner, ast.Attribute):
            inner, rest = inner.value, [inner.attr, *rest]
        if rest and isinstance(inner, ast.Name) and inner.id in meant:
            assert isinstance(node, ast.Attribute)
            yield node.lineno, ".".join([meant[inner.id], *rest])


def banned(path: str, source: str) -> list[str]:
    """Pickle under any name, and torchvision with what pulls it."""
    tree = parsed(source)
    reasons = dict.fromkeys(PICKLES, "no pickle anywhere, use safetensors")
    reasons |= dict.fromkeys(PULLS_TORCHVISION, "torchvision breaks beside a CPU torch")
    found = {
        (line, ban)
        for line, name in names_used(path, tree)
        for ban in accumulate(name.split("."), lambda above, part: f"{above}.{part}")
        if ban in reasons
    }
    breaches = [f"{path}:{line}: '{ban}': {reasons[ban]}" for line, ban in sorted(found)]
    breaches += [
        f"{path}:{node.value.lineno}: 'allow_pickle': no pickle anywhere"
        for node in tree
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False"
    ]
    return breaches


def too_long(path: str, source: str) -> list[str]:
    """A file of more than LONGEST lines."""
    lines = len(source.splitlines())
    return [f"{path}: {lines} lines; no file is longer than {LONGEST}"] if lines > LONGEST else []


def circles(sources: dict[str, str]) -> list[str]:
    """Imports between modules of one floor may go sideways, but not in a circle: of folders, or of files within one."""
    folders: dict[str, set[str]] = {}
    files: dict[str, set[str]] = {}
    for path, source in sources.items():
        own, tree = module_of(path), parsed(source)
        if path.startswith("cutlayer/") and own not in PLUGINS:
            folders.setdefault(own, set()).update({name for _, name in reached(path, tree)} - {own})
            inner = (name.split(".") for _, name in imports(path, tree))
            files[path] = {"/".join(parts[:3]) + ".py" for parts in inner if parts[1:2] == [own] and len(parts) > 2}
    found = []
    for graph in (folders, files):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            found.append(f"imports in a circle: {' <- '.join(error.args[1])}")
    return found


def house() -> dict[str, str]:
    """Every Python file of the repository by its path."""
    return {
        file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
        for folder in ("cutlayer", "tests", "benchmarks")
        for file in sorted((ROOT / folder).rglob("*.py"))
    }


@pytest.mark.parametrize("check", [floor_breaches, attack_breaches])
def test_imports_only_go_down(check):
    package = {path: source for path, source in house().items() if path.startswith("cutlayer/")}
    assert "cutlayer/message.py" in package
    assert [breach for path, source in package.items() for breach in check(path, source)] == []


@pytest.mark.parametrize("check", [banned, too_long])
def test_no_pickle_no_torchvision_no_long_file(check):
    assert [breach for path, source in house().items() for breach in check(path, source)] == []


def test_no_imports_in_a_circle():
    assert circles(house()) == []


def test_dependencies_do_not_pull_torchvision():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(name for names in project["optional-dependencies"].values() for name in names),
    ]
    assert [name for name in wanted if name.split(">=")[0] in PULLS_TORCHVISION] == []


@pytest.mark.parametrize(
    ("check", "path", "source", "message"),
    [
        (floor_breaches, "cutlayer/message.py", "from cutlayer.codec import encode", "'message' imports 'codec'"),
        (floor_breaches, "cutlayer/message.py", "from cutlayer import codec", "'message' imports 'codec'"),
        (floor_breaches, "cutlayer/message.py", "from . import codec", "'message' imports 'codec'"),
        (floor_breaches, "cutlayer/message.py", "import cutlayer.codec as c", "'message' imports 'codec'"),
        (floor_breaches, "cutlayer/codec.py", "def f():\n    from cutlayer.party import Party", "codec.py:2"),
        (floor_breaches, "cutlayer/codec.py", "if TYPE_CHECKING:\n    import cutlayer.party", "codec.py:2"),
        (floor_breaches, "cutlayer/codec.py", "import_module('cutlayer.judging.judge')", "imports 'judging'"),
        (
            floor_breaches,
            "cutlayer/__init__.py",
            "from cutlayer.message import Message",
            "'cutlayer' imports 'message'",
        ),
        (floor_breaches, "cutlayer/models/lenet.py", "from ..judging import judge", "'models' imports 'judging'"),
        (floor_breaches, "cutlayer/models/lenet.py", "from cutlayer.datasets import mnist", "never import one another"),
        (floor_breaches, "cutlayer/models/lenet.py", "from cutlayer.models.mlp import f", "never import one another"),
        (floor_breaches, "cutlayer/models/lenet.py", "from . import mlp", "never import one another"),
        (floor_breaches, "cutlayer/helper.py", "", f"'helper' has no floor; list it in {LISTED}"),
        (floor_breaches, "cutlayer/cli.py", "from cutlayer.helper import f", f"no floor; list it in {LISTED}"),
        (
            attack_breaches,
            "cutlayer/attacks/a.py",
            "from cutlayer.party import Party",
            "imports 'cutlayer.party.Party'",
        ),
        (attack_breaches, "cutlayer/attacks/a.py", "from ..judging import judge", "imports 'cutlayer.judging.judge'"),
        (attack_breaches, "cutlayer/attacks/a.py", "from . import b", "imports 'cutlayer.attacks.b'"),
        (attack_breaches, "cutlayer/attacks/a.py", "import cutlayer", "imports 'cutlayer'"),
        (attack_breaches, "cutlayer/attacks/a.py", "def f():\n    import sklearn.svm", "imports 'sklearn.svm'"),
        (attack_breaches, "cutlayer/attacks/a.py", "import sys", "imports 'sys'"),
        (attack_breaches, "cutlayer/attacks/a.py", "from importlib import import_module", "imports 'importlib"),
        (attack_breaches, "cutlayer/attacks/a.py", "__import__('cutlayer.judging.judge')", "uses '__import__'"),
        (banned, "cutlayer/codec.py", "import pickle", "'pickle'"),
        (banned, "cutlayer/codec.py", "def f():\n    from pickle import loads", "codec.py:2: 'pickle'"),
        (banned, "cutlayer/codec.py", "import torch\ntorch.load(x)", "codec.py:2: 'torch.load'"),
        (banned, "cutlayer/codec.py", "import torch as t\nt.load(x)", "'torch.load'"),
        (banned, "cutlayer/codec.py", "from torch import load as read", "'torch.load'"),
        (banned, "cutlayer/codec.py", "from torch import jit\njit.load(x)", "'torch.jit.load'"),
        (banned, "cutlayer/codec.py", "np.load(x, allow_pickle=True)", "'allow_pickle'"),
        (banned, "tests/test_codec.py", "import torchvision.transforms as T", "'torchvision'"),
        (too_long, "cutlayer/codec.py", "x = 1\n" * 301, "301 lines"),
    ],
)
def test_a_breach_is_reported(check, path, source, message):
    assert message in "\n".join(check(path, source))


@pytest.mark.parametrize("check", [floor_breaches, attack_breaches, banned, too_long])
@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("cutlayer/scene.py", "from cutlayer import __version__\nfrom cutlayer.judging.judge import Score"),
        ("cutlayer/codec.py", "import torch\nfrom safetensors.torch import load\nload(x)\ntorch.loads = 1"),
        (
            "cutlayer/attacks/a.py",
            "import math\nimport numpy as np\nfrom torch import nn\nfrom cutlayer.methods import inversion",
        ),
        ("cutlayer/attacks/a.py", "from ..message import Message\nfrom cutlayer.threat import View\nnp.load(x)"),
        ("cutlayer/datasets/digits.py", "from sklearn.datasets import load_digits\nfrom cutlayer.dataset import Split"),
        ("cutlayer/cli.py", "import cutlayer.protocols.vanilla\n" * 300),
    ],
)
def test_what_is_allowed_is_not_reported(check, path, source):
    assert check(path, source) == []


@pytest.mark.parametrize("folders", [("auditing", "sweeping"), ("auditing", "auditing")])
def test_a_circle_is_reported(folders):
    one, other = (f"cutlayer/{folder}/{name}.py" for folder, name in zip(folders, ("audit", "victim"), strict=True))
    circle = {
        one: f"import cutlayer.{folders[1]}.victim",
        other: f"def f():\n    from cutlayer.{folders[0]}.audit import audit",
    }
    assert circles(circle) != []
    assert circles(circle | {other: ""}) == []
