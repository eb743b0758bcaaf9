"""Bots made with aiogram 3: updates, handlers, requests to the Bot API, flood waits, polling errors.

Three hooks, each where nothing passes it by and nothing passes it twice:

- An update is seen by the outermost middleware of its dispatcher, in front of aiogram's own, so that one which fails in the storage of
  states or is thrown away by a throttling middleware counts, too. A second one, on the observer of errors, notes what their handlers hide.
- A handler is seen by an inner middleware on the dispatcher's observers. Routers inherit these, so on theirs it would be seen again.
- A request is seen where the session sends it, inside all of its middlewares: one that tries again makes several requests, and each counts.

To instrument everything, the entries to dispatchers and sessions are replaced by functions that put these hooks on what is about to be
used.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar, Token
from functools import cache, partial, wraps
from typing import Any
from weakref import WeakSet

from measurand import clock
from measurand.catalog.telegram import OK, OTHER_FAILURE, UNKNOWN, Outcome, TelegramMetrics
from measurand.integrations.handle import Handle, Installations, library, version_of
from measurand.integrations.seams import Guarded, Seam, Seams
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["FLOOR", "instrument"]

FLOOR = "3.3"

NOT_OF_HANDLERS = frozenset({"update"})
"""Observers of a dispatcher whose handlers are aiogram's own."""

STATUSES = {
    "TelegramRetryAfter": "rate_limited",
    "TelegramMigrateToChat": "migrated",
    "TelegramBadRequest": "bad_request",
    "TelegramUnauthorizedError": "unauthorized",
    "TelegramForbiddenError": "forbidden",
    "TelegramNotFound": "not_found",
    "TelegramConflictError": "conflict",
    "TelegramEntityTooLarge": "too_large",
    "TelegramServerError": "server_error",
    "TelegramNetworkError": "network_error",
    "ClientDecodeError": "invalid_response",
    "TimeoutError": "timeout",
    "CancelledError": "cancelled",
    "GeneratorExit": "cancelled",
}
"""What a request ends with, by the exception's class or the nearest of its bases."""

Next = Callable[[Any, dict[str, Any]], Awaitable[Any]]

installations = Installations()
guarded = Guarded("an update, or a request to Telegram's Bot API")


def instrument(*targets: Any, metrics: TelegramMetrics | None = None, registry: CollectorRegistry = REGISTRY) -> Handle:
    """Record what bots do.

    Call it from the event loop's thread, or before polling starts. A bot is instrumented through its session, and with it all bots that
    share the session.

    Args:
        targets: Dispatchers, bots, and sessions of bots. Without any: all in this process, those made later included.
        metrics: The metric set to record to.
        registry: Where to make one otherwise.

    Returns:
        A handle that takes it back. Asked for again with the same target, it is the same one; with several targets, it takes back each.

    Raises:
        MissingExtra: aiogram is not installed, or older than 3.3.
        TypeError: A target is none of these.
    """
    aiogram = library("aiogram", extra="aiogram", floor=FLOOR)
    used = cache(lambda: metrics or TelegramMetrics(registry))
    if not targets:
        return installations.once(aiogram, metrics, lambda: _everything(aiogram, used()))
    owners = list(dict.fromkeys(map(_owner, targets)))
    handles = [_by_itself(owner, metrics, used) for owner in owners]
    return handles[0] if len(handles) == 1 else Together(handles).handle()


class Together:
    """Several handles as one."""

    def __init__(self, handles: list[Handle]) -> None:
        self._handles = handles

    def handle(self) -> Handle:
        """That one."""
        parts = [handle.about.partition(", ")[2] for handle in self._handles]
        return Handle(f"aiogram {version_of('aiogram')}, {' and '.join(parts)}", self._handles[0].metrics, self, self.undo)

    def undo(self, _: Any) -> None:
        """Take back each."""
        for handle in self._handles:
            handle.uninstrument()


# -- on what the hooks are -------------------------------------------------------------------------------------------------------


def _owner(target: Any) -> Any:
    """What the hooks of a target are put on: a dispatcher, or a bot's session."""
    kinds = _kinds()
    if isinstance(target, (kinds.Dispatcher, kinds.BaseSession)):
        return target
    if isinstance(target, kinds.Bot):
        return target.session
    raise TypeError(f"{target!r} is neither a dispatcher of aiogram nor a bot; routers are part of the dispatcher that includes them")


