"""Protocols of the user's own: what is wrong with one is said before anything is trained."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cutlayer import registry
from cutlayer.experiment import ExperimentError
from tests.cells import STOCHASTIC
from tests.scenes import made, scene_of

__all__ = ["made"]


@pytest.fixture
def protocols(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "protocols").mkdir()
    yield tmp_path / "protocols"
    for name in [name for name in sys.modules if name.startswith("cutlayer_plugins.protocols")]:
        del sys.modules[name]


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(("reply", "near"), [("gradient", "'grad'"), ("grads", "'grad'"), ("answer", "")])
def test_a_tensor_of_no_known_role_is_one_line_that_helps(protocols: Path, reply: str, near: str) -> None:
    source = Path(registry.module("protocols", "vanilla").__file__ or "").read_text()
    (protocols / "mine.py").write_text(source.replace('reply=("grad", "loss")', f'reply=("{reply}", "loss")'))
    with pytest.raises(ExperimentError) as refused:
        scene_of(protocol="mine", cut="1", attack="fsha", model=STOCHASTIC, plugins=protocols.parent)
    guess = f" (did you mean {near}?)" if near else ""
    known = "smashed, grad, features, features_grad, logits, labels, rows, loss"
    told = f"Vanilla: its train messages carry {reply!r}, which is no role{guess}; one of {known}"
    assert str(refused.value) == told


@pytest.mark.usefixtures("made")
def test_more_parts_than_there_are_roles_for_are_one_line_that_helps(protocols: Path) -> None:
    source = Path(registry.module("protocols", "u_shaped").__file__ or "").read_text()
    four = source.replace("Seat.SERVER, Seat.CLIENT)", "Seat.SERVER, Seat.CLIENT, Seat.SERVER)")
    (protocols / "mine.py").write_text(four)
    with pytest.raises(ExperimentError, match=r"^UShaped: it has 4 parts; roles on the wire are known for at most 3$"):
        scene_of(protocol="mine", cut="1:2:4", plugins=protocols.parent, attack="fsha", model=STOCHASTIC)
