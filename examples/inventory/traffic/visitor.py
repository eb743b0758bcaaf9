"""One visitor with one connection: a request in its turn, and what came of it."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from typing import Any, NamedTuple
from urllib.parse import urlsplit

LOST_AFTER = 10  # failed requests in a row
DONE = {200, 201, 202, 204}
REFUSED = frozenset({404, 409})  # a memory that was wrong is refreshed with the next request


class UnreachableError(Exception):
    """The service does not answer, or no longer."""


class Over(Exception):
    """The day is over; leaves whatever was under way."""


class Answer(NamedTuple):
    """What came back; status 0 when nothing did."""

    status: int
    content: Any = None
    headers: http.client.HTTPMessage | None = None


class Visitor:
    """Asks, at a bounded rate, and counts what is answered.

    Args:
        url: Where the service is.
        rate: Requests a second, at most; after a stall nothing is made up for.
        seed: Chooses the day.
    """

    def __init__(self, url: str, *, rate: float, seed: int) -> None:
        where = urlsplit(url)
        if where.scheme != "http" or not where.hostname:
            raise ValueError(f"{url!r} is not the address of the service; give one as http://127.0.0.1:8000")
        if not rate > 0:
            raise ValueError("the rate must be above 0 requests a second")
        self.answers: Counter[int] = Counter()
        self.unexpected: Counter[tuple[int, str, str]] = Counter()
        self.chance = random.Random(seed)
        self.host, self.port = where.hostname, where.port or 80
        self._url = url
        self._connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
        self._pause = 1 / rate
        self._stop = threading.Event()
        self._due = self._end = self._most = 0.0
        self._failures = 0

    def begin(self, *, duration: float | None, requests: int | None, stop: threading.Event | None) -> None:
        """The first request's turn is now."""
        self._stop = stop or self._stop
        self._most = float("inf") if requests is None else requests
        self._due = time.monotonic()
        self._end = self._due + duration if duration is not None else float("inf")

    def wait(self) -> bool:
        """Wait for the next request's turn; false when the day is over."""
        if self.answers.total() >= self._most:
            return False
        over = self._stop.wait(max(0.0, min(self._due, self._end) - time.monotonic()))
        return not over and time.monotonic() < self._end

    def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, may: frozenset[int] = REFUSED, **headers: str
    ) -> Answer:
        """One request in its turn.

        Args:
            may: The statuses besides those of success that are nothing unusual here.

        Raises:
            Over: There is no next turn.
            UnreachableError: The service never answered, or stopped answering.
        """
        if not self.wait():
            raise Over
        self._due = max(self._due + self._pause, time.monotonic())
        try:
            kind = {"Content-Type": "application/json"} if body is not None else {}
            self._connection.request(method, path, json.dumps(body) if body is not None else None, kind | headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as reason:
            self._connection.close()
            self._failures += 1
            if self._failures >= LOST_AFTER or not self.answers:
                raise UnreachableError(f"{self._url} does not answer ({reason}); is the service running there?") from reason
            self._due = time.monotonic() + 0.5
            return Answer(0)
        self._failures = 0
        self.answers[answer.status] += 1
        if answer.status not in DONE | may:
            self.unexpected[answer.status, method, path] += 1
        is_json = answer.headers.get_content_type() == "application/json" and answer.status in DONE
        return Answer(answer.status, json.loads(content) if content and is_json else None, answer.headers)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
