from __future__ import annotations

import stat

import pytest

from cutlayer.certificate import (
    CertificateError,
    Identity,
    fingerprint,
    issue,
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
