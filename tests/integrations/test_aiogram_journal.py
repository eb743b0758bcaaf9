"""aiogram under traffic: what was recorded beside a journal of what happened. Every update once, every request once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from aiogram import Bot, Dispatcher, F, Router
from aiogram.client.session.middlewares.base import BaseRequestMiddleware
from aiogram.dispatcher.event.bases import SkipHandler
from aiogram.exceptions import TelegramRetryAfter
from aiogram.types import CallbackQuery, ErrorEvent, Message
from aiogram.utils.backoff import BackoffConfig
from hypothesis import given, settings
from hypothesis import strategies as some

from examples.channelbot.telegram_stand_in import TelegramStandIn
from measurand import CollectorRegistry
from measurand.integrations.aiogram import instrument
from tests.integrations.telegram_kit import bot_of, counted, feed, message, polling, press, run, until
from tests.support import SCALE

pytestmark = pytest.mark.once

UPDATES = 10_000 if SCALE >= 120 else min(int(400 * SCALE), 10_000)
"""How many updates the bot is sent."""

AT_ONCE = BackoffConfig(min_delay=0.001, max_delay=0.002, factor=1.1, jitter=0)
CHANNEL = -1001


class Journal:
    """What really happened, noted by the handlers themselves."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self.done = 0

    def run(self, handler: Callable[..., Any]) -> None:
        self.runs[f"{handler.__module__}.{handler.__qualname__}"] += 1


def routers(journal: Journal) -> Dispatcher:
    """A dispatcher with routers three deep, each level with handlers and middlewares of its own."""

    async def through(handler: Any, event: Any, data: Any) -> Any:
        return await handler(event, data)

    async def greet(message: Message) -> None:
        journal.run(greet)
        await message.answer("hello")

    async def tell(message: Message, bot: Bot) -> None:
        journal.run(tell)
        sent = await bot.send_message(CHANNEL, message.text or "")
        await bot.edit_message_text("edited", chat_id=CHANNEL, message_id=sent.message_id)

    async def fail(message: Message) -> None:
        journal.run(fail)
        raise LookupError("on purpose")

    async def refuse(message: Message) -> None:
        journal.run(refuse)
        raise ZeroDivisionError("nobody catches this one")

    async def pass_on(message: Message) -> None:
        journal.run(pass_on)
        raise SkipHandler

    async def take_what_is_passed_on(message: Message) -> None:
        journal.run(take_what_is_passed_on)

    async def pressed(query: CallbackQuery) -> None:
        journal.run(pressed)
        await query.answer()

    async def sorry(event: ErrorEvent) -> None:
        journal.run(sorry)

    async def note_the_end(handler: Any, event: Any, data: Any) -> Any:
        try:
            return await handler(event, data)
        finally:
            journal.done += 1

    dispatcher, first, second, third = Dispatcher(), Router(), Router(), Router()
    dispatcher.include_router(first)
    first.include_router(second)
    second.include_router(third)
    for router in (dispatcher, first, second, third):
        router.message.middleware(through)
        router.message.outer_middleware(through)
    dispatcher.update.outer_middleware(note_the_end)
    dispatcher.message.register(pass_on, F.text == "pass")
    first.message.register(greet, F.text == "greet")
    second.message.register(tell, F.text.startswith("tell"))
    second.callback_query.register(pressed, F.data == "press")
    third.message.register(fail, F.text == "fail")
    third.message.register(refuse, F.text == "refuse")
    third.message.register(take_what_is_passed_on, F.text == "pass")
    dispatcher.errors.register(sorry, lambda event: isinstance(event.exception, LookupError))
    return dispatcher


TEXTS = ("greet", "tell", "fail", "refuse", "pass", "nobody")


class TryAgain(BaseRequestMiddleware):
    """Sends again after a flood wait, which is not waited for."""

    async def __call__(self, make_request: Any, bot: Bot, method: Any) -> Any:
        while True:
            try:
                return await make_request(bot, method)
            except TelegramRetryAfter:
                await asyncio.sleep(0)


