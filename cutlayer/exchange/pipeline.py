"""Channels where neither side waits idly: the driver makes its next message while the last one is answered.

A prediction changes no weight, so its first half does not depend on any earlier answer, and the results are those of
one prediction after another, to the bit. A training step is another matter: the driver's next forward pass needs the
weights that the peer's answer updates. Made while that answer is worked on, it is made with weights that are one update
old, and the training is no longer that of the unsplit model. That is an option of the plan, ``pipelined``; what it
computes is as exactly defined, and the same in one process and in two:

* Within a turn, step t+1's first forward pass is made between the updates of steps t-1 and t: while the peer works on
  the last exchange of step t. All else of a step, and the first step of a turn, is as without the option.
* Its gradient is that of the weights it was made with, and is applied to those of its time by the optimizer (with
  momentum, weight decay and learning rate of its own step), as with the stashed weights of PipeDream (Narayanan et al.,
  SOSP 2019).
* Dropout draws what it would draw in any case; running statistics take in every batch once, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from cutlayer.batch import Batch
from cutlayer.channel import Handler
from cutlayer.message import Kind, Message
from cutlayer.party import Party
from cutlayer.protocol import TRAINING, Protocol

PREDICTED_AT_ONCE = 250
"""Samples in one message of an evaluation. What a connection must carry grows with it: with 64 x 112 x 112 values a
sample 1,000 would be beyond ``codec.MAX_FRAME``. And what large layers make of more no longer stays in the caches
of a processor."""


def predictions(protocol: Protocol, driver: Party, peer: Handler, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Each of ``batches`` once its prediction is there (at a driving client in ``Party.predicted``), in order.

    ``peer`` is called in one other thread, one question at a time and in order. What it raises is raised here, and no
    later question is asked.
    """
    pool = ThreadPoolExecutor(1, "cutlayer-asking")
    asked: tuple[Batch, Future[Message]] | None = None
    try:
        for batch in batches:
            question = protocol.asked(driver, batch, driver.queries + (1 if asked else 0))
            reply = asked[1].result() if asked else None
            before, asked = asked, (batch, pool.submit(peer, question))
            if before and reply:
                protocol.conclude(driver, reply)
                driver.queries += 1
                yield before[0]
        if asked:
            protocol.conclude(driver, asked[1].result())
            driver.queries += 1
            yield asked[0]
    finally:
        # Whoever breaks off closes the channel as well, which ends a wait for an answer.
        pool.shutdown(wait=False, cancel_futures=True)


class Lookahead:
    """What a driver does while its peer works on the last exchange of a training step."""

    def __init__(self, protocol: Protocol, driver: Party) -> None:
        self._driver = driver
        self._last = next((kind for kind in reversed([*protocol.wire]) if kind in TRAINING), None)
        self.upcoming: Callable[[], Batch] | None = None
        """The batch of the turn's next step; ``None`` where nothing is made ahead: none follows, or none is agreed."""

    def __call__(self, request: Message, handler: Handler) -> Message:
        """The tap that stands nearest to the peer, where nothing is really won: the work comes before the answer."""
        work = self.due(request.kind)
        if work:
            work()
        return handler(request)

    def due(self, kind: Kind) -> Callable[[], None] | None:
        """What is to be done while a request of ``kind`` is answered."""
        return self._look if self.upcoming and kind is self._last else None

    def _look(self) -> None:
        assert self.upcoming
        self._driver.look_ahead(self.upcoming().inputs)
        self.upcoming = None
