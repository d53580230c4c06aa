"""The walls of the house: who may import whom."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath

import pytest

from tests.house import PLUGINS, ROOT, house, imports, parsed

FLOORS = {
    # A module or a folder of the package is listed here.
    name: floor
    for floor, names in {
        0: "memory message metric link batch model stream provenance budget computing mistake neighbor disk option "
        "home given",
        1: "codec wire state stash checksum layout own_party",
        2: "channel party optimization shelf",
        3: "tap knowledge threat transport",
        4: "attack defense order protocol compression registry network dataset trigger blocks data methods exchange",
        5: " ".join(PLUGINS),
        6: "adversary frozen illustration record experiment lock grid seat",
        7: "scene simulation judging isolated auditing sweeping recordings deploying papers report reproduction",
        8: "cli commands __main__",
    }.items()
    for name in names.split()
}
LISTED = "FLOORS in tests/test_floors.py"
ATTACK_MAY_IMPORT = {"message", "batch", "attack", "threat", "trigger", "budget", "methods", "state"}
# An attack may import whatever a method has imported: the same wall stands around both.
MAY_IMPORT = {"attacks": ATTACK_MAY_IMPORT, "methods": ATTACK_MAY_IMPORT | {"blocks", "computing", "order"}}
ATTACK_MAY_USE = sys.stdlib_module_names | {"torch", "numpy"}
# Ways to other modules and other stack frames that no import statement shows.
AROUND_THE_WALLS = {"importlib", "runpy", "pkgutil", "gc", "inspect", "ctypes", "sys", "builtins", "traceback"}
AROUND_THE_WALLS_CALLS = {"__import__", "eval", "exec"}


def module_of(path: str) -> str:
    """The name in FLOORS that stands for the file: its module, or the folder it lies in."""
    parts = PurePosixPath(path).with_suffix("").parts[1:]
    return "" if parts == ("__init__",) else parts[0]


def reached(path: str, source: str) -> Iterator[tuple[int, str]]:
    """Line and FLOORS name of every module of the package that the file imports."""
    found = ((line, *name.split(".")) for line, name in imports(path, source))
    once = {(line, rest[0]): None for line, package, *rest in found if package == "cutlayer" and rest}
    yield from ((line, name) for line, name in once if name != "__version__")


def floor_breaches(path: str, source: str) -> list[str]:
    """Imports of the package that go up, into an unlisted module, or from one plug-in to another."""
    own = module_of(path)
    if own and own not in FLOORS:
        return [f"{path}: '{own}' has no floor; list it in {LISTED}"]
    breaches = []
    for line, name in reached(path, source):
        if name not in FLOORS:
            breaches.append(f"{path}:{line}: imports '{name}', which has no floor; list it in {LISTED}")
        elif FLOORS[name] > FLOORS.get(own, -1):
            breaches.append(f"{path}:{line}: '{own or 'cutlayer'}' imports '{name}' from a floor above it")
        elif own in PLUGINS and name in PLUGINS:
            breaches.append(f"{path}:{line}: a plug-in imports from '{name}'; plug-ins never import one another")
    return breaches


def attack_breaches(path: str, source: str) -> list[str]:
    """What an attack, or a method that attacks share, imports beyond the few modules that it may see."""
    own, breaches = module_of(path), list[str]()
    if own not in MAY_IMPORT:
        return []
    for line, name in imports(path, source):
        package, _, rest = name.partition(".")
        module = rest.split(".")[0]
        if package == "cutlayer" and module not in MAY_IMPORT[own]:
            breaches.append(f"{path}:{line}: '{own}' imports '{name}'; it may import {sorted(MAY_IMPORT[own])}")
        elif package in AROUND_THE_WALLS or package not in ATTACK_MAY_USE | {"cutlayer"}:
            breaches.append(f"{path}:{line}: '{own}' imports '{name}'; it may use torch, numpy, the standard library")
    breaches += [
        f"{path}:{node.lineno}: '{own}' uses '{node.id}'"
        for node in parsed(source)
        if isinstance(node, ast.Name) and node.id in AROUND_THE_WALLS_CALLS
    ]
    return breaches


def circles(sources: dict[str, str]) -> list[str]:
    """Imports between modules of one floor may go sideways, but not in a circle: of folders, or of files within one."""
    folders: dict[str, set[str]] = {}
    files: dict[str, set[str]] = {}
    for path, source in sources.items():
        own = module_of(path)
        if path.startswith("cutlayer/") and own not in PLUGINS:
            folders.setdefault(own, set()).update({name for _, name in reached(path, source)} - {own})
            inner = (name.split(".") for _, name in imports(path, source))
            files[path] = {"/".join(parts[:3]) + ".py" for parts in inner if parts[1:2] == [own] and len(parts) > 2}
    found = []
    for graph in (folders, files):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            found.append(f"imports in a circle: {' <- '.join(error.args[1])}")
    return found


@pytest.mark.parametrize("check", [floor_breaches, attack_breaches])
def test_imports_only_go_down(check):
    package = {path: source for path, source in house().items() if path.startswith("cutlayer/")}
    assert "cutlayer/message.py" in package
    assert [breach for path, source in package.items() for breach in check(path, source)] == []


def test_no_imports_in_a_circle():
    assert circles(house()) == []


@pytest.mark.parametrize(
    ("page", "before"), [("CONTRIBUTING.md", "an attack sees only"), ("docs/adding-an-attack.md", "\nImports:")]
)
def test_a_page_names_all_that_an_attack_may_import(page, before):
    told = (ROOT / page).read_text(encoding="utf-8").partition(before)[2].partition("torch and numpy")[0]
    assert set(re.findall(r"`(\w+)`", told)) == ATTACK_MAY_IMPORT


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
        (attack_breaches, "cutlayer/attacks/a.py", "from cutlayer import order", "imports 'cutlayer.order'"),
        (attack_breaches, "cutlayer/methods/m.py", "from cutlayer import registry", "imports 'cutlayer.registry'"),
        (attack_breaches, "cutlayer/methods/m.py", "import cutlayer.data.samples", "imports 'cutlayer.data.samples'"),
        (attack_breaches, "cutlayer/methods/m.py", "import gc", "imports 'gc'"),
    ],
)
def test_a_breach_is_reported(check, path, source, message):
    assert message in "\n".join(check(path, source))


@pytest.mark.parametrize("check", [floor_breaches, attack_breaches])
@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("cutlayer/scene/scene.py", "from cutlayer import __version__\nfrom cutlayer.judging.judge import Score"),
        (
            "cutlayer/attacks/a.py",
            "import math\nimport numpy as np\nfrom torch import nn\nfrom cutlayer.methods import inversion",
        ),
        ("cutlayer/attacks/a.py", "from ..message import Message\nfrom cutlayer.threat import View\nnp.load(x)"),
        ("cutlayer/methods/m.py", "from cutlayer.order import batch_sizes\nfrom cutlayer.blocks.residual import Basic"),
        ("cutlayer/datasets/digits.py", "from sklearn.datasets import load_digits\nfrom cutlayer.dataset import Split"),
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