class _Kinds:
    """The classes of aiogram that matter here."""

    def __init__(self) -> None:
        aiogram = library("aiogram", extra="aiogram", floor=FLOOR)
        bases = library("aiogram.dispatcher.event.bases", extra="aiogram", floor=FLOOR)
        self.Bot: Any = aiogram.Bot
        self.Dispatcher: Any = aiogram.Dispatcher
        self.BaseSession: Any = library("aiogram.client.session.base", extra="aiogram", floor=FLOOR).BaseSession
        self.unhandled: Any = bases.UNHANDLED
        self.passed_over: tuple[type[BaseException], ...] = (bases.SkipHandler, bases.CancelHandler)


_kinds = cache(_Kinds)


def _hook(owner: Any, metrics: TelegramMetrics) -> Handle:
    """Put the hooks on a dispatcher or session."""
    if isinstance(owner, _kinds().Dispatcher):
        about, undo = "a dispatcher", DispatcherHooks(metrics).put_on(owner)
    else:
        about, undo = "the session of a bot", SessionHooks(metrics).put_on(owner)
    return Handle(f"aiogram {version_of('aiogram')}, {about}", metrics, owner, undo)


def _by_itself(owner: Any, metrics: TelegramMetrics | None, used: Callable[[], TelegramMetrics]) -> Handle:
    while True:
        handle = installations.of(owner)
        if handle is not None and handle in met:
            handle.uninstrument()  # it was met while everything is instrumented; now it is instrumented by itself
        handle = installations.once(owner, metrics, lambda: _hook(owner, used()))
        if handle not in met:
            return handle


# -- everything ------------------------------------------------------------------------------------------------------------------

met: WeakSet[Handle] = WeakSet()
"""The handles of what is instrumented because everything is."""


def _everything(aiogram: Any, metrics: TelegramMetrics) -> Handle:
    seams.record(None, metrics)
    return Handle(f"aiogram {version_of('aiogram')}, every dispatcher and bot", metrics, aiogram, _leave_everything)


def _leave_everything(_: Any) -> None:
    seams.drop(None)
    for handle in list(met):
        handle.uninstrument()


def _meet(owner: Any, metrics: TelegramMetrics) -> None:
    """A dispatcher or session is about to be used while everything is instrumented."""
    if installations.of(owner) is None:

        def make() -> Handle:
            handle = _hook(owner, metrics)
            met.add(handle)
            return handle

        handle = installations.once(owner, None, make)
        if seams.metrics_of(None) is None and handle in met:
            handle.uninstrument()


def _entry(original: Any) -> Any:
    """The replacement of a method that dispatchers or sessions are entered by."""

    @wraps(original)
    async def enter(self: Any, *arguments: Any, **options: Any) -> Any:
        metrics = seams.metrics_of(self)
        if metrics is not None:
            guarded(_meet, self, metrics)
        return await original(self, *arguments, **options)

    return enter


def _seams() -> Iterator[Seam]:
    yield Seam(_kinds().Dispatcher, "feed_update", _entry)
    yield Seam(_kinds().BaseSession, "__call__", _entry)


seams = Seams(_seams)


# -- updates and handlers --------------------------------------------------------------------------------------------------------


class Trip:
    """An update's way through a dispatcher."""

    __slots__ = ("has_failed",)

    def __init__(self) -> None:
        self.has_failed = False


TRIP: ContextVar[Trip | None] = ContextVar("measurand_telegram_trip", default=None)


def _end(token: Token[Trip | None]) -> None:
    with suppress(ValueError):  # a coroutine that the garbage collector closes is in a context which is not its own
        TRIP.reset(token)


