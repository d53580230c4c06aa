"""Files that are written whole or grow entry by entry, on a disk with room and on one without."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cutlayer.deploying.checkpoint import Mark, Shelf, write_durably
from cutlayer.disk import append, write_through
from cutlayer.record import write_atomically
from tests.disks import files_of_at_most


@pytest.mark.parametrize("write", [write_through, write_durably, write_atomically])
def test_a_file_reaches_the_disk_before_it_takes_its_name(
    write: Callable[[Path, bytes], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[tuple[int, bool]]()
    monkeypatch.setattr(os, "fsync", lambda opened: seen.append((os.fstat(opened).st_size, (tmp_path / "it").exists())))
    write(tmp_path / "it", b"x" * 10_000)
    assert seen[0] == (10_000, write is write_through)
    assert (tmp_path / "it").read_bytes() == b"x" * 10_000


@pytest.mark.parametrize("write", [write_through, write_durably, write_atomically])
def test_what_the_disk_has_no_room_for_is_told_by_name(write: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    with files_of_at_most(100), pytest.raises(OSError, match=rf"File too large: '{tmp_path}/[.\w]*it[.\w]*'"):
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
