"""How acts reach the event writer: through a queue in Redis when there is one, else by HTTP.

Both ways promise the same: ``submit`` gives the event, or raises the writer's refusal, or says that the outcome is not known yet; it never
blocks the loop and never waits longer than ``SECONDS_TO_WAIT``. An act that was handed over without an answer may still be recorded, once.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

import httpx
from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from measurand import Counter, Histogram, Runtime
from measurand.health import checks
from measurand.lifecycle.coordinator import Event

from .errors import PendingError, UnreachableError
from .events import Act
from .queueing import LONGEST_QUEUE, QUEUE, answer_key
from .rules import Refusal, RefusedError
from .settings import Settings

OUTCOMES = ("recorded", "refused", "pending", "unreachable")

HANDOVERS = Counter("event_handovers_total", "Acts handed to the event writer, by what became of them", ["transport", "outcome"])
HANDOVER_SECONDS = Histogram("event_handover_duration_seconds", "Time until the event writer's answer", ["transport"])

SECONDS_TO_WAIT = 2.0
CONNECTIONS = 50


class Handover(Protocol):
    """A way to the event writer. For one event loop."""

    @property
    def transport(self) -> str:
        """Its name in the metrics."""
        ...

    async def submit(self, act: Act) -> dict[str, Any]:
        """Hand an act over and wait for the event.

        Raises:
            RefusedError: A rule forbids it.
            UnreachableError: It could not be handed over.
            PendingError: There is no answer yet.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Measured:
    """A handover that is counted and timed."""

    def __init__(self, inner: Handover) -> None:
        self._inner = inner
        self.transport = inner.transport
        for outcome in OUTCOMES:
            HANDOVERS.labels(self.transport, outcome)  # zeros, for the transport in use

    async def submit(self, act: Act) -> dict[str, Any]:
        """See ``Handover``."""
        outcome = "unreachable"
        try:
            with HANDOVER_SECONDS.labels(self.transport).time():
                event = await self._inner.submit(act)
            outcome = "recorded"
        except RefusedError:
            outcome = "refused"
            raise
        except PendingError:
            outcome = "pending"
            raise
        finally:
            HANDOVERS.labels(self.transport, outcome).inc()
        return event

    async def close(self) -> None:
        """See ``Handover``."""
        await self._inner.close()


class HttpHandover:
    """``POST /v1/events`` of the event writer.

    Args:
        url: Where the event writer is.
    """

    transport = "http"

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=SECONDS_TO_WAIT, trust_env=False)

    async def submit(self, act: Act) -> dict[str, Any]:
        """See ``Handover``."""
        try:
            answer = await self._post(act)
            content = answer.json()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as reason:
            raise UnreachableError("the event writer cannot be reached") from reason
        except (httpx.HTTPError, ValueError) as reason:  # it was sent, perhaps; an answer that is no JSON says nothing either
            raise PendingError(act) from reason
        if answer.status_code == 201:
            return dict(content)
        raise _refusal(content)

    async def _post(self, act: Act) -> httpx.Response:
        try:
            return await self._client.post("/v1/events", json=act.as_json())
        except (httpx.RemoteProtocolError, httpx.ReadError):  # a kept connection that the writer closed meanwhile; once more is harmless
            return await self._client.post("/v1/events", json=act.as_json())

    async def close(self) -> None:
        """See ``Handover``."""
        await self._client.aclose()


class RedisHandover:
    """A list that the event writer takes from; the answer comes by a list of the act's own.

    Args:
        url: ``redis://host:port/database``.
        wait: Seconds to wait for an answer.
    """

    transport = "redis"

    def __init__(self, url: str, *, wait: float = SECONDS_TO_WAIT) -> None:
        self._wait = wait
        self.client: redis.Redis = redis.Redis.from_pool(
            redis.BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=SECONDS_TO_WAIT,
                socket_connect_timeout=SECONDS_TO_WAIT,
                socket_timeout=SECONDS_TO_WAIT + 1,
                retry=Retry(NoBackoff(), 0),  # whoever asks is waiting: say at once that it does not work
            )
        )

    async def submit(self, act: Act) -> dict[str, Any]:
        """See ``Handover``."""
        try:
            if await self.client.llen(QUEUE) >= LONGEST_QUEUE:
                raise UnreachableError("the queue to the event writer is full")
            await self.client.lpush(QUEUE, json.dumps(act.as_json()))
        except (RedisError, OSError) as reason:
            raise UnreachableError("the queue to the event writer cannot be reached") from reason
        try:
            answer = await self.client.blpop([answer_key(act.id)], timeout=self._wait)
        except (RedisError, OSError) as reason:
            raise PendingError(act) from reason
        if answer is None:
            raise PendingError(act)
        content: dict[str, Any] = json.loads(answer[1])
        if "sequence" not in content:
            raise _refusal(content)
        return content

    async def close(self) -> None:
        """See ``Handover``."""
        await self.client.aclose()


def connect(settings: Settings, runtime: Runtime) -> Measured:
    """The way that is configured, and the check of it.

    Without the event writer there is still something to read, so that its absence is a warning; a queue should never be away.
    """
    if settings.redis_url is None:
        runtime.health.add(checks.http(f"{settings.event_writer}/v1/health", name="event_writer", criticality="degraded"))
        return Measured(HttpHandover(settings.event_writer))
    way = RedisHandover(settings.redis_url)
    # The client belongs to the server's event loop, so that it is checked from when there is one.
    runtime.lifecycle.on(Event.STARTUP, lambda: runtime.health.add(checks.redis(way.client)), name="check of the queue")
    return Measured(way)


def _refusal(content: Any) -> Exception:
    """What an answer without an event means."""
    try:
        return RefusedError(Refusal(content["code"]))
    except (KeyError, TypeError, ValueError):
        return UnreachableError("the event writer cannot record at the moment")
