"""What holds for every file: nothing pickles, nothing pulls torchvision, none is long; a plug-in has its test file."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Collection, Iterator
from itertools import accumulate
from pathlib import PurePosixPath

import pytest

from tests.house import PLUGINS, ROOT, house, imports, parsed

# Of multiprocessing alone what carries bytes; its queues, pools and managers pickle whatever they are given.
CARRY_BYTES = {f"multiprocessing.connection.{name}" for name in ("Pipe", "Connection", "wait")}
PICKLES = {
    *("pickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "pandas.read_pickle"),
    *("multiprocessing", "concurrent.futures.ProcessPoolExecutor", "concurrent.futures.process"),
    *(f"torch.{name}" for name in ("load", "save", "serialization", "package", "hub", "jit.load", "jit.save")),
    "torch.multiprocessing",
}
PULLS_TORCHVISION = {"torchvision", "timm", "piq", "lpips", "torchattacks"}
LONGEST = 300


def names_used(path: str, source: str) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything imported, and of every attribute of an imported name."""
    yield from imports(path, source)
    meant, attributes = dict[str, str](), list[ast.Attribute]()
    for node in parsed(source):
        if isinstance(node, ast.Attribute):
            attributes.append(node)
        elif isinstance(node, ast.Import):
            meant |= {
                a.asname or a.name.split(".")[0]: a.name if a.asname else a.name.split(".")[0] for a in node.names
            }
        elif isinstance(node, ast.ImportFrom):
            meant |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    for attribute in attributes:
        inner, rest = attribute.value, [attribute.attr]
        while isinstance(inner, ast.Attribute):
            inner, rest = inner.value, [inner.attr, *rest]
        if isinstance(inner, ast.Name) and inner.id in meant:
            yield attribute.lineno, ".".join([meant[inner.id], *rest])


def banned(path: str, source: str) -> list[str]:
    """Pickle under any name, and torchvision with what pulls it."""
    reasons = dict.fromkeys(PICKLES, "no pickle anywhere, use safetensors")
    reasons |= dict.fromkeys(PULLS_TORCHVISION, "torchvision breaks beside a CPU torch")
    found = {
        (line, ban)
        for line, name in names_used(path, source)
        if name not in CARRY_BYTES
        for ban in accumulate(name.split("."), lambda above, part: f"{above}.{part}")
        if ban in reasons
    }
    return [f"{path}:{line}: '{ban}': {reasons[ban]}" for line, ban in sorted(found)] + [
        f"{path}:{line}: '{what}': no pickle anywhere" for line, what in _pickling_calls(source)
    ]


def _pickling_calls(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of what gives a pickle away by how it is called.

    A connection's ``recv`` takes nothing where a socket's takes a size; what ``send`` has pickled nothing else reads.
    """
    for node in parsed(source):
        match node:
            case ast.keyword(arg="allow_pickle", value=value) if ast.unparse(value) != "False":
                yield value.lineno, "allow_pickle"
            case ast.Call(func=ast.Attribute(attr="recv"), args=[], keywords=[]):
                yield node.lineno, "recv()"


def too_long(path: str, source: str) -> list[str]:
    """A file of more than LONGEST lines."""
    lines = len(source.splitlines())
    return [f"{path}: {lines} lines; no file is longer than {LONGEST}"] if lines > LONGEST else []


def untested(paths: Collection[str]) -> list[str]:
    """Plug-ins without a test file of their own among ``paths``."""
    plugins = [path for path in map(PurePosixPath, paths) if path.parts[0] == "cutlayer" and path.parts[1] in PLUGINS]
    wanted = {
        path: f"tests/{path.parts[1]}/test_{path.parts[2]}" for path in plugins if path.parts[2:] != ("__init__.py",)
    }
    return [f"{path}: a plug-in without {test}" for path, test in wanted.items() if test not in paths]


@pytest.mark.parametrize("check", [banned, too_long])
def test_no_pickle_no_torchvision_no_long_file(check):
    assert {"cutlayer/message.py", "tests/house.py", "scripts/results.py"} < house().keys()
    assert [breach for path, source in house().items() for breach in check(path, source)] == []


def test_every_plugin_has_a_test_file():
    assert untested(house().keys()) == []


def test_dependencies_do_not_pull_torchvision():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(name for names in project["optional-dependencies"].values() for name in names),
    ]
    assert [name for name in wanted if name.split(">=")[0] in PULLS_TORCHVISION] == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import pickle", "'pickle'"),
        ("def f():\n    from pickle import loads", "codec.py:2: 'pickle'"),
        ("import torch\ntorch.load(x)", "codec.py:2: 'torch.load'"),
        ("import torch as t\nt.load(x)", "'torch.load'"),
        ("from torch import load as read", "'torch.load'"),
        ("from torch import jit\njit.load(x)", "'torch.jit.load'"),
        ("np.load(x, allow_pickle=True)", "'allow_pickle'"),
        ("from multiprocessing import Queue, Pool", "'multiprocessing'"),
        ("from multiprocessing.connection import Client", "'multiprocessing'"),
        ("import multiprocessing.connection", "'multiprocessing'"),
        ("from multiprocessing.connection import Pipe\nPipe.recv", "codec.py:2: 'multiprocessing'"),
        ("from torch import multiprocessing", "'torch.multiprocessing'"),
        ("from concurrent.futures import ProcessPoolExecutor", "'concurrent.futures.ProcessPoolExecutor'"),
        ("from concurrent import futures\nfutures.ProcessPoolExecutor()", "codec.py:2: 'concurrent.futures.Process"),
        ("one, other = Pipe()\none.recv()", "codec.py:2: 'recv()'"),
        ("import torchvision.transforms as T", "'torchvision'"),
    ],
)
def test_what_pickles_or_pulls_torchvision_is_reported(source, message):
    assert message in "\n".join(banned("cutlayer/codec.py", source))


@pytest.mark.parametrize(
    "source",
    [
        "import torch\nfrom safetensors.torch import load\nload(x)\ntorch.loads = 1",
        "import numpy as np\nnp.load(x)\nnp.load(x, allow_pickle=False)",
        "from multiprocessing.connection import Connection, Pipe, wait\nwait([])[0].recv_bytes()",
        "from concurrent.futures import ThreadPoolExecutor\nsocket.recv(5)",
    ],
)
def test_what_is_allowed_is_not_reported(source):
    assert banned("cutlayer/codec.py", source) == []


def test_a_long_file_and_a_plugin_without_a_test_are_reported():
    assert too_long("cutlayer/codec.py", "x = 1\n" * 300) == []
    assert too_long("cutlayer/codec.py", "x = 1\n" * 301) == [
        "cutlayer/codec.py: 301 lines; no file is longer than 300"
    ]
    plugins = [
        "cutlayer/models/__init__.py",
        "cutlayer/models/tiny.py",
        "cutlayer/attacks/tiny.py",
        "cutlayer/model.py",
    ]
    assert untested([*plugins, "tests/models/test_tiny.py"]) == [
        "cutlayer/attacks/tiny.py: a plug-in without tests/attacks/test_tiny.py"
    ]
