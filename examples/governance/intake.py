"""The event writer's end of the queue: one thread that takes acts from Redis, records them, and answers.

Promises: an act leaves the queue when it is recorded or refused, so that neither a crash nor a database that is away loses one; while the
database is away the thread tries again and again; ``stop`` returns when the act under way is done.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from sqlalchemy.exc import SQLAlchemyError

from measurand import Counter, Gauge

from .events import Act
from .queueing import QUEUE, TAKEN, answer_key
from .rules import RefusedError
from .writer import Writer

LOG = logging.getLogger(__name__)

DELIVERIES = Counter(
    "event_queue_deliveries_total",
    "Acts taken from the queue, by what became of them; retried counts each attempt that the database did not let through",
    ["outcome"],
    label_values={"outcome": ["recorded", "refused", "malformed", "retried"]},
)
QUEUE_LENGTH = Gauge("event_queue_length", "Acts waiting in the queue")

SECONDS_BETWEEN_TRIES = 0.2
SECONDS_ANSWERS_LIVE = 60


class Intake:
    """The consumer of the queue.

    Args:
        url: ``redis://host:port/database``.
        writer: Who records.
        patience: Seconds to wait for an act before it is asked again whether to stop.
    """

    def __init__(self, url: str, writer: Writer, *, patience: float = 1.0) -> None:
        self._patience = patience
        self.client: Redis = Redis.from_url(
            url,
            socket_connect_timeout=2,
            socket_timeout=patience + 2,
            retry=Retry(NoBackoff(), 0),
            max_connections=4,
        )
        self._writer = writer
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    @property
    def is_running(self) -> bool:
        """Whether it takes acts."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to take acts."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Take no more, and wait for the act under way. Whether that came to its end."""
        self._stopping.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def measure(self) -> None:
        """Set the gauge of the queue's length."""
        QUEUE_LENGTH.set(self.client.llen(QUEUE))

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._take_back()
                self._take_one()
            except RedisError as reason:
                LOG.warning("the queue does not answer", extra={"reason": type(reason).__name__})
                self._stopping.wait(SECONDS_BETWEEN_TRIES)
            except Exception:
                LOG.exception("an act could not be handled; it stays in the queue")
                self._stopping.wait(SECONDS_BETWEEN_TRIES)

    def _take_back(self) -> None:
        """What was taken and not answered comes first again: by a process that crashed, or for a connection that was given up."""
        while self.client.lmove(TAKEN, QUEUE, "LEFT", "RIGHT") is not None:
            pass

    def _take_one(self) -> None:
        raw = self.client.blmove(QUEUE, TAKEN, cast(int, self._patience), "RIGHT", "LEFT")  # its types know whole seconds only
        if raw is None:
            return
        answered = self._handle(raw)
        if answered is None:  # stopping, and the database is still away: it stays taken, and the next start takes it back
            return
        identity, answer = answered
        with self.client.pipeline(transaction=True) as pipe:
            if identity:
                pipe.lpush(answer_key(identity), json.dumps(answer))
                pipe.expire(answer_key(identity), SECONDS_ANSWERS_LIVE)
            pipe.lrem(TAKEN, 1, cast(str, raw))
            pipe.execute()

    def _handle(self, raw: bytes | str) -> tuple[str, dict[str, object]] | None:
        """The id of the act and the answer to it; ``None`` when told to stop before there was one."""
        try:
            act = Act.from_json(json.loads(raw))
        except ValueError:
            LOG.warning("something in the queue is not an act; it is dropped")
            DELIVERIES.labels("malformed").inc()
            return "", {}
        while True:
            try:
                event = self._writer.record(act)
            except RefusedError as refused:
                DELIVERIES.labels("refused").inc()
                return act.id, {"code": refused.reason, "error": str(refused)}
            except SQLAlchemyError as reason:
                DELIVERIES.labels("retried").inc()
                LOG.warning("the database does not answer; trying again", extra={"reason": type(reason).__name__})
                if self._stopping.wait(SECONDS_BETWEEN_TRIES):
                    return None
            else:
                DELIVERIES.labels("recorded").inc()
                return act.id, event.as_json()
