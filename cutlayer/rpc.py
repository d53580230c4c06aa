"""Frames over gRPC: one bidirectional stream for each client, under mutual TLS."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, final

import grpc

from cutlayer.certificate import Identity
from cutlayer.channel import Channel, Meter
from cutlayer.codec import MAX_FRAME, FrameError

logger = logging.getLogger("cutlayer")

METHOD = "/cutlayer.Split/Exchange"
MAX_CONTROL = 1 << 20
"""Bytes of a control message; tensors travel in frames."""
_OPENING = b"{"
# A frame starts with the length of its header, a multiple of eight: no frame starts with this byte.
_HELLO_SECONDS = 30.0
_WAITING = 4
_OVERHEAD = 1 << 16  # a frame's header
_FOR_GOOD = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT)


class DisconnectedError(ConnectionError):
    """The other side cannot be reached any more, or did not answer in time; worth another attempt."""


class RefusedError(Exception):
    """One side will not talk to the other; the message says why. Another attempt would end alike."""


@final
class Link:
    """One open stream: frames and control messages, in order, both ways."""

    def __init__(self, name: str, end: Callable[[], None] = lambda: None) -> None:
        self.name = name
        """Who is at the other end, by its certificate."""
        self.alive = True
        self.listening = True
        """Whether it is the other side's turn to speak; what it says out of turn ends the link."""
        self._end = end
        # Bounded: who sends faster than he is answered waits in his own network buffers.
        self._came: queue.Queue[bytes | Exception] = queue.Queue(_WAITING)
        self._leaving: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self.why: Exception = DisconnectedError(f"the connection to {name} is lost")

    def send(self, frame: bytes) -> None:
        """Send one frame or control message."""
        if not self.alive:
            raise self.why
        self._leaving.put(frame)

    def receive(self, seconds: float | None = None) -> bytes:
        """What came next; ``DisconnectedError`` where nothing comes in ``seconds``, or ever again."""
        try:
            came = self._came.get(timeout=seconds) if self.alive or not self._came.empty() else self.why
        except queue.Empty:
            self.close()
            raise DisconnectedError(f"{self.name} has not answered for {seconds:g} s") from None
        if isinstance(came, Exception):
            raise came
        return came

    def tell(self, verb: str, **fields: Any) -> None:
        """Send a control message."""
        self.send(json.dumps({"verb": verb, **fields}, separators=(",", ":")).encode())

    def close(self, why: Exception | None = None) -> None:
        """End the stream; with a ``RefusedError`` the other side is told the reason."""
        if not self._closing.is_set():
            self._closing.set()
            self._leaving.put(why)
            self.lost(why or self.why)
            self._end()

    def lost(self, why: Exception) -> None:
        """Nothing will come any more."""
        if self.alive:
            self.alive, self.why = False, why
            with contextlib.suppress(queue.Full):
                self._came.put_nowait(why)

    def came(self, frame: bytes) -> None:
        """Hand in what the network brought."""
        if not self.listening:
            raise RefusedError(f"{self.name} sends out of turn")
        while self.alive:
            with contextlib.suppress(queue.Full):
                self._came.put(frame, timeout=1)
                return

    def leaving(self) -> Iterator[bytes]:
        """What is to go out, until the link is closed."""
        while (frame := self._leaving.get()) is not None:
            if isinstance(frame, Exception):
                raise frame
            yield frame


def control(frame: bytes) -> dict[str, Any] | None:
    """The control message in ``frame``; ``None`` where it is a protocol frame. Malformed ones are a ``FrameError``."""
    if frame[:1] != _OPENING:
        return None
    if len(frame) > MAX_CONTROL:
        raise FrameError(f"a control message of {len(frame)} bytes is over the limit of {MAX_CONTROL}")
    try:
        said = json.loads(frame)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a control message is not JSON: {error}") from None
    if not isinstance(said, dict) or not isinstance(said.get("verb"), str):
        raise FrameError("a control message names no verb")
    return said


