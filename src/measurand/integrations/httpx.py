"""Requests of httpx: Client and AsyncClient, whatever transport they use.

One request is what a client hands to a transport once. So each redirect that is followed and each step of an authentication is a request
of its own, with its host and its status; what a transport tries again by itself is one request. It ends with the last byte of the response,
or when the response is closed before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import wraps
from typing import Any

from measurand.catalog.client import Exchange, HttpClientMetrics
from measurand.integrations.handle import Handle, Installations, library, version_of
from measurand.integrations.seams import Guarded, Seam, Seams
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["FLOOR", "instrument"]

FLOOR = "0.27"

installations = Installations()
guarded = Guarded("a request of httpx")


def instrument(
    target: Any = None,
    *,
    metrics: HttpClientMetrics | None = None,
    registry: CollectorRegistry = REGISTRY,
    hosts: Iterable[str] = (),
) -> Handle:
    """Record the requests of clients.

    Args:
        target: A ``Client`` or ``AsyncClient``; ``None`` for every one in this process, those made later included, and with them
            ``httpx.get`` and its kin.
        metrics: The metric set to record to.
        registry: Where to make one otherwise.
        hosts: Hosts that are told apart from now on, besides those that the set knows; see
            :class:`~measurand.catalog.client.HttpClientMetrics`.

    Returns:
        A handle that takes it back. Asked for again, it is the same one.

    Raises:
        ConfigurationError: This version of httpx is built otherwise than those that are known, or something among the hosts is none.
        MissingExtra: httpx is not installed, or older than 0.27.
    """
    httpx = library("httpx", extra="httpx", floor=FLOOR)
    owner = httpx if target is None else target
    about = f"httpx {version_of('httpx')}, {'every client' if target is None else 'one client'}"

    def make() -> Handle:
        used = metrics or HttpClientMetrics(registry)
        used.know(hosts)  # before anything is replaced: it may refuse
        seams.record(target, used)
        every = target is None  # the target itself is not to be kept alive
        return Handle(about, used, owner, lambda found: seams.drop(None if every else found, used))

    handle = installations.once(owner, metrics, make)
    handle.metrics.know(hosts)
    return handle


def begin(client: Any, request: Any) -> Exchange | None:
    """A request is about to be handed to a transport; ``None`` if nobody records it."""
    metrics = seams.metrics_of(client)
    return None if metrics is None else metrics.start(request.method, request.url.host)


def answered(exchange: Exchange, response: Any, follow: Callable[[Any, Exchange], Any]) -> None:
    """The headers of a response are there."""
    exchange.answered(response.status_code)
    if response.is_closed:  # a transport without a network may have it all
        exchange.end()
    else:
        response.stream = follow(response.stream, exchange)


class Chunks:
    """The parts of a body; their end, or what goes wrong before, is that of the request."""

    def __init__(self, chunks: Iterator[bytes], exchange: Exchange) -> None:
        self._chunks = chunks
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except StopIteration:
            guarded(self._exchange.end)
            raise
        except BaseException as error:
            guarded(self._exchange.end, error)
            raise


class AsyncChunks:
    """The same of an asynchronous body."""

    def __init__(self, chunks: AsyncIterator[bytes], exchange: Exchange) -> None:
        self._chunks = chunks
        self._exchange = exchange

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            guarded(self._exchange.end)
            raise
        except BaseException as error:
            guarded(self._exchange.end, error)
            raise


def _seams() -> Iterator[Seam]:
    httpx: Any = library("httpx", extra="httpx", floor=FLOOR)

    class Body(httpx.SyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Any, exchange: Exchange) -> None:
            self._stream = stream
            self._exchange = exchange

        def __iter__(self) -> Iterator[bytes]:
            return Chunks(iter(self._stream), self._exchange)

        def close(self) -> None:
            try:
                self._stream.close()
            finally:
                guarded(self._exchange.end)

    class AsyncBody(httpx.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Any, exchange: Exchange) -> None:
            self._stream = stream
            self._exchange = exchange

        def __aiter__(self) -> AsyncIterator[bytes]:
            return AsyncChunks(aiter(self._stream), self._exchange)

        async def aclose(self) -> None:
            try:
                await self._stream.aclose()
            finally:
                guarded(self._exchange.end)

    def replace(original: Any) -> Any:
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
            guarded(answered, exchange, response, Body)
            return response

        return measured

    def replace_async(original: Any) -> Any:
        @wraps(original)
        async def measured(self: Any, request: Any, *arguments: Any, **options: Any) -> Any:
            exchange = guarded(begin, self, request)
            if exchange is None:
                return await original(self, request, *arguments, **options)
            try:
                response = await original(self, request, *arguments, **options)
            except BaseException as error:
                guarded(exchange.end, error)
                raise
            guarded(answered, exchange, response, AsyncBody)
            return response

        return measured

    yield Seam(httpx.Client, "_send_single_request", replace)
    yield Seam(httpx.AsyncClient, "_send_single_request", replace_async)


seams = Seams(_seams)
