"""The bot that people talk to: its commands, and its life beside the server.

``/start``, ``/add CHANNEL``, ``/channels``, ``/post NUMBER SECONDS TEXT``, ``/stats``; a button under a planned post takes it back. What is
done for people is done in worker threads, so that no update waits for the database of another.
"""

from __future__ import annotations

import asyncio
import logging

from aiogram import Bot, Dispatcher, F, Router
from aiogram.exceptions import AiogramError
from aiogram.filters import Command, CommandObject, CommandStart
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message

from .errors import ChannelBotError
from .posts import Posts

LOG = logging.getLogger(__name__)

LONG_POLL = 5
"""Seconds that Telegram may wait for news before it answers; a stop takes no longer."""

HELP = "/add CHANNEL, /channels, /post NUMBER SECONDS TEXT, /stats"


def make_dispatcher(posts: Posts) -> Dispatcher:
    """What answers people.

    Args:
        posts: Does what they ask for; aiogram hands it to each handler.
    """
    people = Router(name="people")
    for handler, command in ((start, CommandStart()), (add, Command("add")), (channels, Command("channels")), (post, Command("post"))):
        people.message.register(handler, command)
    people.message.register(stats, Command("stats"))
    people.callback_query.register(take_back, F.data.startswith("cancel:"))
    dispatcher = Dispatcher(posts=posts)
    dispatcher.include_router(people)
    return dispatcher


async def start(message: Message, posts: Posts) -> None:
    """``/start``."""
    person = message.from_user
    is_new = person is not None and await asyncio.to_thread(posts.meet, person.id, person.full_name)
    await message.answer(f"{'Welcome' if is_new else 'Hello again'}. {HELP}")


async def add(message: Message, command: CommandObject, bot: Bot, posts: Posts) -> None:
    """``/add``."""
    named = (command.args or "").strip()
    try:
        chat = await bot.get_chat(named)
        members = await bot.get_chat_member_count(chat.id)
    except AiogramError:
        await message.answer("I cannot see such a channel; make me its administrator first.")
        return
    if chat.type != "channel":
        await message.answer("This is no channel.")
        return
    channel = await asyncio.to_thread(posts.add_channel, chat.id, chat.title or named, members)
    await message.answer(f"{channel['title']} has the number {channel['id']} here.")


async def channels(message: Message, posts: Posts) -> None:
    """``/channels``."""
    known = await asyncio.to_thread(posts.channels)
    await message.answer("\n".join(f"{channel['id']} {channel['title']}" for channel in known) or "There are none.")


async def post(message: Message, command: CommandObject, posts: Posts) -> None:
    """``/post``."""
    try:
        number, seconds, text = (command.args or "").split(maxsplit=2)
        planned = await asyncio.to_thread(posts.schedule, int(number), text, max(float(seconds), 0.0))
    except ValueError:
        await message.answer(f"That is not how it is written. {HELP}")
    except ChannelBotError as reason:
        await message.answer(str(reason))
    else:
        button = InlineKeyboardButton(text="Take it back", callback_data=f"cancel:{planned['id']}")
        await message.answer(f"Planned as {planned['id']}.", reply_markup=InlineKeyboardMarkup(inline_keyboard=[[button]]))


async def stats(message: Message, posts: Posts) -> None:
    """``/stats``."""
    summary = await asyncio.to_thread(posts.summary)
    await message.answer("\n".join(f"{name}: {count}" for name, count in summary.items()))


async def take_back(query: CallbackQuery, posts: Posts) -> None:
    """The button under a planned post."""
    number = (query.data or "").partition(":")[2]
    try:
        await asyncio.to_thread(posts.cancel, int(number))
    except (ChannelBotError, ValueError) as reason:
        await query.answer(str(reason)[:200])
    else:
        await query.answer(f"{number} is taken back.")


class Polling:
    """The bot asks Telegram for news from :meth:`start` to :meth:`stop`, in the event loop of the server.

    Args:
        bot: The client.
        dispatcher: Gets the news.
    """

    def __init__(self, bot: Bot, dispatcher: Dispatcher) -> None:
        self._bot = bot
        self._dispatcher = dispatcher
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Finish what was begun, and end. Does nothing when called again."""
        task, self._task = self._task, None
        if task is None:
            return
        if not task.done():
            try:
                await self._dispatcher.stop_polling()
            except RuntimeError:  # it has not got so far yet
                task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._bot.session.close()

    async def _run(self) -> None:
        while True:
            try:
                await self._dispatcher.start_polling(
                    self._bot,
                    polling_timeout=LONG_POLL,
                    handle_signals=False,
                    close_bot_session=False,
                    allowed_updates=self._dispatcher.resolve_used_update_types(),
                )
            except AiogramError as reason:  # already when it asked who it is
                LOG.warning("the bot does not get through to Telegram: %s", type(reason).__name__)
                await asyncio.sleep(1)
            else:
                return
