"""The attacked party's process at the other end of gRPC: mutual TLS, by certificates made for this once."""

from __future__ import annotations

import queue
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from cutlayer.codec import FrameError
from cutlayer.isolated.isolation import main
from cutlayer.isolated.lines import Line, Streams
from cutlayer.isolated.process import IsolatedError, OtherProcess
from cutlayer.transport.certificate import Identity, issue, make_authority, read_identity, write_new
from cutlayer.transport.duplex import Duplex, control
from cutlayer.transport.rpc import Limits, connect, serve

_AUDIT, _LODGER = "audit", "attacked-party"
_HOST = "127.0.0.1"
_HELLO_SECONDS = 30.0
_LOOK_SECONDS = 0.5
_FILES = ("certificate", "key", "authority")


class GrpcProcess(OtherProcess):
    """A process that calls back over gRPC: one stream for the protocol's frames, one for control."""

    def __init__(self) -> None:
        authority, key = make_authority("audit", 1)
        own = Identity(*issue(authority, key, _AUDIT, [_HOST], 1), authority)
        lodger = Identity(*issue(authority, key, _LODGER, [], 1), authority)
        self._called: queue.SimpleQueue[tuple[Line, Duplex]] = queue.SimpleQueue()
        with ExitStack() as made:
            server, port = serve(f"{_HOST}:0", own, [_LODGER], self._admit, Limits())
            made.callback(lambda: server.stop(0).wait())
            papers = made.enter_context(tempfile.TemporaryDirectory(prefix="cutlayer-"))
            for name in _FILES:
                write_new(Path(papers) / f"{name}.pem", getattr(lodger, name))
            command = [sys.executable, "-P", "-m", "cutlayer.isolated.grpc_process", f"{_HOST}:{port}", papers]
            super().__init__(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True))
            # A process that could not be started leaves neither a server nor keys behind.
            self._made = made.pop_all()

    def open(self) -> Streams:
        """Wait for the process to call."""
        ends: dict[Line, Duplex] = {}
        while len(ends) < len(Line):
            try:
                line, link = self._called.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if (code := self.process.poll()) is not None:
                    raise IsolatedError(f"the attacked party's process ended with exit code {code}") from None
                continue
            ends[line] = link
        return Streams(ends[Line.WIRE], ends[Line.CONTROL])

    def close(self) -> None:
        """End the process, the server and the certificates."""
        super().close()
        self._made.close()

    def _admit(self, link: Duplex) -> None:
        said = control(link.receive(_HELLO_SECONDS)) or {}
        if said.get("verb") not in tuple(Line):
            raise FrameError("a stream is the wire, or control")
        self._called.put((Line(said["verb"]), link))


def _lodge(address: str, papers: Path) -> None:
    identity = read_identity(*(papers / f"{name}.pem" for name in _FILES))
    ends = {}
    for line in Line:
        ends[line] = connect(address, identity, "", Limits())
        ends[line].tell(line.value)
    main(Streams(ends[Line.WIRE], ends[Line.CONTROL]))


if __name__ == "__main__":
    _lodge(sys.argv[1], Path(sys.argv[2]))
