"""Tensors in files with a checksum: given back to the bit, or told to be damaged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from cutlayer.checksum import DamageError, pack_checked, read_checked

KEPT = {"weights": torch.arange(6.0).reshape(2, 3), "rows": torch.tensor([3, 1]), "none": torch.zeros(0, 4)}
ABOUT = {"notes": "[1]"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "kept.safetensors"
    path.write_bytes(pack_checked(KEPT, ABOUT))
    return path


def test_what_was_packed_comes_back(file: Path) -> None:
    tensors, about = read_checked(file)
    assert tensors.keys() == KEPT.keys()
    assert all(torch.equal(tensors[name], KEPT[name]) and tensors[name].dtype == KEPT[name].dtype for name in KEPT)
    assert about == ABOUT


def test_views_and_tensors_of_a_graph_are_packed_as_their_values(tmp_path: Path) -> None:
    wide = torch.arange(6.0, requires_grad=True).reshape(2, 3)
    (tmp_path / "it").write_bytes(pack_checked({"turned": wide.T, "first": wide[0]}))
    tensors, _ = read_checked(tmp_path / "it")
    assert tensors["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert tensors["first"].tolist() == [0, 1, 2]


@given(st.data())
def test_no_flipped_bit_goes_unseen(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    file, content = tmp_path_factory.mktemp("flipped") / "it", bytearray(pack_checked(KEPT, ABOUT))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    with pytest.raises(DamageError):
        read_checked(file)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (save(KEPT, ABOUT), "it carries no checksum, as what other versions wrote"),
        (pack_checked(KEPT)[:-1], "Error while deserializing header"),
        (b"", "Error while deserializing header"),
        (pack_checked(KEPT).replace(b'"rows"', b'"rowz"'), "its checksum does not hold"),
        (pack_checked(KEPT, ABOUT).replace(b'"[1]"', b'"[2]"'), "its checksum does not hold"),
    ],
)
def test_what_is_damaged_says_how(file: Path, content: bytes, reason: str) -> None:
    file.write_bytes(content)
    with pytest.raises(DamageError, match=f"^{re.escape(reason)}[^\n]*$"):
        read_checked(file)


def test_what_is_not_there_is_not_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_checked(tmp_path / "it")
