"""The command line where a folder or a disk refuses to be written to: one line, and nothing left behind."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from cutlayer import cli
from cutlayer.disk import write_whole


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.ENAMETOOLONG, errno.EISDIR, errno.EACCES])
def test_what_the_disk_refuses_is_one_line(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*arguments: object) -> None:
        raise OSError(number, "refused", "draft", None, "runs/here")

    monkeypatch.setattr("cutlayer.commands.audit.audit_all", refused)
    monkeypatch.setattr(sys, "argv", ["cutlayer", "audit"])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    assert capsys.readouterr().err == "cutlayer: runs/here: refused\n"


def test_a_file_that_cannot_take_its_place_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "taken", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
