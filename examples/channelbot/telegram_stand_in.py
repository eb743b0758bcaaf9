"""A stand-in for Telegram's Bot API: a small real HTTP server on loopback, in a thread of its own, gone when its block ends.

::

    with TelegramStandIn() as telegram:
        session = AiohttpSession(api=TelegramAPIServer.from_base(telegram.url))
        bot = Bot(telegram.token, session=session)      # or any token of that shape, when the stand-in is made with token=None
        telegram.add_chat(-1001, "News", members=420)   # a channel: its id is negative; a person's is positive
        telegram.message("/start", chat=7)              # somebody writes to the bot; returns the id of the update
        telegram.channel_post("Hello", chat=-1001)
        telegram.press("delete:3", chat=7)              # a button under a message of the bot's: a callback query
        telegram.push({"poll": {...}})                  # any update; its update_id is added
        telegram.fail("sendMessage", status=429, retry_after=3)            # the next call
        telegram.fail("sendMessage", status=500, times=None, every=10)     # each tenth from now on
        telegram.fail("getUpdates", status=502, raw="<html>Bad Gateway")   # what is no JSON
        telegram.fail("getMe", status=0)                # hangs up without an answer
        telegram.calls["sendMessage", 200]              # how many of a method were answered with a code; see also counted()
        telegram.sent                                   # the latest messages of the bot's, as it is shown them
        telegram.pending                                # updates that the bot has not confirmed yet

What it knows: ``getMe``, ``getUpdates`` (long poll, ``offset``, ``limit``, ``allowed_updates``; a second poll ends the first with 409),
``setWebhook``, ``deleteWebhook``, ``getWebhookInfo``, ``sendMessage``, ``editMessageText``, ``deleteMessage``, ``forwardMessage``,
``copyMessage``, ``answerCallbackQuery``, ``sendChatAction``, ``setMyCommands``, ``getChat``, ``getChatMember``,
``getChatAdministrators``, ``getChatMemberCount``, ``leaveChat``. Others are 404, a wrong token is 401, an unknown chat 400 and one that the
bot has left 403, as with the real one. A chat that has written to the bot is known.

``python -m examples.channelbot.telegram_stand_in --port 8081`` runs it until Ctrl-C. Other programs steer it over HTTP then:
``POST /stand-in/updates`` (a list of updates, or of ``{"text": …, "chat": …}`` for messages), ``POST /stand-in/chats`` (the arguments of
``add_chat``), ``POST /stand-in/failures`` (the arguments of ``fail``), ``GET /stand-in`` (``pending``, ``calls``, ``sent``).

All methods may be called from any thread.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import sys
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

from .telegram_chats import BOT, Chats, Refusal, person

TOKEN = "4200:stand-in-of-the-bot-api"
LONGEST_POLL = 50

Update = dict[str, Any]


@dataclass
class Failure:
    """What happens to some calls of a method, on demand."""

    method: str
    status: int = 500
    times: int | None = 1
    every: int = 1
    retry_after: int | None = None
    description: str = ""
    raw: str | None = None
    seen: int = 0

    def strikes(self, method: str) -> bool:
        """Whether this call is one of them."""
        if self.method != method or self.times == 0:
            return False
        self.seen += 1
        if self.seen % self.every:
            return False
        if self.times is not None:
            self.times -= 1
        return True


class TelegramStandIn:
    """The server; see the module. It listens from the start of its ``with`` block, or from ``start()`` to ``stop()``.

    Args:
        port: Where to listen on 127.0.0.1; 0 for a free port.
        token: The only token that is accepted; ``None`` accepts any that looks like one, all of them the same bot.
        delay: Seconds that each call takes at least, except getUpdates.
    """

    def __init__(self, port: int = 0, *, token: str | None = TOKEN, delay: float = 0) -> None:
        self.token = token or TOKEN
        self.delay = delay
        self.calls: Counter[tuple[str, int]] = Counter()
        self._port = port
        self._any_token = token is None
        self._updates: deque[Update] = deque()
        self._update_id = 1000
        self._allowed: set[str] | None = None
        self._chats = Chats()
        self._guard = self._chats.guard
        self._failures: list[Failure] = []
        self._webhook = ""
        self._poll: asyncio.Future[bool] | None = None  # True wakes the one that waits for updates, False ends it with 409
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    # -- what a test or a demo does ----------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pending(self) -> int:
        """How many updates the bot has not confirmed."""
        with self._guard:
            return len(self._updates)

    @property
    def is_polled(self) -> bool:
        """Whether somebody waits for updates."""
        return self._poll is not None

    @property
    def sent(self) -> list[dict[str, Any]]:
        """The latest messages that the bot has sent."""
        with self._guard:
            return [dict(message) for message in self._chats.sent]

    def counted(self) -> dict[str, dict[int, int]]:
        """How many calls there were, by method and status; a call that was hung up on has the status 0."""
        with self._guard:
            counted: dict[str, dict[int, int]] = {}
            for (method, status), count in self.calls.items():
                counted.setdefault(method, {})[status] = count
            return counted

    def push(self, *updates: Update) -> list[int]:
        """Let the bot have updates. Each gets an ``update_id``, which it may lack; returns these."""
        with self._guard:
            for update in updates:
                self._update_id += 1
                self._updates.append({**update, "update_id": self._update_id})
            first = self._update_id - len(updates) + 1
        self._wake(True)
        return list(range(first, first + len(updates)))

    def message(self, text: str, *, chat: int = 1, sender: int | None = None) -> int:
        """Somebody writes to the bot; returns the id of the update."""
        return self.push({"message": self._chats.new_message(text, chat, **{"from": person(sender or abs(chat))})})[0]

    def channel_post(self, text: str, *, chat: int) -> int:
        """Something is posted in a channel; returns the id of the update."""
        return self.push({"channel_post": self._chats.new_message(text, chat)})[0]

    def press(self, data: str, *, chat: int = 1, sender: int | None = None) -> int:
        """Somebody presses a button under a message of the bot's; returns the id of the update."""
        under = self._chats.new_message("a menu", chat, **{"from": BOT})
        query = {"id": str(under["message_id"]), "from": person(sender or abs(chat)), "chat_instance": str(chat), "data": data}
        return self.push({"callback_query": {**query, "message": under}})[0]

    def add_chat(self, chat: int, title: str = "", *, members: int = 2, username: str = "") -> None:
        """Let there be a chat: a channel if its id is negative, else one with a person."""
        self._chats.add(chat, title, members=members, username=username)

    def fail(
        self,
        method: str,
        *,
        status: int = 500,
        times: int | None = 1,
        every: int = 1,
        retry_after: int | None = None,
        description: str = "",
        raw: str | None = None,
    ) -> None:
        """Let calls fail. Asked for twice, the first one comes first; a call fails of one reason.

        Args:
            method: Of which method.
            status: The code that is answered; 0 hangs up without an answer.
            times: How many calls fail; ``None`` for ever.
            every: Only each so many calls: 10 for each tenth.
            retry_after: Seconds, said beside a 429.
            description: What is said.
            raw: A body instead of the usual one.
        """
        with self._guard:
            self._failures.append(Failure(method, status, times, every, retry_after, description, raw))

    def heal(self) -> None:
        """Let no more calls fail."""
        with self._guard:
            self._failures.clear()

    # -- its life ----------------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="TelegramStandIn", daemon=True)
        self._thread.start()
        if not self._ready.wait(30) or self._loop is None:
            raise OSError(f"the stand-in of the Bot API cannot listen on port {self._port}")
        return self

    def stop(self) -> None:
        """Listen no longer; polls that wait are ended."""
        if self._loop is not None and self._stopping is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(10)
            self._loop = None

    __enter__ = start

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=4_000_000)
        app.router.add_route("*", "/bot{token}/{method}", self._answer)
        app.router.add_get("/stand-in", self._show)
        app.router.add_post("/stand-in/{what}", self._steer)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self._port, backlog=512)
            await site.start()
            self._port = runner.addresses[0][1]
            self._stopping = asyncio.Event()
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            await self._stopping.wait()
            self._settle(True)
        finally:
            self._ready.set()
            await runner.cleanup()

    # -- answering ---------------------------------------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        asked = await _arguments(request)
        failure = self._failing(method)
        if failure is not None and failure.status == 0:
            self._count(method, 0)
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        try:
            if failure is not None and failure.raw is not None:
                self._count(method, failure.status)
                return web.Response(status=failure.status, text=failure.raw, content_type="text/html")
            if failure is not None:
                raise Refusal(failure.status, failure.description, failure.retry_after)
            result = await self._call(request.match_info["token"], method, asked)
        except Refusal as refusal:
            self._count(method, refusal.status)
            return web.json_response(refusal.body, status=refusal.status)
        self._count(method, 200)
        return web.json_response({"ok": True, "result": result})

    async def _call(self, token: str, method: str, asked: dict[str, Any]) -> Any:
        if not (re.fullmatch(r"\d+:[\w-]+", token) if self._any_token else token == self.token):
            raise Refusal(401)
        if method == "getUpdates":
            return await self._get_updates(asked)
        if self.delay:
            await asyncio.sleep(self.delay)
        if method in ("setWebhook", "deleteWebhook"):
            self._webhook = str(asked.get("url") or "") if method == "setWebhook" else ""
            return True
        if method == "getWebhookInfo":
            return {"url": self._webhook, "has_custom_certificate": False, "pending_update_count": self.pending}
        return self._chats.call(method, asked)

    async def _get_updates(self, asked: dict[str, Any]) -> list[Update]:
        if self._webhook:
            raise Refusal(409, "Conflict: can't use getUpdates method while webhook is active")
        self._settle(False)
        deadline = time.monotonic() + min(int(asked.get("timeout") or 0), LONGEST_POLL)
        if asked.get("allowed_updates") is not None:
            self._allowed = set(asked["allowed_updates"])
        while True:
            with self._guard:
                found = self._ready_updates(int(asked.get("offset") or 0), min(int(asked.get("limit") or 100), 100))
                left = deadline - time.monotonic()
                if found or left <= 0 or self._stopping is None or self._stopping.is_set():
                    return found
                waiting = self._poll = asyncio.get_running_loop().create_future()
            try:
                if not await asyncio.wait_for(waiting, left):
                    raise Refusal(409)
            except TimeoutError:
                pass
            finally:
                if self._poll is waiting:
                    self._poll = None

    def _ready_updates(self, offset: int, limit: int) -> list[Update]:
        if offset < 0:
            offset = self._update_id + 1 + offset
        while self._updates and self._updates[0]["update_id"] < offset:
            self._updates.popleft()
        if self._allowed:
            self._updates = deque(update for update in self._updates if self._allowed & update.keys())
        return [self._updates[index] for index in range(min(limit, len(self._updates)))]

    def _wake(self, news: bool) -> None:
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._settle, news)

    def _settle(self, news: bool) -> None:
        waiting = self._poll
        if waiting is not None and not waiting.done():
            waiting.set_result(news)

    def _failing(self, method: str) -> Failure | None:
        with self._guard:
            struck = next((failure for failure in self._failures if failure.strikes(method)), None)
            self._failures = [failure for failure in self._failures if failure.times != 0]
            return struck

    def _count(self, method: str, status: int) -> None:
        with self._guard:
            self.calls[method, status] += 1

    # -- being steered from elsewhere --------------------------------------------------------------------------------------------

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response({"pending": self.pending, "calls": self.counted(), "sent": self.sent})

    async def _steer(self, request: web.Request) -> web.Response:
        try:
            said = await request.json()
            match request.match_info["what"]:
                case "updates":
                    ids = [self.message(**each) if "text" in each else self.push(each)[0] for each in said]
                    return web.json_response({"update_ids": ids})
                case "chats":
                    self.add_chat(**said)
                case "failures":
                    self.fail(**said)
                case _:
                    raise web.HTTPNotFound
        except (TypeError, ValueError) as reason:
            raise web.HTTPBadRequest(text=str(reason)) from None
        return web.json_response({})


async def _arguments(request: web.Request) -> dict[str, Any]:
    """What a method is called with: from the query, a form or JSON. Lists and numbers are JSON in a form."""
    if request.content_type == "application/json":
        return {**request.query, **await request.json()}
    asked: dict[str, Any] = {**request.query, **await request.post()}
    if isinstance(asked.get("allowed_updates"), str):
        asked["allowed_updates"] = json.loads(asked["allowed_updates"])
    return asked


def main() -> int:
    """The command. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.channelbot.telegram_stand_in", description="A stand-in for the Bot API.")
    parser.add_argument("--port", type=int, default=8081)
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    with TelegramStandIn(parser.parse_args().port, token=None) as telegram:
        print(f"The stand-in of the Bot API listens on {telegram.url}; Ctrl-C stops it.", flush=True)
        end.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