class DispatcherHooks:
    """The middlewares of one dispatcher, which it is not kept alive by."""

    def __init__(self, metrics: TelegramMetrics) -> None:
        self._metrics = metrics
        self._unhandled = _kinds().unhandled
        self._passed_over = _kinds().passed_over

    def put_on(self, dispatcher: Any) -> Callable[[Any], None]:
        """Register them; returns what takes them back."""
        for manager, middleware in self._places(dispatcher):
            _put_first(manager, middleware)
        return self._take_from

    def _take_from(self, dispatcher: Any) -> None:
        for manager, middleware in self._places(dispatcher):
            if middleware in tuple(manager):
                manager.unregister(middleware)

    def _places(self, dispatcher: Any) -> Iterator[tuple[Any, Any]]:
        yield dispatcher.update.outer_middleware, self.update
        yield dispatcher.errors.outer_middleware, self.error
        for name, observer in dispatcher.observers.items():
            if name not in NOT_OF_HANDLERS:
                yield observer.middleware, self.handler

    async def update(self, following: Next, event: Any, data: dict[str, Any]) -> Any:
        """Around everything that happens to an update."""
        trip = Trip()
        token = TRIP.set(trip)
        outcome: Outcome = "error"
        since = clock.monotonic()
        try:
            response = await following(event, data)
            if not trip.has_failed:
                outcome = "unhandled" if response is self._unhandled else "handled"
            return response
        except self._passed_over:
            outcome = "unhandled"
            raise
        finally:
            guarded(self._updated, event, outcome, clock.monotonic() - since)
            _end(token)

    async def error(self, following: Next, event: Any, data: dict[str, Any]) -> Any:
        """Around the handlers of errors, which may make an update look well."""
        trip = TRIP.get()
        if trip is not None:
            trip.has_failed = True
        return await following(event, data)

    async def handler(self, following: Next, event: Any, data: dict[str, Any]) -> Any:
        """Around a handler, whichever router it belongs to."""
        since = clock.monotonic()
        try:
            return await following(event, data)
        finally:
            guarded(self._handled, data, clock.monotonic() - since)

    def _updated(self, update: Any, outcome: Outcome, duration: float) -> None:
        try:
            kind = update.event_type
        except LookupError:
            kind = UNKNOWN
        self._metrics.updated(kind, outcome, duration)

    def _handled(self, data: dict[str, Any], duration: float) -> None:
        self._metrics.handled(_name(data["handler"].callback), duration)


def _put_first(manager: Any, middleware: Any) -> None:
    """Register a middleware so that it stands around all others. None of these is absent for longer than its move takes."""
    others = tuple(manager)
    manager.register(middleware)
    for other in others:
        manager.unregister(other)
        manager.register(other)


def _name(callback: Any) -> str:
    """The name of a handler: its module and its name there; that of the class of an object which is called."""
    callback = inspect.unwrap(callback)
    while not hasattr(callback, "__qualname__"):
        inner = callback.func if isinstance(callback, partial) else getattr(getattr(callback, "handler", None), "callback", None)
        callback = type(callback) if inner is None else inspect.unwrap(inner)
    return f"{callback.__module__}.{callback.__qualname__}"


# -- requests to the Bot API -----------------------------------------------------------------------------------------------------


class SessionHooks:
    """What records the requests of one session, which it is not kept alive by."""

    def __init__(self, metrics: TelegramMetrics) -> None:
        self.metrics = metrics
        self.is_active = True

    def put_on(self, session: Any) -> Callable[[Any], None]:
        """Stand in front of its ``make_request``; returns what takes that back."""
        own = vars(session).get("make_request")
        session.make_request = Request(session.make_request, own, self)
        return self._take_from

    def _take_from(self, session: Any) -> None:
        self.is_active = False
        request = vars(session).get("make_request")
        if not isinstance(request, Request) or request.hooks is not self:
            return  # somebody has put something in front of it, which goes on calling it
        if request.own is None:
            del session.make_request
        else:
            session.make_request = request.own

    def record(self, method: Any, since: float, error: BaseException | None) -> None:
        """A request has ended."""
        name = getattr(method, "__api_method__", None) or type(method).__name__
        retry_after = getattr(error, "retry_after", None)
        status = OK if error is None else _status(error)
        self.metrics.called(name, status, clock.monotonic() - since, retry_after if status == "rate_limited" else None)


class Request:
    """A session's ``make_request`` with us around it.

    Args:
        original: What it was.
        own: The same, if it was the session's own and not its class'.
        hooks: Where to record.
    """

    def __init__(self, original: Callable[..., Awaitable[Any]], own: Any, hooks: SessionHooks) -> None:
        self._original = original
        self.own = own
        self.hooks = hooks

    async def __call__(self, bot: Any, method: Any, *arguments: Any, **options: Any) -> Any:
        """Make a request."""
        if not self.hooks.is_active:
            return await self._original(bot, method, *arguments, **options)
        since = clock.monotonic()
        try:
            response = await self._original(bot, method, *arguments, **options)
        except BaseException as error:
            guarded(self.hooks.record, method, since, error)
            raise
        guarded(self.hooks.record, method, since, None)
        return response


def _status(error: BaseException) -> str:
    status = next((STATUSES[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in STATUSES), OTHER_FAILURE)
    if status == "network_error" and isinstance(error.__cause__ or error.__context__, TimeoutError):
        return "timeout"
    return status
