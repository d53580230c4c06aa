"""Predictions over a channel where neither side waits idly: the next question is made while the last one is answered.

A prediction changes no weight, so its first half does not depend on any earlier answer, and the results are those of
one prediction after another, to the bit. A training step is another matter: in every protocol the driver's next forward
pass needs the weights that the peer's answer updates, so nothing of it can be done ahead without training on stale
weights. That is not offered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from cutlayer.batch import Batch
from cutlayer.channel import Handler
from cutlayer.message import Message
from cutlayer.party import Party
from cutlayer.protocol import Protocol


def predictions(protocol: Protocol, driver: Party, peer: Handler, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Each of ``batches`` once its prediction is there (at a driving client in ``Party.predicted``), in order.

    ``peer`` is called in one other thread, one question at a time and in order. What it raises is raised here, and no
    later question is asked.
    """
    pool = ThreadPoolExecutor(1, "cutlayer-asking")
    asked: tuple[Batch, Future[Message]] | None = None
    try:
        for batch in batches:
            question = protocol.question(driver, batch, driver.queries + (1 if asked else 0))
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
