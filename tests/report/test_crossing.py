"""The part of the report about bytes and links."""

from __future__ import annotations

from pathlib import Path

from cutlayer.report import write_report
from tests.report.made_run import made_record, save


def shown(run: Path) -> str:
    return write_report(run).read_text(encoding="utf-8")


def test_the_wire_is_shown_by_kind_and_by_link(tmp_path: Path) -> None:
    kind = {"round_trips": 1150, "bytes_up": 53_018_496, "bytes_down": 974_016}
    for cut, traffic in ((1, {"forward": kind, "backward": kind}), (3, {"train": kind})):
        save(tmp_path, made_record("unsplit", cut, 1, 0.5, traffic=traffic, link="1Mbit/0ms"))
    text = shown(tmp_path)
    for part in (
        "On the wire",
        "forward",
        "2\u202f300",
        "4\u202f600",
        "106 MB",
        "lan: ",
        "4g: ",
        "1Mbit/0ms: 14 min",
    ):
        assert part in text
    assert text.count("1Mbit/0ms: ") == 2


def test_what_several_attacks_share_is_counted_once(tmp_path: Path) -> None:
    """No attack adds to what its victim's training takes, and none of it was counted while the cell ran."""
    kind = {"round_trips": 100, "bytes_up": 1_234_000, "bytes_down": 567_000}
    for attack in ("unsplit", "another"):
        record = made_record("unsplit", 1, 1, 0.5, traffic={"train": kind}, bytes_up=1_234_000, bytes_down=567_000)
        record["cell"]["attack"] = attack
        save(tmp_path, record)
    text = shown(tmp_path)
    assert text.count("1.2 MB") == 1
    assert "2.5 MB" not in text
    assert "Bytes are computed" in text


def test_a_run_that_never_counted_shows_no_wire(tmp_path: Path) -> None:
    save(tmp_path, made_record("unsplit", 1, 1, 0.5))
    assert "On the wire" not in shown(tmp_path)
