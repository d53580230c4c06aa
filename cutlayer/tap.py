"""The one seam: whoever stands between a message and the party that answers it."""

from __future__ import annotations

from collections.abc import Callable

from cutlayer.channel import Handler
from cutlayer.message import Message

Tap = Callable[[Message, Handler], Message]
"""Sees a request and the handler behind it, and gives the reply. Attacks and defenses are both taps."""


def wrap(handler: Handler, tap: Tap) -> Handler:
    """``handler`` with ``tap`` around it.

    Around the party that answers, the tap is a curious or malicious answering party; around the caller's end of a
    channel it is the same thing at the party that drives.
    """
    return lambda request: tap(request, handler)
