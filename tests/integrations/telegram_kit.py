"""What the suites about bots share: a stand-in of the Bot API, a bot that talks to it, and what was recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.types import Update

from examples.channelbot.telegram_stand_in import TOKEN, TelegramStandIn
from measurand import CollectorRegistry
from measurand.testing.readings import Readings
from tests.support import wait_until

SECONDS = 60
"""How long a test waits for what has to happen."""


def counted(registry: CollectorRegistry, name: str) -> dict[str, float]:
    """The values of a metric that are not zero, by the values of its labels, with a space between them."""
    return {" ".join(sample.labels.values()): sample.value for sample in Readings(registry).samples(name) if sample.value}


def make_bot(telegram: TelegramStandIn) -> Bot:
    """A bot of the stand-in's, with a session of its own. Within a running loop."""
    return Bot(telegram.token, session=AiohttpSession(api=TelegramAPIServer.from_base(telegram.url)))


@asynccontextmanager
async def bot_of(telegram: TelegramStandIn) -> AsyncIterator[Bot]:
    """The same, closed at the end."""
    bot = make_bot(telegram)
    try:
        yield bot
    finally:
        await bot.session.close()


def run(body: Coroutine[Any, Any, Any]) -> Any:
    """Run it to its end."""
    return asyncio.run(body)


async def until(condition: Callable[[], Any], seconds: float = SECONDS) -> None:
    """Wait, while the loop goes on."""
    await asyncio.to_thread(wait_until, condition, seconds)


@asynccontextmanager
async def polling(dispatcher: Dispatcher, bot: Bot, **options: Any) -> AsyncIterator[None]:
    """Let a dispatcher poll while the block runs."""
    options = {"handle_signals": False, "close_bot_session": False, "polling_timeout": 20, **options}
    task = asyncio.create_task(dispatcher.start_polling(bot, **options))
    try:
        yield
    finally:
        if not task.done():
            with suppress(RuntimeError):  # not started yet
                await dispatcher.stop_polling()
        await task


def message(number: int = 1, text: str = "hello") -> Update:
    """An update with a message."""
    chat = {"id": 7, "type": "private", "first_name": "Person 7"}
    sender = {"id": 7, "is_bot": False, "first_name": "Person 7"}
    content = {"message_id": number, "date": 1_700_000_000, "chat": chat, "from": sender, "text": text}
    return Update.model_validate({"update_id": number, "message": content})


def press(number: int = 1, data: str = "go") -> Update:
    """An update with a pressed button."""
    sender = {"id": 7, "is_bot": False, "first_name": "Person 7"}
    return Update.model_validate({"update_id": number, "callback_query": {"id": "1", "from": sender, "chat_instance": "7", "data": data}})


async def feed(dispatcher: Dispatcher, *updates: Update) -> list[Any]:
    """Feed updates to a dispatcher, of a bot that makes no requests; what came of each, or what it raised."""
    bot = Bot(TOKEN)
    return [await _result(dispatcher.feed_update(bot, update)) for update in updates]


async def _result(awaited: Awaitable[Any]) -> Any:
    try:
        return await awaited
    except Exception as reason:
        return reason
