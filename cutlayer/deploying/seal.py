"""Messages sealed between two clients, so that the server that carries them can neither read nor change them.

An ephemeral X25519 exchange, HKDF-SHA256 and ChaCha20-Poly1305; both halves of the exchange are signed by the keys of
the parties' certificates, and bound to the plan, the turn and the two names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from torch import Tensor

from cutlayer.codec import decode, encode
from cutlayer.deploying.terms import Plan
from cutlayer.message import Message
from cutlayer.state import as_bytes, as_tensor
from cutlayer.transport.certificate import CertificateError, Identity, fingerprint

_NONCE = bytes(12)  # every key is used once


class SealError(ValueError):
    """A sealed message that is not by whom, for whom or for what it should be."""


@dataclass(frozen=True)
class Offer:
    """What somebody who wants a message sealed for it sends ahead."""

    public: bytes
    certificate: bytes
    signature: bytes


@dataclass(frozen=True)
class Context:
    """What a sealed message is for; both sides know it without being told."""

    plan: str
    turn: int
    giver: str
    taker: str

    def bytes(self, purpose: str) -> bytes:
        """One text for each context and purpose."""
        return repr(("cutlayer", purpose, self.plan, self.turn, self.giver, self.taker)).encode()


def context_of(plan: Plan, turn: int, giver: str, taker: str) -> Context:
    """The context of one hand-over; a ``SealError`` where ``plan`` has none from ``giver`` to ``taker``."""
    clients, trusted = plan.terms.clients, plan.terms.trusted_party
    # Certificates say who somebody is, not whose part it may give: the server has one of the same authority.
    others = (trusted,) if trusted else clients
    between = (giver in clients and taker in others) or (giver in others and taker in clients)
    if giver == taker or not between:
        those = f"clients and {trusted!r}" if trusted else f"two of {', '.join(clients)}"
        raise SealError(f"the server wants a hand-over from {giver!r} to {taker!r}; this plan has them between {those}")
    return Context(plan.fingerprint, turn, giver, taker)


class Taker:
    """The end that opens: one exchange, one message."""

    def __init__(self, identity: Identity, context: Context) -> None:
        self._identity, self._context = identity, context
        self._private = X25519PrivateKey.generate()
        public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.offer = Offer(public, identity.certificate, identity.sign(context.bytes("offer") + public))

    def open(self, sealed: Message, pins: dict[str, str]) -> Message:
        """The message in ``sealed``; anything wrong is a ``SealError``. ``pins``: certificates by name."""
        context, parts = self._context, {name: _bytes(tensor) for name, tensor in sealed.tensors.items()}
        if parts.keys() != {"public", "certificate", "signature", "sealed"}:
            raise SealError(f"what {context.giver!r} hands over is not sealed")
        signed = context.bytes("sealed") + parts["public"] + self.offer.public + _digest(parts["sealed"])
        _known(self._identity, context.giver, parts["certificate"], signed, parts["signature"], pins)
        key = _key(self._private, parts["public"], context, parts["public"] + self.offer.public)
        try:
            part = decode(ChaCha20Poly1305(key).decrypt(_NONCE, parts["sealed"], context.bytes("sealed")))
        except InvalidTag:
            raise SealError(f"what {context.giver!r} has sealed for {context.taker!r} cannot be opened") from None
        # Whoever signed it has sent it, whatever name stands inside.
        return replace(part, sender=context.giver)


def seal(message: Message, offer: Offer, identity: Identity, context: Context, pins: dict[str, str]) -> Message:
    """``message`` for the eyes of whoever made ``offer``; one that is not by the taker is a ``SealError``."""
    _known(identity, context.taker, offer.certificate, context.bytes("offer") + offer.public, offer.signature, pins)
    private = X25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    key = _key(private, offer.public, context, public + offer.public)
    sealed = ChaCha20Poly1305(key).encrypt(_NONCE, encode(message), context.bytes("sealed"))
    signature = identity.sign(context.bytes("sealed") + public + offer.public + _digest(sealed))
    parts = {"public": public, "certificate": identity.certificate, "signature": signature, "sealed": sealed}
    return Message(message.kind, message.sender, message.step, {name: as_tensor(part) for name, part in parts.items()})


def _known(
    identity: Identity, name: str, certificate: bytes, data: bytes, signature: bytes, pins: dict[str, str]
) -> None:
    try:
        identity.vouched(certificate, name, data, signature)
        shown = fingerprint(certificate)
    except CertificateError as error:
        raise SealError(str(error)) from None
    if pins.get(name, shown) != shown:
        raise SealError(f"the certificate of {name!r} is not the one pinned here: {shown}")


def _key(private: X25519PrivateKey, public: bytes, context: Context, both: bytes) -> bytes:
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise SealError(f"the other side's public key cannot be used: {error}") from None
    return HKDF(hashes.SHA256(), 32, None, context.bytes("key") + both).derive(shared)


def _digest(data: bytes) -> bytes:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    return digest.finalize()


def _bytes(tensor: Tensor) -> bytes:
    return as_bytes(tensor) if tensor.dtype == torch.uint8 else b""
