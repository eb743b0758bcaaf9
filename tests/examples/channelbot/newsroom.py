"""The rules with stand-ins for everything else: a clock, a queue, Telegram and who counts readers, all at a test's command."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence

from sqlalchemy import select

from examples.channelbot.database import Database
from examples.channelbot.models import Post, State
from examples.channelbot.posts import Posts
from measurand.catalog.business import BusinessMetrics


class Newsroom:
    """Everything that ``Posts`` needs. It is its own publisher, audience and queue: the three ports.

    Attributes:
        posts: The rules.
        now: The time; a test sets it.
        outcomes: What publishing comes to, one after the other: an exception, or ``None`` when it works, as it does when there are no more.
        published: The texts that were published.
        queue: The posts that are to be sent.
        readers: How often messages have been seen.
        broker_takes: How many jobs the queue takes before it is broken.
    """

    def __init__(self, database: Database, business: BusinessMetrics) -> None:
        self.database = database
        self.now = 1_000_000.0
        self.posts = Posts(database, business, lambda: self.now)
        self.outcomes: deque[Exception | None] = deque()
        self.published: list[str] = []
        self.queue: list[int] = []
        self.refreshes = 0
        self.readers: dict[int, int] = {}
        self.broker_takes: int | None = None

    def publish(self, chat: int, text: str) -> int:
        outcome = self.outcomes.popleft() if self.outcomes else None
        if outcome is not None:
            raise outcome
        self.published.append(text)
        return len(self.published)

    def send(self, post_id: int) -> None:
        if self.broker_takes is not None and len(self.queue) >= self.broker_takes:
            raise ConnectionError("the broker is away")
        self.queue.append(post_id)

    def refresh_views(self) -> None:
        self.refreshes += 1

    def views(self, chat: int, messages: Sequence[int]) -> Mapping[int, int]:
        return {message: self.readers[message] for message in messages if message in self.readers}

    # -- for tests ---------------------------------------------------------------------------------------------------------------

    def channel(self) -> int:
        return int(self.posts.add_channel(-1001, "News", 90)["id"])

    def queued(self, text: str = "Hello") -> int:
        """A post that is in the queue."""
        post = int(self.posts.schedule(self.channel(), text, 0)["id"])
        self.posts.queue_due(self)
        return post

    def sent(self, text: str = "Hello") -> int:
        """A post that has been sent."""
        post = self.queued(text)
        assert self.posts.send(post, self, is_last_attempt=True) == State.SENT
        return post

    def states(self) -> Counter[str]:
        """How many posts there are in each state."""
        with self.database.reading() as session:
            return Counter(session.scalars(select(Post.state)))
