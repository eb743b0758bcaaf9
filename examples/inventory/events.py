"""The event stream: what happens in the workshop, told to everybody who listens, as server-sent events. Publishes ``sse_gateway_…``.

Promises: publishing never waits for a listener; one that cannot keep up is sent away (it reconnects by itself) and costs nobody else
anything; a listener that vanishes is noticed at the next heartbeat or event, and counted out once, however it went; listeners hear what
happened in any of the service's workers, where they are connected by a relay. Safe to use from many threads. Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import json
import queue
import threading
import time
from dataclasses import dataclass
from typing import Any

from measurand import REGISTRY, Counter, Gauge, Histogram

from .errors import BusyError
from .relay import Relay

SERVICES = ("stock", "pick_lists", "tasks")

CONNECTIONS = Counter(
    "sse_gateway_connections_total",
    "Event streams opened and ended",
    ["action"],
    label_values={"action": ["connect", "disconnect"]},
)
EVENTS_SENT = Counter(
    "sse_gateway_events_sent_total",
    "Events handed to a listener's connection, by the service that published them; error: the listener had gone or could not keep up",
    ["service", "status"],
    label_values={"service": list(SERVICES), "status": ["success", "error"]},
)
SEND_DURATION = Histogram(
    "sse_gateway_send_duration_seconds",
    "Time to write one event to a listener's connection",
    ["service"],
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
    label_values={"service": list(SERVICES)},
)
ACTIVE_CONNECTIONS = Gauge("sse_gateway_active_connections", "Event streams open now")

BACKLOG = 100  # events that a slow listener may be behind


@dataclass(frozen=True)
class Event:
    """One event, encoded once for all listeners."""

    service: str
    text: bytes


class Events:
    """All streams of this process.

    Args:
        relay: Connects this process with the other workers of the service; ``None`` where there are none.
        most_streams: Streams open at once; each keeps a thread of the server busy.
        heartbeat: Seconds of silence after which a stream is written to all the same, which is how a vanished listener is noticed.
    """

    def __init__(self, relay: Relay | None = None, *, most_streams: int = 8, heartbeat: float = 5.0) -> None:
        self._relay = relay
        self.most_streams = most_streams
        self.heartbeat = heartbeat
        self._streams: set[Stream] = set()
        self._lock = threading.Lock()
        self._closed = False

    def publish(self, service: str, name: str, data: Any) -> None:
        """Tell everybody who listens now, to whichever worker.

        Args:
            service: Which of ``SERVICES`` has something to say.
            name: The kind of event, as the listener's ``addEventListener`` knows it.
            data: Its content, as JSON.
        """
        content = json.dumps(data)
        self._tell(service, name, content)
        if self._relay is not None:
            self._relay.tell(json.dumps([service, name, content]).encode())

    def hear(self, line: bytes) -> None:
        """Tell this process' listeners what another worker has published."""
        self._tell(*json.loads(line))

    def _tell(self, service: str, name: str, content: str) -> None:
        event = Event(service, f"event: {name}\ndata: {content}\n\n".encode())
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.offer(event)

    @property
    def open_streams(self) -> int:
        """How many streams are open in this process."""
        return len(self._streams)

    def open(self) -> Stream:
        """A new stream, to be iterated over and closed by the server. Raises ``BusyError`` when there are too many, or at shutdown."""
        with self._lock:
            if self._closed or len(self._streams) >= self.most_streams:
                raise BusyError(f"{len(self._streams)} listeners are connected; no more for now", retry_after=5)
            stream = Stream(self)
            self._streams.add(stream)
        return stream

    def close(self) -> None:
        """End all streams of this process and open no more, so that a stopping server does not wait for its listeners."""
        with self._lock:
            self._closed = True
            streams = list(self._streams)
        for stream in streams:
            stream.end()

    def forget(self, stream: Stream) -> None:
        with self._lock:
            self._streams.discard(stream)


def listeners() -> int:
    """How many streams are open now in all workers of the service, whichever of them is asked."""
    return int(REGISTRY.get_sample_value("sse_gateway_active_connections") or 0)


class Stream:
    """The bytes of one listener's connection: an iterator that a WSGI server writes out piece by piece, and closes whatever happens.

    Not a generator: closing a generator that was never started runs none of its code, and the gauge would stay too high for ever.
    """

    def __init__(self, events: Events) -> None:
        self._events = events
        self._waiting: queue.Queue[Event | None] = queue.Queue(BACKLOG)
        self._sending: tuple[Event, float] | None = None
        self._greeted = False
        self._ending = threading.Event()
        self._closing = threading.Lock()
        self._is_open = True
        CONNECTIONS.labels("connect").inc()
        ACTIVE_CONNECTIONS.inc()

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> bytes:
        self._settle("success")  # the server asks for more: what it got last is written
        if not self._greeted:
            self._greeted = True
            return b"retry: 1000\n\n"
        try:
            event = self._waiting.get(timeout=self._events.heartbeat)
        except queue.Empty:
            return b": still here\n\n"
        if event is None or self._ending.is_set():
            raise StopIteration
        self._sending = event, time.monotonic()
        return event.text

    def offer(self, event: Event) -> None:
        """Queue an event; a listener that is too far behind is sent away."""
        if self._ending.is_set():
            return
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            EVENTS_SENT.labels(event.service, "error").inc()
            self.end()

    def end(self) -> None:
        """Let the stream end instead of sending what is queued."""
        self._ending.set()
        try:
            self._waiting.put_nowait(None)  # wakes it up
        except queue.Full:
            return  # it will not wait, then

    def close(self) -> None:
        """Count the listener out. The server calls this when the connection is over; a second call does nothing."""
        with self._closing:
            if not self._is_open:
                return
            self._is_open = False
        self._settle("error")  # what was being written when the connection broke
        self._events.forget(self)
        CONNECTIONS.labels("disconnect").inc()
        ACTIVE_CONNECTIONS.dec()

    def _settle(self, status: str) -> None:
        if self._sending is not None:
            event, begun = self._sending
            self._sending = None
            EVENTS_SENT.labels(event.service, status).inc()
            SEND_DURATION.labels(event.service).observe(time.monotonic() - begun)
