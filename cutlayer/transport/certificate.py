"""Certificates: who a party is to the others; a private authority for a trial, checks before real ones are used."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""What a party may be called: it stands in certificates, file names and messages."""
_HOST = re.compile(r"[A-Za-z0-9*_.-]{1,253}")

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class CertificateError(ValueError):
    """A certificate, key or authority that cannot be used; the message is one sentence."""


@dataclass(frozen=True)
class Identity:
    """What a party proves itself with, and whom it trusts to vouch for others; all PEM."""

    certificate: bytes
    """Its own certificate first, then any between it and the authority."""
    key: bytes
    authority: bytes

    @property
    def name(self) -> str:
        """Its own name."""
        return common_name(_certificates(self.certificate, "certificate")[0])

    def sign(self, data: bytes) -> bytes:
        """A signature over ``data`` by this party's key."""
        key = _key(self.key, "key")
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(data, ec.ECDSA(hashes.SHA256()))
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        return key.sign(data)

    def vouched(self, certificate: bytes, name: str, data: bytes, signature: bytes) -> None:
        """Make sure that ``signature`` over ``data`` is by the party ``name``; otherwise a ``CertificateError``.

        Its ``certificate`` must be issued by this party's authority and be valid now.
        """
        chain = _certificates(certificate, f"the certificate of {name}")
        leaf = chain[0]
        if common_name(leaf) != name:
            raise CertificateError(f"the certificate shown for {name!r} is that of {common_name(leaf)!r}")
        _issued(chain, _certificates(self.authority, "authority"), f"the certificate of {name!r}")
        _valid_now(leaf, f"the certificate of {name!r}")
        key = leaf.public_key()
        try:
            if isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
            elif isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
            elif isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, data)
            else:
                raise CertificateError(f"the certificate of {name!r} has a key of an unknown kind")
        except InvalidSignature:
            raise CertificateError(f"the signature is not by the key in the certificate of {name!r}") from None


def read_identity(certificate: Path, key: Path, authority: Path) -> Identity:
    """The identity in three PEM files, checked: readable, valid today, belonging together."""
    parts = []
    for what, path in (("certificate", certificate), ("key", key), ("authority", authority)):
        try:
            parts.append(path.read_bytes())
        except OSError as error:
            reason = error.strerror or error
            raise CertificateError(f"{what} = {str(path)!r}: {reason}; `cutlayer certs` makes these files") from None
    if key.stat().st_mode & 0o077:
        raise CertificateError(f"key = {str(key)!r} can be read by others on this machine: chmod 600 {key}")
    identity = Identity(*parts)
    chain = _certificates(identity.certificate, f"certificate = {str(certificate)!r}")
    private = _key(identity.key, f"key = {str(key)!r}")
    if _public_bytes(chain[0].public_key()) != _public_bytes(private.public_key()):
        raise CertificateError(f"key = {str(key)!r} does not belong to certificate = {str(certificate)!r}")
    _valid_now(chain[0], f"certificate = {str(certificate)!r}")
    trusted = _certificates(identity.authority, f"authority = {str(authority)!r}")
    _issued(chain, trusted, f"certificate = {str(certificate)!r}")
    return identity


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of the first certificate in the PEM ``certificate``: 64 hex digits, to be read to each other."""
    der = _certificates(certificate, "certificate")[0].public_bytes(serialization.Encoding.DER)
    return hashlib.sha256(der).hexdigest()


def last_day(certificate: bytes) -> dt.date:
    """The day on which the first certificate in the PEM ``certificate`` ends, UTC."""
    return _certificates(certificate, "certificate")[0].not_valid_after_utc.date()


def hosts_of(certificate: bytes) -> list[str]:
    """The names and addresses that the first certificate in the PEM ``certificate`` is for; the name without any."""
    leaf = _certificates(certificate, "certificate")[0]
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [common_name(leaf)]
    return [str(name.value) for name in names]


def make_authority(name: str, days: float) -> tuple[bytes, bytes]:
    """The certificate and the key of a new private authority, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, name, key.public_key(), key.public_key(), _end(days))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_others=True), critical=True)
    return _pem(builder.sign(key, hashes.SHA256())), _key_pem(key)


