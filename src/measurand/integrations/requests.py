"""Requests of requests: every Session, and ``requests.get`` and its kin.

One request is what a session hands to an adapter once. So each redirect that is followed is a request of its own, with its host and its
status; what the adapter tries again by itself (``HTTPAdapter(max_retries=…)``) is one request. It ends with the last byte of the response,
or when the response is closed or forgotten before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from measurand.catalog.client import Exchange, HttpClientMetrics
from measurand.integrations.handle import Handle, Installations, library, version_of
from measurand.integrations.seams import Guarded, Seam, Seams
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["FLOOR", "instrument"]

FLOOR = "2.31"

KEY = "_measurand_exchange"
"""Where a response keeps what it belongs to."""

installations = Installations()
guarded = Guarded("a request of requests")


def instrument(
    target: Any = None,
    *,
    metrics: HttpClientMetrics | None = None,
    registry: CollectorRegistry = REGISTRY,
    hosts: Iterable[str] = (),
) -> Handle:
    """Record the requests of sessions.

    Args:
        target: A ``Session``, with all its adapters; ``None`` for every one in this process, those made later included.
        metrics: The metric set to record to.
        registry: Where to make one otherwise.
        hosts: Hosts that are told apart from now on, besides those that the set knows; see
            :class:`~measurand.catalog.client.HttpClientMetrics`.

    Returns:
        A handle that takes it back. Asked for again, it is the same one.

    Raises:
        ConfigurationError: Something among the hosts is none.
        MissingExtra: requests is not installed, or older than 2.31.
    """
    requests = library("requests", extra="requests", floor=FLOOR)
    owner = requests if target is None else target
    about = f"requests {version_of('requests')}, {'every session' if target is None else 'one session'}"

    def make() -> Handle:
        used = metrics or HttpClientMetrics(registry)
        used.know(hosts)  # before anything is replaced: it may refuse
        seams.record(target, used)
        every = target is None  # the target itself is not to be kept alive
        return Handle(about, used, owner, lambda found: seams.drop(None if every else found, used))

    handle = installations.once(owner, metrics, make)
    handle.metrics.know(hosts)
    return handle


def begin(adapter: Any, request: Any) -> Exchange | None:
    """A request is about to be handed to an adapter; ``None`` if nobody records it."""
    metrics = seams.metrics_where(lambda session: any(one is adapter for one in list(session.adapters.values())))
    return None if metrics is None else metrics.start(request.method or "", urlsplit(request.url).hostname or "")


def answered(exchange: Exchange, response: Any) -> None:
    """The headers of a response are there."""
    exchange.answered(response.status_code)
    vars(response)[KEY] = exchange


def followed(chunks: Iterator[Any], exchange: Exchange) -> Iterator[Any]:
    """The parts of a body; their end, or what goes wrong before, is that of the request."""
    try:
        yield from chunks
    except GeneratorExit:
        raise  # nobody wants the rest; the response is closed next, or forgotten
    except BaseException as error:
        guarded(exchange.end, error)
        raise
    guarded(exchange.end)


def _replace_send(original: Any) -> Any:
    @wraps(original)
    def measured(self: Any, request: Any, *arguments: Any, **options: Any) -> Any:
        exchange = guarded(begin, self, request)
        if exchange is None:
            return original(self, request, *arguments, **options)
        try:
            response = original(self, request, *arguments, **options)
        except BaseException as error:
            guarded(exchange.end, error)
            raise
        guarded(answered, exchange, response)
        return response

    return measured


def _replace_iter_content(original: Any) -> Any:
    @wraps(original)
    def measured(self: Any, *arguments: Any, **options: Any) -> Any:
        chunks = original(self, *arguments, **options)
        exchange = vars(self).get(KEY)
        return chunks if exchange is None else followed(chunks, exchange)

    return measured


def _replace_close(original: Any) -> Any:
    @wraps(original)
    def measured(self: Any) -> Any:
        try:
            return original(self)
        finally:
            exchange = vars(self).get(KEY)
            if exchange is not None:
                guarded(exchange.end)

    return measured


def _seams() -> Iterator[Seam]:
    adapters = library("requests.adapters", extra="requests", floor=FLOOR)
    models = library("requests.models", extra="requests", floor=FLOOR)
    yield Seam(adapters.HTTPAdapter, "send", _replace_send)
    yield Seam(models.Response, "iter_content", _replace_iter_content)
    yield Seam(models.Response, "close", _replace_close)


seams = Seams(_seams)
