"""Which code ran: a record says whether its commit holds it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cutlayer import provenance


def test_a_checkout_is_dirty_by_its_package_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, page = tmp_path / "cutlayer", tmp_path / "results.md"
    package.mkdir()
    (package / "provenance.py").touch()
    page.touch()
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    monkeypatch.setattr(provenance, "__file__", str(package / "provenance.py"))
    page.write_text("a record more")
    (tmp_path / "notes.txt").touch()
    assert _fresh()["dirty"] is False
    (package / "attack.py").touch()
    assert _fresh()["dirty"] is True


def test_outside_a_checkout_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "cutlayer" / "provenance.py"))
    found = _fresh()
    assert found["commit"] is None
    assert found["dirty"] is None


def _fresh() -> dict[str, object]:
    return provenance.code.__wrapped__()
