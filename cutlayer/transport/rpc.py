"""Frames over gRPC: one bidirectional stream for each client, under mutual TLS."""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, final

import grpc

from cutlayer.channel import Channel, Meter
from cutlayer.codec import MAX_FRAME, FrameError
from cutlayer.transport.certificate import Identity
from cutlayer.transport.duplex import MAX_CONTROL, DisconnectedError, Duplex, RefusedError, printable

logger = logging.getLogger("cutlayer")

METHOD = "/cutlayer.Split/Exchange"
_STREAMS = 4  # that a client may have open, most of them dying
_OVERHEAD = 1 << 16  # a frame's header
_FOR_GOOD = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT)


@final
class Grpc(Channel):
    """The way to a party at the other end of a link."""

    def __init__(self, link: Duplex, seconds: float, meter: Meter | None = None) -> None:
        super().__init__(meter)
        self.link, self._seconds = link, seconds
        self.answered = b""
        """The last frame that came back: what a journal keeps."""

    def carry(self, frame: bytes) -> bytes:
        """Send and wait; ``DisconnectedError`` where no answer comes in time."""
        return self.carry_while(frame, lambda: None)

    def carry_while(self, frame: bytes, meanwhile: Callable[[], None]) -> bytes:
        """The same, with ``meanwhile`` between sending and waiting."""
        self.link.send(frame)
        meanwhile()
        self.answered = self.link.receive(self._seconds)
        return self.answered


