"""Files that are written whole or grow entry by entry, on a disk with room and on one without."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from cutlayer import disk
from cutlayer.deploying.checkpoint import Mark, Shelf
from cutlayer.disk import PRIVATE, append, write_through, write_whole
from tests.disks import files_of_at_most


@pytest.mark.parametrize("write", [write_through, write_whole])
def test_a_file_reaches_the_disk_before_it_takes_its_name(
    write: Callable[[Path, bytes], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[tuple[int, bool]]()
    monkeypatch.setattr(os, "fsync", lambda opened: seen.append((os.fstat(opened).st_size, (tmp_path / "it").exists())))
    write(tmp_path / "it", b"x" * 10_000)
    assert seen[0] == (10_000, write is write_through)
    assert (tmp_path / "it").read_bytes() == b"x" * 10_000
    assert [there for _, there in seen[1:]] == ([True] if write is write_whole else []), "then its name does"


def test_two_who_write_a_file_at_once_in_one_process_both_write_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(file: Path, content: bytes, mode: int) -> None:
        write_through(file, content, mode)
        if content == b"first":
            write_whole(tmp_path / "it", "second")

    monkeypatch.setattr(disk, "write_through", meanwhile)
    write_whole(tmp_path / "it", b"first")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"first"]


def test_a_private_file_is_its_owners_alone_in_a_new_folder(tmp_path: Path) -> None:
    write_whole(tmp_path / "new" / "it", "text", PRIVATE)
    assert (tmp_path / "new" / "it").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_a_folder_that_cannot_be_flushed_is_told_where_it_should_be(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flush(opened: int) -> None:
        if (tmp_path / "it").exists():
            raise OSError(number, "not flushed")

    monkeypatch.setattr(os, "fsync", flush)
    told = pytest.raises(OSError, match=f"not flushed: '{tmp_path}/it'")
    with told if number == errno.EIO else contextlib.nullcontext():
        write_whole(tmp_path / "it", "text")


def test_what_a_kill_left_of_a_checkpoint_goes_when_its_party_comes_back(tmp_path: Path) -> None:
    for name in (f".{Mark(1, 0).stem}.safetensors.{uuid4().hex}", f".client_part.frame.{uuid4().hex}", ".secret"):
        (tmp_path / name).write_bytes(b"half")
    Shelf(tmp_path).close()
    assert [path.name for path in tmp_path.iterdir()] == [".secret"]


@pytest.mark.parametrize("write", [write_through, write_whole])
def test_what_the_disk_has_no_room_for_is_told_by_name(write: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    with files_of_at_most(100), pytest.raises(OSError, match=rf"File too large: '{tmp_path}/it'"):
        write(tmp_path / "it", b"x" * 10_000)


def test_entries_stand_one_behind_the_other(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with path.open("ab") as file:
        for entry in ((b"one", b""), (b"two", b"three")):
            append(file.fileno(), path, *entry)
    assert path.read_bytes() == b"onetwothree"


@pytest.mark.parametrize("room", [0, 1, 50, 149, 150, 151, 299])
def test_an_entry_that_finds_no_room_leaves_nothing_and_the_file_can_be_gone_on_with(tmp_path: Path, room: int) -> None:
    path = tmp_path / "journal"
    with path.open("ab") as file:
        append(file.fileno(), path, b"whole")
        with files_of_at_most(5 + room), pytest.raises(OSError, match="File too large") as error:
            append(file.fileno(), path, b"x" * 150, b"y" * 150)
        assert (error.value.errno, error.value.filename) == (errno.EFBIG, str(path))
        assert path.read_bytes() == b"whole"
        append(file.fileno(), path, b"next")
    assert path.read_bytes() == b"wholenext"


def test_a_party_whose_disk_is_full_stops_with_whole_frames_in_its_journal(tmp_path: Path) -> None:
    shelf, mark = Shelf(tmp_path), Mark(1, 0)
    shelf.write(mark, {}, {})
    shelf.append(b"one" * 20)
    with files_of_at_most(shelf.journaled + 30), pytest.raises(OSError, match=f"File too large: '{tmp_path}/at-.*l'"):
        shelf.append(b"two" * 20)
    assert shelf.journaled == (tmp_path / f"{mark.stem}.journal").stat().st_size
    shelf.append(b"three")
    assert shelf.frames(mark) == [b"one" * 20, b"three"]
    shelf.close()


@pytest.mark.parametrize("kept", [1, 2])
def test_a_journal_is_gone_on_with_where_what_it_is_worth_ends(tmp_path: Path, kept: int) -> None:
    shelf, mark = Shelf(tmp_path), Mark(1, 0)
    shelf.write(mark, {}, {})
    for frame in (b"one", b"two"):
        shelf.append(frame)
    with (tmp_path / f"{mark.stem}.journal").open("ab") as journal:
        journal.write(b"half an entry, and no more")
    shelf.go_on(mark, shelf.frames(mark)[:kept])
    shelf.append(b"three")
    assert shelf.frames(mark) == [*[b"one", b"two"][:kept], b"three"]
    assert shelf.journaled == (tmp_path / f"{mark.stem}.journal").stat().st_size
    shelf.close()
