from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from cutlayer.data.cache import cache_folder, cached, cached_own, file_key
from cutlayer.dataset import Dataset, DatasetError, Split


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CUTLAYER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def made() -> Dataset:
    train, test = (Split(torch.tensor([[0.25, 0.5], [0.75, 1.0]]), torch.tensor([0, 1])) for _ in range(2))
    return Dataset("made", train, test, ("a", "b"), pixels="p", features=("x", "y"), source="here")


def never() -> Dataset:
    raise AssertionError("built again")


def test_the_second_load_is_the_first_one_without_building() -> None:
    cached("made", ["1"], made)
    again = cached("made", ["1"], never)
    assert again.train.inputs.equal(made().train.inputs)
    assert again.test.labels.equal(made().test.labels)
    expected = ("made", ("a", "b"), "p", ("x", "y"), "here")
    assert (again.name, again.classes, again.pixels, again.features, again.source) == expected


def test_another_key_builds_again() -> None:
    cached("made", ["1"], made)
    with pytest.raises(AssertionError, match="built again"):
        cached("made", ["2"], never)


def test_nothing_else_is_left_behind(own_cache: Path) -> None:
    cached("made", ["1"], made)
    assert [path.suffix for path in own_cache.iterdir()] == [".safetensors"]


def test_what_is_kept_is_for_its_owner_alone(own_cache: Path) -> None:
    cached("made", ["1"], made)
    (path,) = own_cache.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600


def test_private_rows_are_kept_only_where_a_folder_is_named(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_own("made", ["1"], made)
    cached_own("made", ["1"], never)
    monkeypatch.delenv("CUTLAYER_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cached_own("made", ["2"], made).name == "made"
    assert len(list(own_cache.iterdir())) == 1
    assert not (tmp_path / "home").exists()


def test_a_failed_build_stores_nothing(own_cache: Path) -> None:
    def broken() -> Dataset:
        raise DatasetError("no")

    with pytest.raises(DatasetError):
        cached("made", ["1"], broken)
    assert not own_cache.exists()


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x02\x00\x00\x00\x00\x00\x00\x00{}"])
def test_a_damaged_file_is_made_again(own_cache: Path, content: bytes) -> None:
    cached("made", ["1"], made)
    (file,) = own_cache.iterdir()
    file.write_bytes(content)
    with pytest.warns(UserWarning, match="is damaged and is made again"):
        cached("made", ["1"], made)
    cached("made", ["1"], never)


def test_a_cache_that_cannot_be_written_warns_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("CUTLAYER_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="cannot be written"):
        assert cached("made", ["1"], made).name == "made"


def test_the_folder_is_in_the_home_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUTLAYER_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "cutlayer"


def test_a_file_key_follows_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"1")
    first = file_key([path])
    path.write_bytes(b"12")
    longer = file_key([path])
    assert longer != first
    os.utime(path, ns=(1, 1))
    assert file_key([path]) != longer
