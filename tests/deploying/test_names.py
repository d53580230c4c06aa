"""Names in certificates are other parties' words."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator

import pytest

from cutlayer.transport import certificate
from cutlayer.transport.duplex import Duplex
from cutlayer.transport.rpc import Limits, connect, serve
from tests.deployments import Papers


@pytest.fixture
def listening() -> Iterator[tuple[Papers, int]]:
    papers = Papers()
    identity = papers.identity("server", ["127.0.0.1"])
    server, port = serve("127.0.0.1:0", identity, ["c0"], lambda link: None, Limits())
    yield papers, port
    server.stop(0).wait()


def test_a_name_in_a_certificate_cannot_steer_a_terminal(
    listening: tuple[Papers, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    papers, port = listening
    monkeypatch.setattr(certificate, "NAME", re.compile(".*", re.DOTALL))
    stranger = papers.identity("mallory\x1b[2J\nc0")
    with caplog.at_level(logging.WARNING, "cutlayer"):
        link = connect(f"127.0.0.1:{port}", stranger, "", Limits())
        _ended(link)
    assert r"refused mallory\x1b[2J\nc0 at" in caplog.text
    assert str(link.why).isprintable()


def _ended(link: Duplex) -> None:
    deadline = time.monotonic() + 10
    while link.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    link.close()