def test_every_update_and_every_request_is_recorded_once() -> None:
    registry, journal = CollectorRegistry(), Journal()
    expected: Counter[str] = Counter()
    outcomes = {"fail": "error", "refuse": "error", "nobody": "unhandled"}

    async def body(telegram: TelegramStandIn) -> None:
        for number in range(UPDATES):
            if number % 7 == 6:
                telegram.press("press", chat=number % 50 + 1)
                expected["callback_query handled"] += 1
            elif number % 11 == 10:
                telegram.channel_post("not for this bot", chat=CHANNEL)
                expected["channel_post unhandled"] += 1
            else:
                text = TEXTS[number % 6]
                telegram.message(f"tell {number}" if text == "tell" else text, chat=number % 50 + 1)
                expected[f"message {outcomes.get(text, 'handled')}"] += 1
        telegram.fail("sendMessage", status=429, retry_after=3, times=None, every=10)
        telegram.fail("editMessageText", status=500, times=None, every=25)
        telegram.fail("answerCallbackQuery", status=429, retry_after=7, times=None, every=20)
        telegram.fail("getUpdates", status=502, times=None, every=5)
        telegram.fail("getUpdates", status=0, times=2)
        async with bot_of(telegram) as bot:
            bot.session.middleware(TryAgain())
            async with polling(
                dispatcher,
                bot,
                backoff_config=AT_ONCE,
                tasks_concurrency_limit=20,
                polling_timeout=1,
                allowed_updates=["message", "callback_query", "channel_post"],
            ):
                await until(lambda: journal.done == UPDATES and telegram.pending == 0, 60 + UPDATES / 10)

    with TelegramStandIn() as telegram, instrument(registry=registry):
        telegram.add_chat(CHANNEL, "News")
        dispatcher = routers(journal)
        instrument(dispatcher, registry=registry)  # by itself as well
        run(body(telegram))
        server = telegram.counted()

    edits_refused = server["editMessageText"].get(500, 0)
    expected["message handled"] -= edits_refused
    expected["message error"] += edits_refused
    assert counted(registry, "telegram_updates_total") == +expected
    assert sum(counted(registry, "telegram_update_duration_seconds_count").values()) == UPDATES
    assert counted(registry, "telegram_handler_duration_seconds_count") == journal.runs

    words = {0: "network_error", 200: "ok", 429: "rate_limited", 500: "server_error", 502: "server_error"}
    calls = {f"{method} {words[status]}": count for method, of in server.items() for status, count in of.items()}
    found = counted(registry, "telegram_api_requests_total")
    cancelled = found.pop("getUpdates cancelled", 0)  # the poll that the end interrupted, which the server may have answered
    assert cancelled <= 1
    assert calls["getUpdates ok"] - found["getUpdates ok"] in {0, cancelled}
    assert found | {"getUpdates ok": 0} == calls | {"getUpdates ok": 0}
    timed = {method: sum(of.values()) for method, of in server.items() if method != "getUpdates"}
    assert counted(registry, "telegram_api_request_duration_seconds_count") == timed
    flooded = {method: of.get(429, 0) for method, of in server.items()}
    assert counted(registry, "telegram_flood_waits_total") == {"": sum(flooded.values())}
    assert counted(registry, "telegram_retry_after_seconds_sum") == {"": 3 * flooded["sendMessage"] + 7 * flooded["answerCallbackQuery"]}
    assert counted(registry, "telegram_polling_errors_total") == {"server_error": server["getUpdates"][502], "network_error": 2}


class Tree:
    """Routers as a property test draws them: which of them takes what, and how it ends."""

    def __init__(self, shape: list[tuple[int, str, str]]) -> None:
        self.runs: Counter[str] = Counter()
        self.dispatcher = Dispatcher()
        levels: list[Router] = [self.dispatcher]
        for place, (parent, text, behaviour) in enumerate(shape):
            router = Router()
            levels[parent % len(levels)].include_router(router)
            levels.append(router)
            router.message.register(self._handler(place, behaviour), F.text == text)

    def _handler(self, place: int, behaviour: str) -> Any:
        async def handler(message: Message) -> None:
            self.runs[f"place.{place}"] += 1
            if behaviour == "skip":
                raise SkipHandler
            if behaviour == "raise":
                raise LookupError

        handler.__module__, handler.__qualname__ = "place", str(place)
        return handler


SHAPES = some.lists(
    some.tuples(some.integers(0, 5), some.sampled_from("abc"), some.sampled_from(["answer", "skip", "raise"])), min_size=1, max_size=6
)


@settings(max_examples=max(int(15 * min(SCALE, 20)), 1))
@given(SHAPES, some.lists(some.sampled_from("abcd"), max_size=6))
def test_whatever_the_routers_are_each_update_and_each_run_is_recorded_once(shape: list[tuple[int, str, str]], texts: list[str]) -> None:
    registry, tree = CollectorRegistry(), Tree(shape)
    updates = [message(number, text) for number, text in enumerate(texts, 1)] + [press(99)]
    with instrument(registry=registry), instrument(tree.dispatcher, registry=registry):
        results = run(feed(tree.dispatcher, *updates))
    found = counted(registry, "telegram_updates_total")
    assert sum(found.values()) == len(updates)
    assert found.get("message error", 0) == sum(isinstance(result, LookupError) for result in results)
    assert found.get("message handled", 0) == sum(result is None for result in results)
    assert counted(registry, "telegram_handler_duration_seconds_count") == tree.runs