@dataclass(frozen=True)
class Limits:
    """What a connection may carry, and how long it may be silent."""

    frame: int = MAX_FRAME
    """Bytes of the largest tensor data in one message."""
    ping_seconds: float = 20.0
    """After so long without traffic the other side is asked for a sign of life; it has as long again."""
    most: int = field(init=False, default=MAX_FRAME)
    """Bytes of the longest message; a longer one is refused."""
    options: tuple[tuple[str, int], ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        most, ping = min(max(self.frame, MAX_CONTROL) + _OVERHEAD, MAX_FRAME), int(self.ping_seconds * 1000)
        found = {
            # One more: who sends too much is told so by the other party; gRPC only hangs up.
            "max_send_message_length": most + 1,
            "max_receive_message_length": most + 1,
            "keepalive_time_ms": ping,
            "keepalive_timeout_ms": ping,
            "keepalive_permit_without_calls": 1,
            "http2.max_pings_without_data": 0,
            "http2.min_ping_interval_without_data_ms": ping // 2,
            "http2.max_ping_strikes": 0,
            # Every attempt starts afresh: the pause between two of them is the caller's.
            "use_local_subchannel_pool": 1,
            "enable_retries": 0,
            "so_reuseport": 0,
        }
        object.__setattr__(self, "most", most)
        object.__setattr__(self, "options", tuple((f"grpc.{name}", value) for name, value in found.items()))


def connect(address: str, identity: Identity | None, server_name: str, limits: Limits) -> Duplex:
    """A link to the server at ``address`` (host:port); without ``identity`` in the clear, on this machine only."""
    options: list[tuple[str, int | str]] = [*limits.options]
    if identity is None:
        only_loopback(address)
        channel = grpc.insecure_channel(address, options)
    else:
        if server_name:
            options.append(("grpc.ssl_target_name_override", server_name))
        credentials = grpc.ssl_channel_credentials(identity.authority, identity.key, identity.certificate)
        channel = grpc.secure_channel(address, credentials, options)
    link = Duplex("the server", channel.close)
    # A client ends a call without a reason: of what is too long it sends enough for the server to give it one.
    call = channel.stream_stream(METHOD, None, None)(frame[: limits.most + 1] for frame in link.leaving())
    threading.Thread(target=_pump_reply, args=(call, link), daemon=True).start()
    return link


def _pump_reply(call: Any, link: Duplex) -> None:
    try:
        for frame in call:
            link.came(frame)
        link.lost(DisconnectedError("the server has ended the connection"))
    except grpc.RpcError as error:
        told = str(error.details() or error.code())
        link.lost(_meaning(told, error.code() in _FOR_GOOD))
    except ValueError as error:
        # The channel was closed under the call.
        link.lost(DisconnectedError(str(error)))


def _meaning(told: str, refused: bool) -> Exception:
    """What a failed call means to whoever made it; what another attempt would not change is a refusal."""
    if "CERTIFICATE_VERIFY_FAILED" in told:
        return RefusedError("the server's certificate is not vouched for by this party's `authority`, or has expired")
    if "larger than max" in told:
        return RefusedError(f"a message is longer than any of this plan: {told}")
    if "Hostname Verification" in told:
        return RefusedError("the server's certificate is not for this address: `server_name` says another name")
    if refused:
        return RefusedError(told)
    if "WRONG_VERSION_NUMBER" in told:
        return DisconnectedError("what answers at this address does not speak TLS")
    if "Socket closed" in told:
        # A server that does not accept a certificate hangs up, and so does one that was stopped.
        told += "; if this goes on, the server's log says whether it accepts this certificate"
    return DisconnectedError(told)


def serve(
    address: str,
    identity: Identity | None,
    allowed: Iterable[str],
    admit: Callable[[Duplex], None],
    limits: Limits,
) -> tuple[Any, int]:
    """Listen at ``address``; the running server and its port.

    ``admit`` is called with the link of every client whose certificate names one of ``allowed``; it reads the client's
    first words, and refuses it by a ``RefusedError``. Without ``identity`` in the clear, on loopback addresses only: a
    client is then whoever it says it is.
    """
    names = frozenset(allowed)
    # Each open stream holds a worker. Some more, so that who comes back need not wait for its dead stream to end.
    workers = _STREAMS * len(names) + 4
    pool = ThreadPoolExecutor(workers, "cutlayer-stream")
    server = grpc.server(pool, options=list(limits.options), maximum_concurrent_rpcs=workers)
    entrance = _Entrance(names, admit, identity is not None, limits.most)
    handler = grpc.stream_stream_rpc_method_handler(entrance.exchange)
    service, method = METHOD.strip("/").split("/")
    server.add_registered_method_handlers(service, {method: handler})
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    if identity is None:
        only_loopback(address)
        port = server.add_insecure_port(address)
    else:
        pair = [(identity.key, identity.certificate)]
        port = server.add_secure_port(address, grpc.ssl_server_credentials(pair, identity.authority, True))
    server.start()
    return server, port


class _Entrance:
    """Who is let in, and how often at once; who was not named by a certificate may be anybody."""

    def __init__(self, names: frozenset[str], admit: Callable[[Duplex], None], encrypted: bool, most: int) -> None:
        self._names, self._admit, self._encrypted, self._most = names, admit, encrypted, most
        self._open: Counter[str] = Counter()
        self._counting = threading.Lock()

    def exchange(self, frames: Iterator[bytes], context: Any) -> Iterator[bytes]:
        """What a client is sent on a stream of its own, on which its ``frames`` come."""
        name = self._name(context)
        link = Duplex(name)
        self._count(link, name, context)
        threading.Thread(target=_pump_request, args=(frames, link, self._most), daemon=True).start()
        try:
            self._admit(link)
            for frame in link.leaving():
                _within(self._most, frame, "the server")
                yield frame
        except (RefusedError, FrameError) as error:
            logger.warning("refused %s at %s: %s", link.name or "a client", context.peer(), error)
            link.lost(RefusedError(str(error)))
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except DisconnectedError as error:
            link.lost(error)
            context.abort(grpc.StatusCode.ABORTED, str(error))

    def _name(self, context: Any) -> str:
        """By the certificate, empty where there is none; the call ends here for who is not in the plan."""
        if not self._encrypted:
            return ""
        name = _peer(context)
        if name not in self._names:
            told = printable(name) or "a client without a name"
            logger.warning("refused %s at %s: no such client in the plan", told, context.peer())
            known = ", ".join(sorted(self._names))
            context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{name!r} is not a party of this plan: {known}")
        return name

    def _count(self, link: Duplex, name: str, context: Any) -> None:
        """Count the stream until its call ends, which is here where its client has too many."""
        with self._counting:
            self._open[name] += 1
            crowded = self._encrypted and self._open[name] > _STREAMS
        if not context.add_callback(lambda: self._ended(link, name)):
            # The call has ended while it waited for a worker, and nothing will say so any more.
            self._ended(link, name)
            context.abort(grpc.StatusCode.ABORTED, "the call has ended before it began")
        if crowded:
            logger.warning("refused %s at %s: it has %d streams open already", name, context.peer(), _STREAMS)
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{name!r} has {_STREAMS} streams open already")

    def _ended(self, link: Duplex, name: str) -> None:
        with self._counting:
            self._open[name] -= 1
        link.close(DisconnectedError(f"{link.name} has gone"))


def _pump_request(frames: Iterator[bytes], link: Duplex, most: int) -> None:
    try:
        for frame in frames:
            _within(most, frame, link.name or "a client")
            link.came(frame)
        link.lost(DisconnectedError(f"{link.name} has ended the connection"))
    except RefusedError as error:
        link.close(error)
    except Exception as error:  # noqa: BLE001 - gRPC raises a bare Exception where the call has ended
        link.lost(DisconnectedError(f"the connection to {link.name} is lost: {error}"))


def _within(most: int, frame: bytes, whose: str) -> None:
    if len(frame) > most:
        raise RefusedError(f"a message of {whose} is longer than {most} bytes, the most that one of this plan takes")


def _peer(context: Any) -> str:
    names = context.auth_context().get("x509_common_name", [])
    return names[0].decode(errors="replace") if len(names) == 1 else ""


def only_loopback(address: str) -> None:
    """Refuse to go without TLS to anywhere but this machine."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        inside = ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = host == "localhost"
    if not inside:
        raise RefusedError(f"without certificates only this machine itself can be reached (127.0.0.1), not {host!r}")
