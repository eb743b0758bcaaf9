"""The rules: who is known, which channels there are, which posts are due, and what becomes of them.

Promises: a post is sent at most once, whoever is told to send it and however often; what a transaction did not commit is not counted; a
post that nobody has taken out of the queue for a while is queued again. Everything here blocks, and is safe from any thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from measurand.catalog.business import BusinessMetrics, BusinessSnapshot
from measurand.integrations.sqlalchemy_commit import on_commit

from .database import Database
from .errors import ConflictError, NotFoundError, RefusedError, UnreachableError
from .models import Channel, Post, State, User
from .ports import Audience, Jobs, Publisher

PATIENCE = 60
"""Seconds after which a post that waits in the queue is queued again."""

WATCHED = 100
"""How many of a channel's latest posts have their views followed."""


class Posts:
    """People, channels and posts.

    Args:
        database: Where they are.
        business: What is counted.
        clock: The time, in seconds since the Unix epoch.
    """

    def __init__(self, database: Database, business: BusinessMetrics, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._business = business
        self._clock = clock

    # -- people and channels -----------------------------------------------------------------------------------------------------

    def meet(self, user: int, name: str) -> bool:
        """Know somebody from now on. Returns whether they are new."""
        try:
            with self._database.writing() as session:
                if session.get(User, user) is not None:
                    return False
                session.add(User(id=user, name=name[:200], since=self._clock()))
        except IntegrityError:  # they have said it twice at once
            return False
        return True

    def add_channel(self, chat: int, title: str, members: int) -> dict[str, Any]:
        """Publish to a channel from now on; one that is known is brought up to date."""
        with self._database.writing() as session:
            channel = session.scalar(select(Channel).where(Channel.chat == chat))
            if channel is None:
                channel = Channel(chat=chat)
                session.add(channel)
            channel.title, channel.members = title[:200], members
            session.flush()
            return channel.as_json()

    def channels(self) -> list[dict[str, Any]]:
        """All channels."""
        with self._database.reading() as session:
            return [channel.as_json() for channel in session.scalars(select(Channel).order_by(Channel.id))]

    # -- posts -------------------------------------------------------------------------------------------------------------------

    def schedule(self, channel_id: int, text: str, delay: float) -> dict[str, Any]:
        """Plan a post, so many seconds from now.

        Raises:
            NotFoundError: There is no such channel.
        """
        with self._database.writing() as session:
            channel = session.get(Channel, channel_id)
            if channel is None:
                raise NotFoundError(f"there is no channel {channel_id}")
            post = Post(channel=channel, text=text, due_at=self._clock() + delay)
            session.add(post)
            session.flush()
            return post.as_json()

    def cancel(self, post_id: int) -> None:
        """Forget about a post that waits for its time.

        Raises:
            NotFoundError: There is no such post.
            ConflictError: It does not wait any more.
        """
        with self._database.writing() as session:
            post = _find(session, post_id)
            if post.state != State.SCHEDULED:
                raise ConflictError(f"the post {post_id} is {post.state}")
            post.state = State.CANCELLED

    def post(self, post_id: int) -> dict[str, Any]:
        """One post. Raises ``NotFoundError``."""
        with self._database.reading() as session:
            return _find(session, post_id).as_json()

    def latest(self, state: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """The latest posts, newest first."""
        query = select(Post).order_by(Post.id.desc()).limit(limit)
        with self._database.reading() as session:
            return [post.as_json() for post in session.scalars(query if state is None else query.where(Post.state == state))]

    # -- what is done in the background ------------------------------------------------------------------------------------------

    def queue_due(self, jobs: Jobs) -> int:
        """Have all posts sent that are due. Returns how many. What the broker raises is raised, when the rest waits again."""
        now = self._clock()
        forgotten = (Post.state == State.QUEUED) & (Post.taken_at < now - PATIENCE)
        with self._database.writing() as session:
            due = list(session.scalars(select(Post.id).where(((Post.state == State.SCHEDULED) & (Post.due_at <= now)) | forgotten)))
            _move(session, due, State.QUEUED, now)
        for place, post_id in enumerate(due):
            try:
                jobs.send(post_id)
            except BaseException:
                with self._database.writing() as session:
                    _move(session, due[place:], State.SCHEDULED, None)
                raise
        return len(due)

    def send(self, post_id: int, publisher: Publisher, *, is_last_attempt: bool) -> str | None:
        """Send a post that is queued.

        Args:
            post_id: Which.
            publisher: Sends it.
            is_last_attempt: Whether one that cannot be sent now has failed; otherwise it stays queued.

        Returns:
            What has become of it; ``None`` if it was not queued, which happens when a task comes twice.

        Raises:
            UnreachableError: It could not be sent now, and this was not the last attempt.
        """
        with self._database.writing() as session:
            taken = update(Post).where(Post.id == post_id, Post.state == State.QUEUED).values(state=State.SENDING, taken_at=self._clock())
            if session.execute(taken).rowcount != 1:
                return None
            post = _find(session, post_id)
            chat, text = post.channel.chat, post.text
        try:
            message = publisher.publish(chat, text)
        except RefusedError:
            return self._end(post_id, State.FAILED)
        except UnreachableError:
            if is_last_attempt:
                return self._end(post_id, State.FAILED)
            with self._database.writing() as session:
                _move(session, [post_id], State.QUEUED, self._clock())
            raise
        return self._end(post_id, State.SENT, message)

    def _end(self, post_id: int, state: State, message: int | None = None) -> str:
        with self._database.writing() as session:
            post = _find(session, post_id)
            post.state, post.message = state, message
            on_commit(session).inc(self._business.posts_sent.labels(str(state)))
        return str(state)

    def refresh_views(self, audience: Audience) -> int:
        """Bring the views of each channel's latest posts up to date. Returns how many views are new.

        Raises:
            UnreachableError: Nobody answers; what was learnt before is kept.
        """
        with self._database.reading() as session:
            watched = {channel.chat: _latest_sent(session, channel.id) for channel in session.scalars(select(Channel).order_by(Channel.id))}
        new = 0
        for chat, messages in watched.items():
            if messages:
                new += self._note_views(audience.views(chat, list(messages)), messages)
        return new

    def _note_views(self, seen: Any, messages: dict[int, int]) -> int:
        new = 0
        with self._database.writing() as session:
            for message, views in seen.items():
                post = session.get(Post, messages[message]) if message in messages else None
                if post is not None and views > post.views:
                    new += views - post.views
                    post.views = views
            on_commit(session).inc(self._business.view_updates, new)
        return new

    def take_snapshot(self, session: Session) -> None:
        """Say how many there are of everything."""
        self._business.record(snapshot(session))

    def summary(self) -> dict[str, int]:
        """How many there are of everything, for people."""
        with self._database.reading() as session:
            now = snapshot(session)
            views = session.scalar(select(func.coalesce(func.sum(Post.views), 0))) or 0
        return {"channels": now.channels, "users": now.users, "scheduled_posts": now.scheduled_posts, "views": int(views)}


def snapshot(session: Session) -> BusinessSnapshot:
    """How many there are of everything now."""
    return BusinessSnapshot(
        channels=session.scalar(select(func.count()).select_from(Channel)) or 0,
        users=session.scalar(select(func.count()).select_from(User)) or 0,
        scheduled_posts=session.scalar(select(func.count()).select_from(Post).where(Post.state == State.SCHEDULED)) or 0,
    )


def _find(session: Session, post_id: int) -> Post:
    post = session.get(Post, post_id)
    if post is None:
        raise NotFoundError(f"there is no post {post_id}")
    return post


def _move(session: Session, posts: Sequence[int], state: State, taken_at: float | None) -> None:
    if posts:
        session.execute(update(Post).where(Post.id.in_(posts)).values(state=state, taken_at=taken_at))


def _latest_sent(session: Session, channel_id: int) -> dict[int, int]:
    """The latest messages in a channel, and the posts that they are of."""
    latest = select(Post.message, Post.id).where(Post.channel_id == channel_id, Post.state == State.SENT).order_by(Post.id.desc())
    return {message: post_id for message, post_id in session.execute(latest.limit(WATCHED)) if message is not None}
