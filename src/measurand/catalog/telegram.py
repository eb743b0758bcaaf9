"""A Telegram bot: the updates that it gets, the handlers that take them, and its calls to the Bot API.

Labels say what kind of thing it was, never who: no ids of chats or people, no texts. What a program can make up is bounded. Everything here
is safe from any thread and after a fork; no call blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from measurand.catalog.limited import Limited
from measurand.catalog.timing import named, stopwatch
from measurand.core import OVERFLOW_VALUE
from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Counter, Histogram
from measurand.metrics.registry import CollectorRegistry
from measurand.metrics.timed import Stopwatch

__all__ = [
    "BUCKETS",
    "GET_UPDATES",
    "OK",
    "OTHER_FAILURE",
    "STATUSES",
    "UNKNOWN",
    "Outcome",
    "TelegramApiCall",
    "TelegramHandlerCall",
    "TelegramMetrics",
    "TelegramUpdate",
]

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
RETRY_AFTER_BUCKETS = (1, 2, 3, 5, 10, 30, 60, 300, 900, 3600)

Outcome = Literal["handled", "unhandled", "error"]
"""What became of an update. ``handled``: a handler took it, or a middleware answered it. ``unhandled``: nobody wanted it. ``error``:
something raised, even if a handler for errors took care of that; or its handling was cancelled."""

UNKNOWN = "unknown"
"""The type of an update that the framework does not know yet."""

GET_UPDATES = "getUpdates"
"""The long poll. It waits for updates by design, so its durations say nothing and are not recorded."""

OK = "ok"
"""The status of a call that succeeded."""

OTHER_FAILURE = "error"
"""The status of a call that failed in a way that is not told apart."""

STATUSES = frozenset(
    {
        OK,
        OTHER_FAILURE,
        "bad_request",
        "unauthorized",
        "forbidden",
        "not_found",
        "conflict",
        "too_large",
        "migrated",
        "rate_limited",
        "server_error",
        "timeout",
        "network_error",
        "invalid_response",
        "cancelled",
    }
)
"""How a call can end."""

AT_HAND = 1024
"""How many combinations of labels are kept with their series; further ones are looked up each time."""


@dataclass(frozen=True, slots=True)
class TelegramUpdate:
    """One update that has been dealt with.

    Attributes:
        update_type: Its kind, as the Bot API names the field: ``message``, ``callback_query``; or :data:`UNKNOWN`.
        outcome: What became of it.
        duration: Seconds that it took, middlewares and filters included.
    """

    update_type: str
    outcome: Outcome
    duration: float


@dataclass(frozen=True, slots=True)
class TelegramHandlerCall:
    """One run of a handler.

    Attributes:
        handler: Its name: module and qualified name.
        duration: Seconds that it ran, the inner middlewares around it included.
    """

    handler: str
    duration: float


@dataclass(frozen=True, slots=True)
class TelegramApiCall:
    """One request to the Bot API that has been answered, or given up.

    Attributes:
        api_method: The method, as the Bot API spells it: ``sendMessage``.
        status: How it ended: one of :data:`STATUSES`; others count as :data:`OTHER_FAILURE`.
        duration: Seconds that it took.
        retry_after: Where the flood control refused it: seconds to wait before the next one.
    """

    api_method: str
    status: str
    duration: float
    retry_after: float | None = None


class TelegramMetrics:
    """The metrics of a Telegram bot.

    =========================================  =========  =========================================
    ``telegram_updates_total``                 counter    update_type, outcome
    ``telegram_update_duration_seconds``       histogram  update_type
    ``telegram_handler_duration_seconds``      histogram  handler
    ``telegram_api_requests_total``            counter    api_method, status
    ``telegram_api_request_duration_seconds``  histogram  api_method; without getUpdates
    ``telegram_flood_waits_total``             counter
    ``telegram_retry_after_seconds``           histogram
    ``telegram_polling_errors_total``          counter    error_type (a status other than ``ok``)
    =========================================  =========  =========================================

    Args:
        registry: Where the metrics are registered; a second set in the same registry shares them.
        buckets: Upper bounds of the durations, in seconds.
        max_handlers: How many names of handlers are told apart; further ones are ``__other__``.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, buckets: Sequence[float] = BUCKETS, max_handlers: int = 200) -> None:
        self._updates = Counter(
            "telegram_updates_total", "Updates that were dealt with, by what became of them", ["update_type", "outcome"], registry=registry
        )
        self._update_duration = Histogram(
            "telegram_update_duration_seconds",
            "Time from an update's entry into the dispatcher to its end",
            ["update_type"],
            buckets=buckets,
            registry=registry,
        )
        self._handler_duration = Histogram(
            "telegram_handler_duration_seconds",
            "Time that handlers ran, inner middlewares included",
            ["handler"],
            buckets=buckets,
            registry=registry,
        )
        self._requests = Counter(
            "telegram_api_requests_total", "Requests to the Bot API, by how they ended", ["api_method", "status"], registry=registry
        )
        self._request_duration = Histogram(
            "telegram_api_request_duration_seconds",
            "Time that requests to the Bot API took, long polls left out",
            ["api_method"],
            buckets=buckets,
            registry=registry,
        )
        self._flood_waits = Counter("telegram_flood_waits_total", "Requests that the flood control refused", registry=registry)
        self._retry_after = Histogram(
            "telegram_retry_after_seconds",
            "Time to wait that the flood control asked for",
            buckets=RETRY_AFTER_BUCKETS,
            registry=registry,
        )
        self._polling_errors = Counter(
            "telegram_polling_errors_total", "Long polls that failed, the cancelled ones left out", ["error_type"], registry=registry
        )
        self._types = Limited(100, OVERFLOW_VALUE, {UNKNOWN, OVERFLOW_VALUE})
        self._handlers = Limited(max_handlers, OVERFLOW_VALUE, {OVERFLOW_VALUE})
        self._methods = Limited(400, OVERFLOW_VALUE, {GET_UPDATES, OVERFLOW_VALUE})
        self._updates_at_hand: dict[tuple[str, str], tuple[Callable[[], None], Callable[[float], None]]] = {}
        self._handlers_at_hand: dict[str, Callable[[float], None]] = {}
        self._calls_at_hand: dict[tuple[str, str], tuple[Callable[[], None], Callable[[float], None] | None]] = {}

    # -- for hooks -------------------------------------------------------------------------------------------------------------

    def updated(self, update_type: str, outcome: Outcome, duration: float) -> None:
        """An update has been dealt with. See :class:`TelegramUpdate`."""
        series = self._updates_at_hand.get((update_type, outcome))
        if series is None:
            label = self._types.label(update_type)
            series = self._updates.labels(label, outcome).inc, self._update_duration.labels(label).observe
            if len(self._updates_at_hand) < AT_HAND:
                self._updates_at_hand[update_type, outcome] = series
        count, observe = series
        count()
        observe(duration)

    def handled(self, handler: str, duration: float) -> None:
        """A handler has run. See :class:`TelegramHandlerCall`."""
        observe = self._handlers_at_hand.get(handler)
        if observe is None:
            observe = self._handler_duration.labels(self._handlers.label(handler)).observe
            if len(self._handlers_at_hand) < AT_HAND:
                self._handlers_at_hand[handler] = observe
        observe(duration)

    def called(self, api_method: str, status: str, duration: float, retry_after: float | None = None) -> None:
        """A request to the Bot API has ended. See :class:`TelegramApiCall`."""
        series = self._calls_at_hand.get((api_method, status))
        if series is None:
            label, known = self._methods.label(api_method), status if status in STATUSES else OTHER_FAILURE
            timed: Callable[[float], None] | None = None if api_method == GET_UPDATES else self._request_duration.labels(label).observe
            series = self._requests.labels(label, known).inc, timed
            if len(self._calls_at_hand) < AT_HAND:
                self._calls_at_hand[api_method, status] = series
        count, observe = series
        count()
        if observe is not None:
            observe(duration)
        elif status not in (OK, "cancelled"):
            self._polling_errors.labels(status if status in STATUSES else OTHER_FAILURE).inc()
        if retry_after is not None:
            self._flood_waits.inc()
            self._retry_after.observe(retry_after)

    # -- for everybody ---------------------------------------------------------------------------------------------------------

    def record(self, event: TelegramUpdate | TelegramHandlerCall | TelegramApiCall) -> None:
        """Record an event."""
        match event:
            case TelegramUpdate():
                self.updated(event.update_type, event.outcome, event.duration)
            case TelegramHandlerCall():
                self.handled(event.handler, event.duration)
            case TelegramApiCall():
                self.called(event.api_method, event.status, event.duration, event.retry_after)

    def stopwatch(self, name: str | None, labels: Mapping[str, str]) -> Stopwatch:
        """For :func:`measurand.timed`: each call is the run of a handler, called as the function is, or by the label ``handler``.

        Raises:
            LabelError: There is another label, or a ``with`` block without this one.
        """
        handler = named("a handler", labels, handler=name)["handler"]
        return stopwatch(lambda duration, error: self.handled(handler, duration))