@final
class Grpc(Channel):
    """The way to a party at the other end of a link."""

    def __init__(self, link: Link, seconds: float, meter: Meter | None = None) -> None:
        super().__init__(meter)
        self.link, self._seconds = link, seconds
        self.answered = b""
        """The last frame that came back: what a journal keeps."""

    def carry(self, frame: bytes) -> bytes:
        """Send and wait; ``DisconnectedError`` where no answer comes in time."""
        self.link.send(frame)
        self.answered = self.link.receive(self._seconds)
        return self.answered


@dataclass(frozen=True)
class Limits:
    """What a connection may carry, and how long it may be silent."""

    frame: int = MAX_FRAME
    """Bytes of the largest tensor data in one message; longer ones end the stream."""
    ping_seconds: float = 20.0
    """After so long without traffic the other side is asked for a sign of life; it has as long again."""
    options: tuple[tuple[str, int], ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        size, ping = min(max(self.frame, MAX_CONTROL) + _OVERHEAD, MAX_FRAME), int(self.ping_seconds * 1000)
        found = {
            "max_send_message_length": size,
            "max_receive_message_length": size,
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
        object.__setattr__(self, "options", tuple((f"grpc.{name}", value) for name, value in found.items()))


def connect(address: str, identity: Identity | None, server_name: str, limits: Limits) -> Link:
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
    link = Link("the server", channel.close)
    call = channel.stream_stream(METHOD, None, None)(link.leaving())
    threading.Thread(target=_pump_reply, args=(call, link), daemon=True).start()
    return link


def _pump_reply(call: Any, link: Link) -> None:
    try:
        for frame in call:
            link.came(frame)
        link.lost(DisconnectedError("the server has ended the connection"))
    except grpc.RpcError as error:
        told = str(error.details() or error.code())
        refused = error.code() in _FOR_GOOD
        link.lost(RefusedError(told) if refused else DisconnectedError(told))
    except ValueError as error:
        # The channel was closed under the call.
        link.lost(DisconnectedError(str(error)))


def serve(
    address: str,
    identity: Identity | None,
    allowed: Iterable[str],
    admit: Callable[[Link], None],
    limits: Limits,
) -> tuple[Any, int]:
    """Listen at ``address``; the running server and its port.

    ``admit`` is called with the link of every client whose certificate names one of ``allowed``; it reads the client's
    first words, and refuses it by a ``RefusedError``. Without ``identity`` in the clear, on loopback addresses only: a
    client is then whoever it says it is.
    """
    names = frozenset(allowed)
    # Each open stream holds a worker. A few more, so that who comes back need not wait for its dead stream to end.
    workers = 2 * len(names) + 6
    pool = ThreadPoolExecutor(workers, "cutlayer-stream")
    server = grpc.server(pool, options=list(limits.options), maximum_concurrent_rpcs=workers)

    def exchange(frames: Iterator[bytes], context: Any) -> Iterator[bytes]:
        name = _peer(context) if identity else ""
        if identity and name not in names:
            logger.warning(
                "refused %s at %s: no such client in the plan", name or "a client without a name", context.peer()
            )
            known = ", ".join(sorted(names))
            context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{name!r} is not a party of this plan: {known}")
        link = Link(name, context.cancel)
        context.add_callback(lambda: link.close(DisconnectedError(f"{link.name} has gone")))
        threading.Thread(target=_pump_request, args=(frames, link), daemon=True).start()
        try:
            admit(link)
            yield from link.leaving()
        except RefusedError as error:
            logger.warning("refused %s at %s: %s", link.name or "a client", context.peer(), error)
            link.lost(error)
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except (DisconnectedError, FrameError) as error:
            link.lost(DisconnectedError(str(error)))
            context.abort(grpc.StatusCode.ABORTED, str(error))

    handler = grpc.stream_stream_rpc_method_handler(exchange)
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


def _pump_request(frames: Iterator[bytes], link: Link) -> None:
    try:
        for frame in frames:
            link.came(frame)
        link.lost(DisconnectedError(f"{link.name} has ended the connection"))
    except RefusedError as error:
        link.close(error)
    except Exception as error:  # noqa: BLE001 - gRPC raises a bare Exception where the call has ended
        link.lost(DisconnectedError(f"the connection to {link.name} is lost: {error}"))


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
