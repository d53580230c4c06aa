from __future__ import annotations

import datetime as dt
import stat
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from cutlayer.commands.certs import make_certs
from cutlayer.experiment import ExperimentError
from cutlayer.transport.certificate import (
    CertificateError,
    Identity,
    fingerprint,
    issue,
    last_day,
    make_authority,
    read_identity,
    write_new,
)
from tests.deployments import Papers


def written(folder, identity):
    for name in ("certificate", "key", "authority"):
        write_new(folder / f"{name}.pem", getattr(identity, name))
    return [folder / f"{name}.pem" for name in ("certificate", "key", "authority")]


def test_an_identity_is_read_back_with_its_name(tmp_path):
    identity = Papers().identity("alice")
    assert read_identity(*written(tmp_path, identity)) == identity
    assert identity.name == "alice"


def test_files_are_private_and_never_overwritten(tmp_path):
    certificate, *_ = written(tmp_path, Papers().identity("alice"))
    assert stat.S_IMODE(certificate.stat().st_mode) == 0o600
    before = certificate.read_bytes()
    with pytest.raises(CertificateError, match="there already"):
        write_new(certificate, b"other")
    assert certificate.read_bytes() == before


def test_a_key_that_others_can_read_is_refused(tmp_path):
    paths = written(tmp_path, Papers().identity("alice"))
    paths[1].chmod(0o644)
    with pytest.raises(CertificateError, match="can be read by others"):
        read_identity(*paths)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda papers, own: papers.identity("alice", days=-0.01), "has expired"),
        (lambda papers, own: Identity(own.certificate, papers.identity("bob").key, own.authority), "does not belong"),
        (lambda papers, own: Identity(own.certificate, own.key, Papers().authority), "not issued by the authority"),
        (lambda papers, own: Identity(b"-", own.key, own.authority), "not a certificate"),
        (lambda papers, own: Identity(own.certificate, b"-", own.authority), "not a private key"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anybody_is_called(tmp_path, spoil, message):
    papers = Papers()
    paths = written(tmp_path, spoil(papers, papers.identity("alice")))
    with pytest.raises(CertificateError, match=message):
        read_identity(*paths)


def test_what_is_issued_ends_with_its_authority() -> None:
    authority, key = make_authority("test", 2)
    ends = [last_day(issue(authority, key, "alice", [], days)[0]) for days in (1, 30)]
    assert ends[0] < ends[1] == last_day(authority)
    with pytest.raises(CertificateError, match="the authority has expired on"):
        issue(*make_authority("test", -0.01), "alice", [], 1)


def test_an_authority_that_has_ended_vouches_for_nobody(tmp_path, monkeypatch):
    # One of other makers may have signed what outlasts it.
    monkeypatch.setattr("cutlayer.transport.certificate.min", lambda *ends: max(ends), raising=False)
    papers = Papers()
    paths = written(tmp_path, papers.identity("alice", days=30))
    monkeypatch.undo()
    read_identity(*paths)

    class Later(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return dt.datetime.now(tz) + dt.timedelta(days=3)

    later = SimpleNamespace(datetime=Later, timedelta=dt.timedelta, UTC=dt.UTC)
    monkeypatch.setattr("cutlayer.transport.certificate.dt", later)
    with pytest.raises(CertificateError, match=r"the authority behind certificate = .* has expired on"):
        read_identity(*paths)


def test_a_signature_is_taken_only_from_its_own_party():
    papers = Papers()
    alice, bob = papers.identity("alice"), papers.identity("bob")
    signature = alice.sign(b"data")
    bob.vouched(alice.certificate, "alice", b"data", signature)
    for certificate, name, data in (
        (alice.certificate, "carol", b"data"),
        (alice.certificate, "alice", b"other data"),
        (bob.certificate, "bob", b"data"),
        (Papers().identity("alice").certificate, "alice", b"data"),
    ):
        with pytest.raises(CertificateError):
            bob.vouched(certificate, name, data, signature)


def test_a_chain_through_a_certificate_that_may_not_issue_is_refused():
    papers = Papers()
    mallory = papers.identity("mallory")
    forged, _ = issue(mallory.certificate, mallory.key, "alice", [], 1)
    shown = Identity(forged + mallory.certificate, b"", papers.authority)
    with pytest.raises(CertificateError, match="not issued by the authority"):
        papers.identity("bob").vouched(shown.certificate, "alice", b"", b"")


@pytest.mark.parametrize("name", ["", "a b", "../alice", "a" * 64, "-a"])
def test_a_name_that_is_none_gets_no_certificate(name):
    with pytest.raises(CertificateError, match="cannot be a party's name"):
        issue(*make_authority("test", 1), name, [], 1)


def test_a_fingerprint_tells_certificates_apart():
    papers = Papers()
    one, other = papers.identity("alice").certificate, papers.identity("alice").certificate
    assert fingerprint(one) == fingerprint(one) != fingerprint(other)
    assert len(fingerprint(one)) == 64


def certs(folder: Path, name: str, *hosts: str, port: int | None = None, days: int = 1) -> str:
    """What `cutlayer certs` writes for the client ``name`` as its server's address."""
    make_certs(folder, [name], hosts, port, days, Console(quiet=True))
    return str(tomllib.loads((folder / name / "client.toml").read_text())["server"])


def test_a_party_that_is_added_later_is_sent_to_the_server_that_is_there(tmp_path):
    assert certs(tmp_path, "alice", "server.example.org", "::1", port=9000) == "server.example.org:9000"
    assert certs(tmp_path, "tom") == "server.example.org:9000"
    assert certs(tmp_path, "bob", "::1", port=9001) == "[::1]:9001"
    settings = tmp_path / "server" / "server.toml"
    settings.write_text(settings.read_text().replace("9000", "9002"))
    assert certs(tmp_path, "carol") == "server.example.org:9002"
    assert certs(tmp_path, "dave", port=7443) == "server.example.org:7443"
    with pytest.raises(
        ExperimentError, match=r"host 'other': the certificate in .*server is for server.example.org, ::1"
    ):
        certs(tmp_path, "dora", "other")


def test_a_server_whose_files_cannot_be_read_is_told(tmp_path):
    certs(tmp_path, "alice", "server.example.org")
    settings, certificate = (tmp_path / "server" / name for name in ("server.toml", "certificate.pem"))
    settings.write_text('plan = "plan.toml"\nlisten = "0.0.0.0"\n')
    with pytest.raises(ExperimentError, match=r"listen = '0.0.0.0': an address and a port"):
        certs(tmp_path, "tom")
    certificate.unlink()
    with pytest.raises(ExperimentError, match=r"certificate\.pem cannot be read"):
        certs(tmp_path, "tom")


@pytest.mark.parametrize(
    ("host", "days", "message"),
    [
        (
            "münchen.de",
            1,
            "host 'münchen.de': no address, and no name of .*; in a certificate it is 'xn--mnchen-3ya.de'",
        ),
        ("server:9000", 1, "host 'server:9000': no address, and no name"),
        ("", 1, "host '': no address, and no name of letters, digits, dots and dashes$"),
        ("server", 4_000_000, "days = 4000000: a certificate ends before the year 10000, in at most 29"),
        ("server", 10**10, "days = 10000000000: a certificate ends"),
    ],
)
def test_a_certificate_that_cannot_be_made_leaves_no_file(tmp_path, host, days, message):
    with pytest.raises(ExperimentError, match=message):
        certs(tmp_path / "trial", "alice", host, days=days)
    assert not (tmp_path / "trial").exists()
    certs(tmp_path / "trial", "alice", "server", days=2_000_000)
