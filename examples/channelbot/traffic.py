"""A busy audience: people talk to the bot, programs use the API, at a bounded rate and with honest mistakes.

``python -m examples.channelbot.traffic --api URL --telegram URL``, where Telegram is the stand-in: people reach the bot through it. The
same seed on an empty database gives the same day.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from ..inventory.signals import stop_on_signals

CHANNELS = {"news": "News", "weather": "Weather", "recipes": "Recipes"}
PEOPLE = range(11, 31)
TEXTS = ("Rain at noon", "Soup for six", "The bridge is open again", "A storm from the west", "Bread without kneading")
EXPECTED = {200, 201, 202, 204, 404, 409, 422}
LOST_AFTER = 10  # failed requests in a row


class UnreachableError(Exception):
    """The service does not answer, or no longer."""


class Traffic:
    """All the people and programs. ``answers`` counts the API's answers by status, ``said`` what people have said and pressed.

    Args:
        api: Where the API is.
        telegram: Where the stand-in of the Bot API is.
        rate: Doings a second, at most; after a stall nothing is made up for.
        seed: Chooses the day.
    """

    def __init__(self, api: str, telegram: str, *, rate: float = 20, seed: int = 1) -> None:
        if not rate > 0:
            raise ValueError("the rate must be above 0 a second")
        self.answers: Counter[int] = Counter()
        self.said = 0
        self._api, self._telegram = _Connection(api), _Connection(telegram)
        self._pause = 1 / rate
        self._chance = random.Random(seed)
        self._posts: list[int] = []
        self._channels: list[int] = []
        self._lost = 0
        self._habits: dict[Callable[[], None], int] = {
            self._greet: 4,
            self._ask: 6,
            self._plan_by_bot: 6,
            self._mistype: 2,
            self._take_back_by_bot: 1,
            self._plan: 6,
            self._look: 8,
            self._take_back: 2,
            self._blunder: 2,
            self._refresh_views: 1,
        }

    def run(self, *, duration: float | None = None, stop: threading.Event | None = None) -> None:
        """Go on until ``stop`` is set or ``duration`` seconds are over; once.

        Raises:
            UnreachableError: The service never answered, or stopped answering.
        """
        stop = stop or threading.Event()
        end = None if duration is None else time.monotonic() + duration
        self.found_channels()
        while not stop.wait(self._pause) and (end is None or time.monotonic() < end):
            self._chance.choices(list(self._habits), list(self._habits.values()))[0]()

    def found_channels(self) -> None:
        """Let there be channels, and somebody who tells the bot of them."""
        for number, (username, title) in enumerate(CHANNELS.items(), 1):
            self._telegram.ask("POST", "/stand-in/chats", {"chat": -1000 - number, "title": title, "members": 90, "username": username})
            self._say(f"/add @{username}")

    # -- people ------------------------------------------------------------------------------------------------------------------

    def _greet(self) -> None:
        self._say("/start")

    def _ask(self) -> None:
        self._say(self._chance.choice(("/stats", "/channels")))

    def _plan_by_bot(self) -> None:
        self._say(f"/post {self._chance.randint(1, len(CHANNELS))} {self._chance.choice((0, 1, 3, 600))} {self._chance.choice(TEXTS)}")

    def _mistype(self) -> None:
        self._say(self._chance.choice(("/post soon", "/add @nowhere", "/post 99 0 Hello", "good morning")))

    def _take_back_by_bot(self) -> None:
        if self._posts:
            person = {"id": self._chance.choice(PEOPLE), "is_bot": False, "first_name": "Person"}
            query = {"id": str(self.said), "from": person, "chat_instance": "1", "data": f"cancel:{self._chance.choice(self._posts)}"}
            self._send({"callback_query": query})

    def _say(self, text: str) -> None:
        self._send({"text": text, "chat": self._chance.choice(PEOPLE)})

    def _send(self, update: dict[str, Any]) -> None:
        self._telegram.ask("POST", "/stand-in/updates", [update])
        self.said += 1

    # -- programs ----------------------------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        self._channels = self._channels or [channel["id"] for channel in self._call("GET", "/api/channels") or []]
        if self._channels:
            body = {"text": self._chance.choice(TEXTS), "delay": self._chance.choice((0, 0, 2, 600))}
            planned = self._call("POST", f"/api/channels/{self._chance.choice(self._channels)}/posts", body)
            if planned:
                self._posts = [*self._posts[-50:], planned["id"]]

    def _look(self) -> None:
        paths = ["/api/summary", "/api/channels", "/api/posts?state=sent&limit=10", *(f"/api/posts/{post}" for post in self._posts[-3:])]
        self._call("GET", self._chance.choice(paths))

    def _take_back(self) -> None:
        if self._posts:
            self._call("DELETE", f"/api/posts/{self._chance.choice(self._posts)}")

    def _blunder(self) -> None:
        if self._chance.random() < 0.5:
            self._call("GET", "/api/posts/999999")
        else:
            self._call("POST", "/api/channels/1/posts", {"text": ""})

    def _refresh_views(self) -> None:
        self._call("POST", "/api/views")

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        try:
            status, answer = self._api.ask(method, path, body)
        except (OSError, http.client.HTTPException) as reason:
            self._lost += 1
            if self._lost >= LOST_AFTER:
                raise UnreachableError(f"the service does not answer: {reason}") from reason
            return None
        self._lost = 0
        self.answers[status] += 1
        return answer if status < 300 else None


class _Connection:
    """To one server; a new one for each request, since a service that drains closes them."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        if where.scheme != "http" or where.hostname is None:
            raise ValueError(f"{url!r} is no address such as http://127.0.0.1:8000")
        self._where = where.hostname, where.port

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(*self._where, timeout=20)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content else None
        finally:
            connection.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 1 when the service was not there or answered what it never should."""
    parser = argparse.ArgumentParser(prog="python -m examples.channelbot.traffic", description="Keep the channel bot busy.")
    parser.add_argument("--api", default="http://127.0.0.1:8000", help="where the API is (default: %(default)s)")
    parser.add_argument("--telegram", default="http://127.0.0.1:8081", help="where the stand-in of the Bot API is (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=20, help="doings a second, at most (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="chooses what is done (default: %(default)s)")
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="stop after so long (default: Ctrl-C)")
    chosen = parser.parse_args(arguments)
    try:
        traffic = Traffic(chosen.api, chosen.telegram, rate=chosen.rate, seed=chosen.seed)
    except ValueError as reason:
        parser.error(str(reason))
    stop_on_signals()
    try:
        traffic.run(duration=chosen.duration)
    except (UnreachableError, OSError) as reason:
        print(reason, file=sys.stderr)
        return 1
    except SystemExit:
        pass  # a signal: say what was done, then leave
    counts = ", ".join(f"{count} × {status}" for status, count in sorted(traffic.answers.items()))
    print(f"{traffic.said} things said; {traffic.answers.total()} requests answered: {counts or 'none'}")
    return 0 if traffic.answers.keys() <= EXPECTED else 1


if __name__ == "__main__":
    sys.exit(main())
