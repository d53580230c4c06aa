"""Network links, and how long given traffic takes on one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cutlayer.mistake import nearest


class LinkError(ValueError):
    """A text that names no link."""


@dataclass(frozen=True)
class Link:
    """A line between a client and the server."""

    down: float
    """Bits a second from the server to the client."""
    up: float
    """Bits a second from the client to the server."""
    latency: float
    """Seconds one way; a request and its reply wait twice as long."""

    def seconds(self, round_trips: int, bytes_up: int, bytes_down: int) -> float:
        """How long so many exchanges of so many bytes take, one after another.

        Frames alone: nothing is added for TLS, for TCP's slow start or for lost packets, nor for computation.
        """
        return 2 * self.latency * round_trips + 8 * (bytes_up / self.up + bytes_down / self.down)


NAMED = {
    "lan": Link(1e9, 1e9, 0.0002),
    "wan": Link(100e6, 100e6, 0.02),
    "dsl": Link(50e6, 10e6, 0.015),
    "4g": Link(30e6, 10e6, 0.035),
}
"""Round numbers for links of these kinds, not measurements of any one."""

_BITS = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_FORM = "100Mbit/20ms (bandwidth/latency one way), 50Mbit/10Mbit/15ms (down/up/latency)"


def parse(text: str) -> Link:
    """The link that ``text`` names or describes; another text is a ``LinkError``."""
    if text in NAMED:
        return NAMED[text]
    *speeds, latency = text.split("/")
    if not speeds:
        raise LinkError(
            f"no link has this name{nearest(text, NAMED)}; one of {', '.join(NAMED)}, or one such as {_FORM}"
        )
    if len(speeds) > 2:
        raise LinkError(f"{len(speeds) + 1} parts are too many; a link reads {_FORM}")
    bits = [_quantity(speed, _BITS, "a bandwidth") for speed in speeds]
    if min(bits) <= 0:
        raise LinkError("a bandwidth must be greater than 0")
    return Link(bits[0], bits[-1], _quantity(latency, _SECONDS, "a latency"))


def _quantity(text: str, units: dict[str, float], what: str) -> float:
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+) *([a-z]+)", text.strip().lower())
    if not match or match[2] not in units:
        shown = ", ".join(unit.replace("mbit", "Mbit").replace("gbit", "Gbit") for unit in units)
        raise LinkError(f"{text!r} is not {what}: a number and a unit ({shown}); a link reads {_FORM}")
    return float(match[1]) * units[match[2]]
