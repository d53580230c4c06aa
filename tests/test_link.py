"""Links: the names and forms that are understood, and the seconds that follow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cutlayer.experiment import ExperimentError, make
from cutlayer.link import NAMED, Link, LinkError, parse
from cutlayer.record import Record, Traffic


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("100Mbit/20ms", Link(100e6, 100e6, 0.02)),
        ("50Mbit/10Mbit/15ms", Link(50e6, 10e6, 0.015)),
        ("1gbit/200us", Link(1e9, 1e9, 0.0002)),
        ("2.5 Mbit / 1s", Link(2.5e6, 2.5e6, 1.0)),
        ("56kbit/0ms", Link(56e3, 56e3, 0.0)),
        (".5Mbit/.5s", Link(5e5, 5e5, 0.5)),
        ("4g", NAMED["4g"]),
    ],
)
def test_reads(text, link):
    found = parse(text)
    assert (found.down, found.up, found.latency) == pytest.approx((link.down, link.up, link.latency))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lna", "did you mean 'lan'"),
        ("100Mbit", "one of lan, wan, dsl, 4g"),
        ("100/20ms", "'100' is not a bandwidth"),
        ("100MB/20ms", r"kbit, Mbit, Gbit"),
        ("100Mbit/20", "'20' is not a latency"),
        ("0Mbit/20ms", "greater than 0"),
        ("-1Mbit/20ms", "is not a bandwidth"),
        ("1Mbit/2Mbit/3Mbit/20ms", "4 parts are too many"),
        ("nan/20ms", "is not a bandwidth"),
    ],
)
def test_refuses_with_what_would_do(text, said):
    with pytest.raises(LinkError, match=said):
        parse(text)
    with pytest.raises(ExperimentError, match=r"link = "):
        make({"link": text})


def test_seconds_are_waiting_and_sending():
    link = Link(down=8e6, up=4e6, latency=0.5)
    assert link.seconds(round_trips=3, bytes_up=1_000_000, bytes_down=2_000_000) == pytest.approx(3.0 + 2.0 + 2.0)


def test_a_record_adds_up_its_kinds():
    kinds = {kind: Traffic(round_trips=5, bytes_up=1000, bytes_down=0) for kind in ("forward", "backward")}
    record = Record(traffic=kinds).on("8kbit/1s")
    assert record.link_seconds == pytest.approx(2 * (10 + 1))
    assert record.on("").link_seconds is None
    assert Record().on("lan").link_seconds is None


def test_a_link_changes_nothing_that_a_cell_is_looked_up_by():
    assert make({}).fingerprint() == make({"link": "dsl"}).fingerprint()


def test_the_page_lists_the_named_links():
    page = (Path(__file__).parent.parent / "docs" / "wire.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.* \| .* \| .*) \|$", page, re.MULTILINE))
    told = {name: parse(re.sub(r"it/s", "it", text).replace(" | ", "/")) for name, text in rows.items()}
    assert told.keys() == NAMED.keys()
    for name, link in NAMED.items():
        assert (told[name].down, told[name].up) == (link.down, link.up)
        assert told[name].latency == pytest.approx(link.latency)
