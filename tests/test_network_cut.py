"""A network that swallows everything for a while, and hosts of their own, change no bit."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from cutlayer.deploying.outcome import read_party_record
from tests.deployments import Deployment, Papers, assert_same_bits, plan_of
from tests.interruptions import files_for
from tests.nursery import Nursery
from tests.scenes import made

__all__ = ["made"]
pytestmark = [pytest.mark.usefixtures("made"), pytest.mark.slow]
SECONDS = 240
HOSTS = {"a": "10.77.203.1", "b": "10.77.203.2"}


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[dict[str, str]]:
    """Two hosts on one cable: network namespaces, where this machine lets us have them."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and ip")
    names = {key: f"cutlayer-{os.getpid()}-{key}" for key in HOSTS}
    try:
        try:
            for name in names.values():
                ip("netns", "add", name)
            ends = ["va", "netns", names["a"], "type", "veth", "peer", "name", "vb", "netns", names["b"]]
            ip("link", "add", *ends)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
        for key, name in names.items():
            ip("-n", name, "addr", "add", f"{HOSTS[key]}/24", "dev", f"v{key}")
            ip("-n", name, "link", "set", f"v{key}", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names.values():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def test_a_minute_without_a_network_between_two_hosts_changes_no_bit(tmp_path, hosts):
    deployed = Deployment(plan_of(protocol="u_shaped", epochs=60), tmp_path, Papers())
    # A cut is noticed by the pings it swallows: silence for twice their interval.
    files = files_for(deployed, {"ping_seconds": 5}, (HOSTS["a"], 7443))
    with Nursery(["ip", "netns", "exec", hosts["a"]]) as there, Nursery(["ip", "netns", "exec", hosts["b"]]) as here:
        there.start("server", "serve", files["server"], tmp_path)
        here.start("c0", "join", files["c0"], tmp_path)
        end = time.monotonic() + SECONDS
        log = tmp_path / "server.log"
        while "epoch 2 of" not in (log.read_text() if log.exists() else ""):
            assert time.monotonic() < end
            time.sleep(0.02)
        ip("-n", hosts["a"], "link", "set", "va", "down")
        time.sleep(60)
        ip("-n", hosts["a"], "link", "set", "va", "up")
        while here.alive("c0") or there.alive("server"):
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
    record = read_party_record(tmp_path / "c0")
    assert record
    assert record.interruptions > 0
    assert_same_bits(deployed)