def issue(authority: bytes, authority_key: bytes, name: str, hosts: Sequence[str], days: float) -> tuple[bytes, bytes]:
    """A certificate for ``name`` and its key, PEM; with ``hosts`` that of a server reachable under these.

    It ends with its authority, where that is earlier.
    """
    if not NAME.fullmatch(name):
        raise CertificateError(f"{name!r} cannot be a party's name: letters, digits, dots, dashes, at most 63")
    parent, parent_key = _certificates(authority, "authority")[0], _key(authority_key, "the authority's key")
    _valid_now(parent, "the authority")
    end = min(_end(days), parent.not_valid_after_utc)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, common_name(parent), key.public_key(), parent_key.public_key(), end)
    # One certificate cannot play both parts: a client that stole the server's address would still be refused.
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    names = x509.SubjectAlternativeName([_host(host) for host in hosts] or [x509.DNSName(name)])
    builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    builder = builder.add_extension(_usage(signs_others=False), critical=True)
    return _pem(builder.sign(parent_key, None if _is_ed(parent_key) else hashes.SHA256())), _key_pem(key)


def write_new(path: Path, content: bytes) -> None:
    """Write ``content`` to a file that only its owner can read; one that is there already is never overwritten."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CertificateError(f"{path} is there already and is not overwritten") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def common_name(certificate: x509.Certificate) -> str:
    """The name in a certificate's subject; a certificate without one, or with several, is a ``CertificateError``."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise CertificateError(f"a certificate must have one common name, this one has {len(names)}")
    return str(names[0].value)


def _end(days: float) -> dt.datetime:
    now = dt.datetime.now(dt.UTC)
    try:
        return now + dt.timedelta(days=days)
    except OverflowError:
        longest = (dt.datetime.max.replace(tzinfo=dt.UTC) - now).days
        raise CertificateError(
            f"days = {days}: a certificate ends before the year 10000, in at most {longest}"
        ) from None


def _builder(
    name: str, issuer: str, key: ec.EllipticCurvePublicKey, issuer_key: object, end: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # Clocks of two machines differ.
        .not_valid_before(dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key),  # type: ignore[arg-type]
            critical=False,
        )
    )


def _usage(signs_others: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_others,
        crl_sign=signs_others,
        encipher_only=False,
        decipher_only=False,
    )


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    if not _HOST.fullmatch(text):
        near = ""
        with contextlib.suppress(UnicodeError):
            near = text.encode("idna").decode()
        meant = f"; in a certificate it is {near!r}" if _HOST.fullmatch(near) else ""
        raise CertificateError(f"host {text!r}: no address, and no name of letters, digits, dots and dashes{meant}")
    return x509.DNSName(text)


def _certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise CertificateError(f"{what} is not a certificate in PEM form") from None


def _key(pem: bytes, what: str) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        raise CertificateError(f"{what} is not a private key in PEM form without a password") from None
    if not isinstance(key, PrivateKey):
        raise CertificateError(f"{what} is of a kind that is not used here: EC, RSA or Ed25519")
    return key


def _issued(chain: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate], what: str) -> None:
    """Make sure that the first of ``chain`` leads to one of ``trusted``, through the others where needed."""
    leaf = chain[0]
    # An authority that was renewed with its old key stands there twice.
    latest = sorted(trusted, key=lambda authority: authority.not_valid_after_utc, reverse=True)
    for issuer in (*latest, *chain[1:]):
        try:
            leaf.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            continue
        if issuer in trusted:
            return _valid_now(issuer, f"the authority behind {what}")
        _valid_now(issuer, what)
        if _may_issue(issuer):
            rest = [other for other in chain[1:] if other != issuer]
            return _issued([issuer, *rest], trusted, what)
    raise CertificateError(f"{what} is not issued by the authority that this party trusts")


def _may_issue(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _valid_now(certificate: x509.Certificate, what: str) -> None:
    now = dt.datetime.now(dt.UTC)
    if now > certificate.not_valid_after_utc:
        raise CertificateError(f"{what} has expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if now < certificate.not_valid_before_utc:
        raise CertificateError(f"{what} is valid only from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on")


def _is_ed(key: PrivateKey) -> bool:
    return isinstance(key, ed25519.Ed25519PrivateKey)


def _public_bytes(key: object) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_bytes(serialization.Encoding.DER, form))  # type: ignore[attr-defined]


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
