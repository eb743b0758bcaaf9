"""Telegram, for those who publish: an adapter of the port ``Publisher`` to the Bot API, through aiogram."""

from __future__ import annotations

import asyncio

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import AiogramError, TelegramBadRequest, TelegramForbiddenError, TelegramNotFound, TelegramRetryAfter

from .errors import RefusedError, UnreachableError

TIMEOUT = 10


def make_bot(token: str, api: str) -> Bot:
    """A client of the Bot API. It belongs to the event loop that first uses it.

    Args:
        token: The bot's token.
        api: Where the Bot API server is.
    """
    return Bot(token, session=AiohttpSession(api=TelegramAPIServer.from_base(api), timeout=TIMEOUT))


class Telegram:
    """Publishes from any thread that runs no event loop; see ``make_bot`` for the arguments."""

    def __init__(self, token: str, api: str) -> None:
        self._where = token, api

    def publish(self, chat: int, text: str) -> int:
        """See ``ports.Publisher``."""
        try:
            return asyncio.run(self._publish(chat, text))
        except TelegramRetryAfter as reason:
            raise UnreachableError("Telegram asks for a pause", reason.retry_after) from reason
        except (TelegramBadRequest, TelegramForbiddenError, TelegramNotFound) as reason:
            raise RefusedError(f"Telegram refuses: {reason.message}") from reason
        except (AiogramError, TimeoutError) as reason:  # also what is no answer of Telegram's, but of a proxy before it
            raise UnreachableError("Telegram does not answer") from reason

    async def _publish(self, chat: int, text: str) -> int:
        bot = make_bot(*self._where)  # of its own, since it belongs to this call's event loop
        try:
            return (await bot.send_message(chat, text)).message_id
        finally:
            await bot.session.close()
