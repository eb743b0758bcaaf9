"""aiogram: requests to the Bot API, flood waits and polling errors, against a server that answers as Telegram's does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiogram import Bot, Dispatcher
from aiogram.client.session.middlewares.base import BaseRequestMiddleware
from aiogram.exceptions import AiogramError, TelegramAPIError, TelegramNetworkError, TelegramRetryAfter
from aiogram.types import Message
from aiogram.utils.backoff import BackoffConfig

from examples.channelbot.telegram_stand_in import TelegramStandIn
from measurand import CollectorRegistry
from measurand.integrations.aiogram import instrument
from tests.integrations.telegram_kit import bot_of, counted, polling, run, until

pytestmark = pytest.mark.once

AT_ONCE = BackoffConfig(min_delay=0.001, max_delay=0.002, factor=1.1, jitter=0)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture(scope="module")
def server() -> Iterator[TelegramStandIn]:
    with TelegramStandIn() as server:
        yield server


@pytest.fixture
def telegram(server: TelegramStandIn) -> TelegramStandIn:
    """The server, with nothing in it that is left of another test."""
    server.heal()
    server.calls.clear()
    server.add_chat(-1001, "News")
    return server


def test_each_request_is_counted_by_method_and_timed(telegram: TelegramStandIn, registry: CollectorRegistry) -> None:
    async def body() -> None:
        async with bot_of(telegram) as bot:
            with instrument(bot, registry=registry):
                await asyncio.gather(*(bot.send_message(-1001, str(number)) for number in range(20)), bot.get_me())

    run(body())
    assert counted(registry, "telegram_api_requests_total") == {"sendMessage ok": 20, "getMe ok": 1}
    assert counted(registry, "telegram_api_request_duration_seconds_count") == {"sendMessage": 20, "getMe": 1}
    assert all(counted(registry, "telegram_api_request_duration_seconds_sum").values())
    assert telegram.counted() == {"sendMessage": {200: 20}, "getMe": {200: 1}}


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        ({"status": 400}, "bad_request"),
        ({"status": 401}, "unauthorized"),
        ({"status": 403}, "forbidden"),
        ({"status": 404}, "not_found"),
        ({"status": 409}, "conflict"),
        ({"status": 413}, "too_large"),
        ({"status": 418}, "error"),
        ({"status": 500}, "server_error"),
        ({"status": 502, "description": "Bad Gateway: restart"}, "server_error"),
        ({"status": 502, "raw": "<html>Bad Gateway"}, "invalid_response"),
        ({"status": 0}, "network_error"),
    ],
)
def test_the_status_says_how_a_request_ended(
    telegram: TelegramStandIn, registry: CollectorRegistry, failure: dict[str, Any], status: str
) -> None:
    telegram.fail("getMe", **failure)

    async def body() -> None:
        async with bot_of(telegram) as bot:
            with instrument(bot, registry=registry), pytest.raises(AiogramError):
                await bot.get_me()

    run(body())
    assert counted(registry, "telegram_api_requests_total") == {f"getMe {status}": 1}
    assert counted(registry, "telegram_api_request_duration_seconds_count") == {"getMe": 1}
    assert counted(registry, "telegram_flood_waits_total") == {}


def test_a_flood_wait_is_counted_with_its_seconds_and_raised_as_it_is(telegram: TelegramStandIn, registry: CollectorRegistry) -> None:
    telegram.fail("sendMessage", status=429, retry_after=35)

    async def body() -> None:
        async with bot_of(telegram) as bot:
            with instrument(bot, registry=registry):
                with pytest.raises(TelegramRetryAfter) as caught:
                    await bot.send_message(-1001, "too much")
                assert caught.value.retry_after == 35
                await bot.send_message(-1001, "just right")

    run(body())
    assert counted(registry, "telegram_api_requests_total") == {"sendMessage rate_limited": 1, "sendMessage ok": 1}
    assert counted(registry, "telegram_flood_waits_total") == {"": 1}
    assert counted(registry, "telegram_retry_after_seconds_sum") == {"": 35}


def test_a_request_that_takes_too_long_is_a_timeout_and_one_given_up_is_cancelled(registry: CollectorRegistry) -> None:
    async def body(telegram: TelegramStandIn) -> None:
        async with bot_of(telegram) as bot:
            with instrument(bot, registry=registry):
                with pytest.raises(TelegramNetworkError):
                    await bot.get_updates(timeout=30, request_timeout=1)
                await until(lambda: not telegram.is_polled)
                waiting = asyncio.create_task(bot.get_updates(timeout=30))
                await until(lambda: telegram.is_polled)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting

    with TelegramStandIn() as telegram:
        run(body(telegram))
    assert counted(registry, "telegram_api_requests_total") == {"getUpdates timeout": 1, "getUpdates cancelled": 1}
    assert counted(registry, "telegram_polling_errors_total") == {"timeout": 1}


class TryAgain(BaseRequestMiddleware):
    """What many bots have: a middleware that sends again after a flood wait."""

    async def __call__(self, make_request: Any, bot: Bot, method: Any) -> Any:
        while True:
            try:
                return await make_request(bot, method)
            except TelegramRetryAfter:
                await asyncio.sleep(0)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_middleware_that_sends_again_makes_as_many_requests_as_it_sends(
    telegram: TelegramStandIn, registry: CollectorRegistry, when: str
) -> None:
    telegram.fail("sendMessage", status=429, retry_after=1, times=3)

    async def body() -> None:
        async with bot_of(telegram) as bot:
            if when == "before":
                bot.session.middleware(TryAgain())
            with instrument(bot, registry=registry):
                if when == "after":
                    bot.session.middleware(TryAgain())
                await bot.send_message(-1001, "at last")

    run(body())
    assert telegram.counted() == {"sendMessage": {429: 3, 200: 1}}
    assert counted(registry, "telegram_api_requests_total") == {"sendMessage rate_limited": 3, "sendMessage ok": 1}
    assert counted(registry, "telegram_flood_waits_total") == {"": 3}


def test_two_bots_that_share_a_session_are_counted_once_each(telegram: TelegramStandIn, registry: CollectorRegistry) -> None:
    async def body() -> None:
        async with bot_of(telegram) as bot:
            other = Bot(telegram.token, session=bot.session)
            with instrument(bot, other, bot.session, registry=registry) as handle:
                assert handle.about.endswith("the session of a bot")
                await bot.get_me()
                await other.get_me()

    run(body())
    assert counted(registry, "telegram_api_requests_total") == {"getMe ok": 2}


def test_polls_are_counted_and_not_timed_and_those_that_fail_are_polling_errors(registry: CollectorRegistry) -> None:
    async def answer(message: Message) -> str:
        taken.append(message.text)
        return "taken"

    async def body(telegram: TelegramStandIn) -> None:
        dispatcher = Dispatcher()
        dispatcher.message.register(answer)
        telegram.fail("getUpdates", status=502, times=2)
        telegram.fail("getUpdates", status=0)
        async with bot_of(telegram) as bot:
            with instrument(dispatcher, bot, registry=registry):
                async with polling(dispatcher, bot, backoff_config=AT_ONCE):
                    telegram.message("one")
                    await until(lambda: taken == ["one"])
                    await until(lambda: telegram.pending == 0 and telegram.is_polled)
        polls = counted(registry, "telegram_api_requests_total")
        assert {name: polls[name] for name in polls if not name.endswith(("ok", "cancelled"))} == {
            "getUpdates server_error": 2,
            "getUpdates network_error": 1,
        }
        assert polls["getUpdates ok"] >= 1
        assert polls["getMe ok"] == 1

    taken: list[Any] = []
    with TelegramStandIn() as telegram:
        run(body(telegram))
    assert counted(registry, "telegram_polling_errors_total") == {"server_error": 2, "network_error": 1}
    assert counted(registry, "telegram_api_request_duration_seconds_count") == {"getMe": 1}
    assert counted(registry, "telegram_updates_total") == {"message handled": 1}


def test_a_method_that_a_handler_returns_is_a_request(telegram: TelegramStandIn, registry: CollectorRegistry) -> None:
    async def reply(message: Message) -> Any:
        return message.answer("this is sent by the dispatcher")

    async def body() -> None:
        dispatcher = Dispatcher()
        dispatcher.message.register(reply)
        async with bot_of(telegram) as bot:
            with instrument(dispatcher, bot, registry=registry):
                async with polling(dispatcher, bot):
                    telegram.message("hello", chat=9)
                    # not when it was sent: at the end of the polling a bot gives up what has no answer yet
                    await until(lambda: "sendMessage ok" in counted(registry, "telegram_api_requests_total"))

    run(body())
    assert telegram.calls["sendMessage", 200] == 1
    assert counted(registry, "telegram_api_requests_total")["sendMessage ok"] == 1


def test_what_fails_is_raised_untouched(telegram: TelegramStandIn, registry: CollectorRegistry) -> None:
    telegram.fail("getMe", status=418, description="short and stout")

    async def body() -> None:
        async with bot_of(telegram) as bot:
            with instrument(bot, registry=registry), pytest.raises(TelegramAPIError, match="short and stout") as caught:
                await bot.get_me()
            assert caught.value.__context__ is None
            assert caught.value.method.__api_method__ == "getMe"

    run(body())
