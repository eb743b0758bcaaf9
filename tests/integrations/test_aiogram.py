"""aiogram: updates, handlers and their names, and that nothing is seen twice or goes unseen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from functools import partial, wraps
from typing import Any

import pytest
from aiogram import BaseMiddleware, Bot, Dispatcher, F, Router
from aiogram.dispatcher.event.bases import UNHANDLED, CancelHandler, SkipHandler
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.handlers import MessageHandler
from aiogram.types import ErrorEvent, Message, Update

from examples.channelbot.telegram_stand_in import TOKEN
from measurand import CollectorRegistry, generate_latest
from measurand.catalog.telegram import TelegramMetrics
from measurand.integrations import aiogram as aiogram_integration
from measurand.integrations.aiogram import instrument
from measurand.integrations.seams import Guarded
from measurand.testing.clock import FakeClock
from tests.integrations.telegram_kit import counted, feed, message, press, run

pytestmark = pytest.mark.once

HERE = __name__


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def dispatcher(registry: CollectorRegistry) -> Iterator[Dispatcher]:
    """One with a handler in a router three deep, instrumented."""
    dispatcher, outer, inner = Dispatcher(), Router(), Router()
    dispatcher.include_router(outer)
    outer.include_router(inner)
    inner.message.register(answer, F.text != "nobody wants this")
    with instrument(dispatcher, registry=registry):
        yield dispatcher


async def answer(message: Message) -> str:
    if message.text == "fall over":
        raise ZeroDivisionError
    if message.text == "not me":
        raise SkipHandler
    if message.text == "stop":
        raise CancelHandler
    if message.text == "cancel":
        raise asyncio.CancelledError
    return "answered"


class Around(BaseMiddleware):
    """A middleware that notes what it sees."""

    def __init__(self) -> None:
        self.seen = 0

    async def __call__(self, handler: Any, event: Any, data: dict[str, Any]) -> Any:
        self.seen += 1
        return await handler(event, data)


# -- updates -------------------------------------------------------------------------------------------------------------------


def test_an_update_is_counted_once_however_deep_its_router_is(dispatcher: Dispatcher, registry: CollectorRegistry) -> None:
    assert run(feed(dispatcher, message(), message(2), press(3))) == ["answered", "answered", UNHANDLED]
    assert counted(registry, "telegram_updates_total") == {"message handled": 2, "callback_query unhandled": 1}
    assert counted(registry, "telegram_update_duration_seconds_count") == {"message": 2, "callback_query": 1}
    assert counted(registry, "telegram_handler_duration_seconds_count") == {f"{HERE}.answer": 2}


@pytest.mark.parametrize(
    ("text", "outcome", "runs"),
    [
        ("hello", "handled", 1),
        ("nobody wants this", "unhandled", 0),
        ("not me", "unhandled", 1),
        ("stop", "unhandled", 1),
        ("fall over", "error", 1),
    ],
)
def test_the_outcome_says_what_became_of_it(
    dispatcher: Dispatcher, registry: CollectorRegistry, text: str, outcome: str, runs: int
) -> None:
    (result,) = run(feed(dispatcher, message(text=text)))
    assert isinstance(result, {"fall over": ZeroDivisionError, "stop": CancelHandler}.get(text, object))
    assert counted(registry, "telegram_updates_total") == {f"message {outcome}": 1}
    assert sum(counted(registry, "telegram_handler_duration_seconds_count").values()) == runs


def test_an_error_that_a_handler_of_errors_takes_care_of_is_one_nevertheless(dispatcher: Dispatcher, registry: CollectorRegistry) -> None:
    async def sorry(event: ErrorEvent) -> str:
        return type(event.exception).__name__

    dispatcher.errors.register(sorry)
    assert run(feed(dispatcher, message(text="fall over"), message())) == ["ZeroDivisionError", "answered"]
    assert counted(registry, "telegram_updates_total") == {"message error": 1, "message handled": 1}
    names = counted(registry, "telegram_handler_duration_seconds_count")
    assert {name.rpartition(".")[2]: runs for name, runs in names.items()} == {"answer": 2, "sorry": 1}


def test_an_update_within_an_update_does_not_mix_with_it(dispatcher: Dispatcher, registry: CollectorRegistry) -> None:
    async def again(query: Any, bot: Bot) -> None:
        await dispatcher.feed_update(bot, message())
        raise LookupError

    async def sorry(event: ErrorEvent) -> None:
        """It is nothing."""

    dispatcher.callback_query.register(again)
    dispatcher.errors.register(sorry)
    assert run(feed(dispatcher, press())) == [None]
    assert counted(registry, "telegram_updates_total") == {"message handled": 1, "callback_query error": 1}


def test_a_cancelled_update_is_counted_and_stays_cancelled(dispatcher: Dispatcher, registry: CollectorRegistry) -> None:
    with pytest.raises(asyncio.CancelledError):
        run(feed(dispatcher, message(text="cancel")))
    assert counted(registry, "telegram_updates_total") == {"message error": 1}


def test_an_update_of_an_unknown_type_is_counted_as_that(dispatcher: Dispatcher, registry: CollectorRegistry) -> None:
    with pytest.warns(RuntimeWarning, match="unknown update type"):
        assert run(feed(dispatcher, Update(update_id=1))) == [UNHANDLED]
    assert counted(registry, "telegram_updates_total") == {"unknown unhandled": 1}


def test_an_update_that_fails_before_the_handlers_is_counted(registry: CollectorRegistry) -> None:
    class Broken(MemoryStorage):
        async def get_state(self, *_: Any, **__: Any) -> str | None:
            raise ConnectionError("the storage of states is away")

    dispatcher = Dispatcher(storage=Broken())
    dispatcher.message.register(answer)
    with instrument(dispatcher, registry=registry):
        (result,) = run(feed(dispatcher, message()))
    assert isinstance(result, ConnectionError)
    assert counted(registry, "telegram_updates_total") == {"message error": 1}


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_update_that_a_middleware_throws_away_is_counted(registry: CollectorRegistry, when: str) -> None:
    async def throttle(handler: Any, event: Any, data: Any) -> None:
        return None

    dispatcher = Dispatcher()
    if when == "before":
        dispatcher.update.outer_middleware(throttle)
    with instrument(dispatcher, registry=registry):
        if when == "after":
            dispatcher.update.outer_middleware(throttle)
        assert run(feed(dispatcher, message())) == [None]
    assert counted(registry, "telegram_updates_total") == {"message handled": 1}


def test_raw_updates_and_those_of_a_webhook_are_counted_too(dispatcher: Dispatcher, registry: CollectorRegistry) -> None:
    async def body() -> None:
        bot = Bot(TOKEN)
        assert await dispatcher.feed_raw_update(bot, message().model_dump(exclude_none=True)) == "answered"
        await dispatcher.feed_webhook_update(bot, message(2).model_dump(exclude_none=True))

    run(body())
    assert counted(registry, "telegram_updates_total") == {"message handled": 2}


def test_times_are_those_of_the_clock_that_is_in_use(registry: CollectorRegistry) -> None:
    async def slow(message: Message) -> None:
        fake.advance(2)

    async def slower(handler: Any, event: Any, data: Any) -> Any:
        fake.advance(3)
        return await handler(event, data)

    dispatcher = Dispatcher()
    dispatcher.message.register(slow)
    dispatcher.message.middleware(slower)
    dispatcher.update.outer_middleware(slower)
    with FakeClock() as fake, instrument(dispatcher, registry=registry):
        run(feed(dispatcher, message()))
    assert counted(registry, "telegram_update_duration_seconds_sum") == {"message": 8}
    assert list(counted(registry, "telegram_handler_duration_seconds_sum").values()) == [5]


# -- names of handlers ---------------------------------------------------------------------------------------------------------


def decorated(function: Any) -> Any:
    @wraps(function)
    async def around(*arguments: Any, **options: Any) -> Any:
        return await function(*arguments, **options)

    return around


@decorated
async def behind_a_decorator(message: Message) -> None:
    """Its own name shows."""


class Shop:
    async def open(self, message: Message) -> None:
        """A method."""

    async def __call__(self, message: Message) -> None:
        """An object that is called."""


class Greeting(MessageHandler):
    async def handle(self) -> None:
        """A handler that is a class."""


async def with_more(message: Message, more: int) -> None:
    """Of a partial."""


def plain(message: Message) -> None:
    """Run in a thread."""


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (answer, "answer"),
        (behind_a_decorator, "behind_a_decorator"),
        (Shop().open, "Shop.open"),
        (Greeting, "Greeting"),
        (partial(with_more, more=1), "with_more"),
        (partial(partial(Shop().open)), "Shop.open"),
        (plain, "plain"),
        (lambda message: None, "<lambda>"),
    ],
)
def test_a_handler_is_called_by_its_module_and_name(registry: CollectorRegistry, handler: Any, name: str) -> None:
    dispatcher = Dispatcher()
    dispatcher.message.register(handler)
    with instrument(dispatcher, registry=registry):
        run(feed(dispatcher, message()))
    assert counted(registry, "telegram_handler_duration_seconds_count") == {f"{HERE}.{name}": 1}


def test_an_object_that_is_called_goes_by_its_class(registry: CollectorRegistry) -> None:
    class Awaited(Shop):
        def __await__(self) -> Any:  # this is how aiogram tells that its calls are to be awaited
            return iter(())

    dispatcher = Dispatcher()
    dispatcher.message.register(Awaited())
    with instrument(dispatcher, registry=registry):
        run(feed(dispatcher, message()))
    (name,) = counted(registry, "telegram_handler_duration_seconds_count")
    assert name.endswith(".Awaited")


def test_a_scene_shows_the_method_that_takes_the_update(registry: CollectorRegistry) -> None:
    scenes = pytest.importorskip("aiogram.fsm.scene", reason="this version of aiogram has no scenes")

    class Quiz(scenes.Scene, state="quiz"):
        @scenes.on.message(F.text == "42")
        async def right(self, message: Message) -> str:
            return "right"

    dispatcher = Dispatcher()
    scenes.SceneRegistry(dispatcher).add(Quiz)
    dispatcher.message.register(Quiz.as_handler(), F.text == "play")
    with instrument(dispatcher, registry=registry):
        assert run(feed(dispatcher, message(1, "play"), message(2, "42")))[1] == "right"
    names = {name.rpartition(".<locals>.")[2] for name in counted(registry, "telegram_handler_duration_seconds_count")}
    assert names == {"enter_to_scene_handler", "Quiz.right"}


def test_handlers_without_end_share_a_name(registry: CollectorRegistry) -> None:
    dispatcher = Dispatcher()

    def make(number: int) -> Any:
        async def handler(message: Message) -> None:
            """One of many."""

        handler.__qualname__ = f"handler{number}"
        return handler

    for number in range(12):
        dispatcher.message.register(make(number), F.text == str(number))
    with instrument(dispatcher, metrics=TelegramMetrics(registry, max_handlers=5)):
        run(feed(dispatcher, *(message(number, str(number)) for number in range(12))))
    found = counted(registry, "telegram_handler_duration_seconds_count")
    assert (len(found), found["__other__"]) == (6, 7)


def test_no_label_says_who_it_was(dispatcher: Dispatcher, registry: CollectorRegistry) -> None:
    run(feed(dispatcher, message(123456789, "a secret")))
    page = generate_latest(registry).decode()
    assert "telegram_updates_total" in page
    assert [word for word in ("123456789", "a secret", "Person") if word in page] == []


# -- what a failure of ours does ------------------------------------------------------------------------------------------------


def test_a_failure_of_ours_is_logged_once_and_harms_nobody(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise ValueError("broken")

    dispatcher = Dispatcher()
    dispatcher.message.register(answer)
    metrics: Any = Broken()
    monkeypatch.setattr(aiogram_integration, "guarded", Guarded("this"))  # one that has said nothing yet
    with caplog.at_level(logging.WARNING, "measurand"), instrument(dispatcher, metrics=metrics):
        assert run(feed(dispatcher, message(), message(2))) == ["answered", "answered"]
    assert [record.message for record in caplog.records if record.name.startswith("measurand")] == [
        "this: could not be recorded; said once"
    ]
