"""The stand-in of the Bot API, as aiogram sees it, and as another program steers it."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramAPIError,
    TelegramBadRequest,
    TelegramConflictError,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)

from examples.channelbot.telegram_stand_in import TelegramStandIn
from tests.support import wait_until

pytestmark = pytest.mark.once

CHANNEL = -1001


@pytest.fixture
def telegram() -> Iterator[TelegramStandIn]:
    with TelegramStandIn() as telegram:
        telegram.add_chat(CHANNEL, "News", members=420, username="news")
        yield telegram


@asynccontextmanager
async def talking(telegram: TelegramStandIn, token: str = "") -> AsyncIterator[Bot]:
    async with Bot(token or telegram.token, session=AiohttpSession(api=TelegramAPIServer.from_base(telegram.url))) as bot:
        yield bot


def run(telegram: TelegramStandIn, body: Callable[[Bot], Coroutine[Any, Any, Any]], token: str = "") -> Any:
    async def whole() -> Any:
        async with talking(telegram, token) as bot:
            return await asyncio.wait_for(body(bot), 30)

    return asyncio.run(whole())


def test_a_bot_sends_edits_and_deletes(telegram: TelegramStandIn) -> None:
    async def body(bot: Bot) -> None:
        assert (await bot.get_me()).username == "channel_stand_in_bot"
        message = await bot.send_message(CHANNEL, "Hello")
        assert (message.text, message.chat.title) == ("Hello", "News")
        assert await bot.edit_message_text("Hello, all", chat_id="@news", message_id=message.message_id)
        with pytest.raises(TelegramBadRequest, match="not modified"):
            await bot.edit_message_text("Hello, all", chat_id=CHANNEL, message_id=message.message_id)
        assert (await bot.forward_message(CHANNEL, CHANNEL, message.message_id)).text == "Hello, all"
        assert (await bot.copy_message(CHANNEL, CHANNEL, message.message_id)).message_id == message.message_id + 2
        assert await bot.delete_message(CHANNEL, message.message_id)
        with pytest.raises(TelegramBadRequest, match="message not found"):
            await bot.delete_message(CHANNEL, message.message_id)

    run(telegram, body)
    assert [message["text"] for message in telegram.sent] == ["Hello, all"] * 3
    assert telegram.counted()["sendMessage"] == {200: 1}
    assert telegram.counted()["deleteMessage"] == {200: 1, 400: 1}


def test_it_knows_chats_and_their_members(telegram: TelegramStandIn) -> None:
    async def body(bot: Bot) -> None:
        assert (await bot.get_chat(CHANNEL)).title == "News"
        assert await bot.get_chat_member_count(CHANNEL) == 420
        assert (await bot.get_chat_member(CHANNEL, 7)).user.id == 7
        assert len(await bot.get_chat_administrators(CHANNEL)) == 1
        with pytest.raises(TelegramBadRequest, match="chat not found"):
            await bot.send_message(-5, "anybody?")
        assert await bot.leave_chat(CHANNEL)
        with pytest.raises(TelegramForbiddenError):
            await bot.get_chat(CHANNEL)

    run(telegram, body)


def test_updates_come_until_they_are_confirmed(telegram: TelegramStandIn) -> None:
    first = telegram.message("one", chat=7)
    telegram.channel_post("two", chat=CHANNEL)
    last = telegram.press("three", chat=7)
    assert last == first + 2

    async def body(bot: Bot) -> None:
        for _ in range(2):
            updates = await bot.get_updates()
            assert [update.event_type for update in updates] == ["message", "channel_post", "callback_query"]
        assert (updates[0].message.text, updates[1].channel_post.chat.title, updates[2].callback_query.data) == ("one", "News", "three")
        assert [update.update_id for update in await bot.get_updates(offset=first + 1, limit=1)] == [first + 1]
        assert telegram.pending == 2
        assert await bot.get_updates(offset=last + 1) == []
        assert telegram.pending == 0
        assert await bot.send_message(7, "you wrote, so I know you")

    run(telegram, body)


def test_a_poll_waits_for_an_update_and_a_second_poll_ends_it(telegram: TelegramStandIn) -> None:
    async def body(bot: Bot) -> None:
        async with talking(telegram) as other:
            polling = asyncio.create_task(bot.get_updates(timeout=25))
            await asyncio.to_thread(wait_until, lambda: telegram.is_polled, 30)
            taking_over = asyncio.create_task(other.get_updates(timeout=25))
            with pytest.raises(TelegramConflictError):
                await polling
            telegram.message("at last")
            assert [update.message.text for update in await taking_over] == ["at last"]

    run(telegram, body)


def test_only_the_kinds_that_are_asked_for_come(telegram: TelegramStandIn) -> None:
    telegram.message("one")
    telegram.channel_post("two", chat=CHANNEL)

    async def body(bot: Bot) -> None:
        assert [update.event_type for update in await bot.get_updates(allowed_updates=["channel_post"])] == ["channel_post"]

    run(telegram, body)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ({"status": 429, "retry_after": 3}, TelegramRetryAfter),
        ({"status": 500}, TelegramServerError),
        ({"status": 502, "raw": "<html>Bad Gateway"}, ClientDecodeError),
        ({"status": 403, "description": "Forbidden: bot was kicked"}, TelegramForbiddenError),
        ({"status": 418}, TelegramAPIError),
        ({"status": 0}, TelegramNetworkError),
    ],
)
def test_calls_fail_on_demand(telegram: TelegramStandIn, failure: dict[str, Any], kind: type[Exception]) -> None:
    telegram.fail("getMe", **failure)

    async def body(bot: Bot) -> None:
        with pytest.raises(kind) as caught:
            await bot.get_me()
        assert type(caught.value) is kind
        assert await bot.get_me()

    run(telegram, body)
    assert telegram.counted()["getMe"] == {failure["status"]: 1, 200: 1}


def test_each_third_call_fails_until_it_is_healed(telegram: TelegramStandIn) -> None:
    telegram.fail("getMe", times=None, every=3)

    async def body(bot: Bot) -> None:
        answers = await asyncio.gather(*(bot.get_me() for _ in range(9)), return_exceptions=True)
        assert sum(isinstance(answer, TelegramServerError) for answer in answers) == 3
        telegram.heal()
        await asyncio.gather(*(bot.get_me() for _ in range(3)))

    run(telegram, body)
    assert telegram.calls == {("getMe", 200): 9, ("getMe", 500): 3}


def test_a_wrong_token_and_an_unknown_method_are_refused(telegram: TelegramStandIn) -> None:
    async def body(bot: Bot) -> None:
        with pytest.raises(TelegramUnauthorizedError):
            await bot.get_me()

    run(telegram, body, "1:nobody")

    async def unknown(bot: Bot) -> None:
        with pytest.raises(TelegramNotFound):
            await bot.get_my_star_balance()

    run(telegram, unknown)


def test_another_program_steers_it() -> None:
    def ask(path: str, said: Any = None) -> Any:
        body = None if said is None else json.dumps(said).encode()
        with urllib.request.urlopen(urllib.request.Request(telegram.url + path, body), timeout=30) as answer:
            return json.load(answer)

    with TelegramStandIn(token=None) as telegram:
        ask("/stand-in/chats", {"chat": CHANNEL, "title": "News", "members": 9})
        ask("/stand-in/failures", {"method": "getMe", "status": 500})
        (number,) = ask("/stand-in/updates", [{"text": "hello", "chat": 5}])["update_ids"]

        async def body(bot: Bot) -> None:
            assert [update.update_id for update in await bot.get_updates()] == [number]
            assert await bot.get_chat_member_count(CHANNEL) == 9
            with pytest.raises(TelegramServerError):
                await bot.get_me()

        run(telegram, body, "77:anybody")
        assert ask("/stand-in")["calls"] == {"getUpdates": {"200": 1}, "getChatMemberCount": {"200": 1}, "getMe": {"500": 1}}


def test_it_ends_at_once_although_somebody_polls(telegram: TelegramStandIn) -> None:
    async def body(bot: Bot) -> None:
        polling = asyncio.create_task(bot.get_updates(timeout=50))
        await asyncio.to_thread(wait_until, lambda: telegram.is_polled, 30)
        await asyncio.to_thread(telegram.stop)
        with pytest.raises(TelegramNetworkError):
            await bot.get_me()
        await asyncio.wait({polling})
        assert polling.exception() is None or isinstance(polling.exception(), TelegramNetworkError)

    run(telegram, body)
