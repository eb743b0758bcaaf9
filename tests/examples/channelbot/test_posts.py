"""The rules: what is sent, when, how often, and what is counted of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy.orm import Session

from examples.channelbot.database import Database
from examples.channelbot.errors import ConflictError, NotFoundError, RefusedError, UnreachableError
from examples.channelbot.models import State
from examples.channelbot.posts import PATIENCE, Posts
from measurand import CollectorRegistry
from measurand.catalog.business import BusinessMetrics
from measurand.testing.readings import Readings
from tests.examples.channelbot.newsroom import Newsroom
from tests.support import SCALE, run_threads

pytestmark = pytest.mark.once

SENT = "business_posts_sent_total"
VIEWS = "business_post_view_updates_total"


def test_a_post_is_sent_when_it_is_due_and_counted(newsroom: Newsroom, posts: Posts, counted: Readings):
    post = posts.schedule(newsroom.channel(), "Hello", 10)["id"]
    assert posts.queue_due(newsroom) == 0
    newsroom.now += 10
    assert posts.queue_due(newsroom) == 1
    assert newsroom.queue == [post]
    assert posts.send(post, newsroom, is_last_attempt=False) == State.SENT
    assert newsroom.published == ["Hello"]
    assert counted.delta(SENT, status="sent") == 1
    assert posts.post(post)["state"] == State.SENT


def test_a_post_is_sent_once_however_many_are_told_to(newsroom: Newsroom, posts: Posts, counted: Readings):
    post = newsroom.queued()
    run_threads(*[partial(posts.send, post, newsroom, is_last_attempt=True)] * 4)
    assert posts.send(post, newsroom, is_last_attempt=True) is None
    assert newsroom.published == ["Hello"]
    assert counted.delta(SENT, status="sent") == 1


def test_what_is_refused_has_failed(newsroom: Newsroom, posts: Posts, counted: Readings):
    newsroom.outcomes.append(RefusedError("no"))
    assert posts.send(newsroom.queued(), newsroom, is_last_attempt=False) == State.FAILED
    assert (counted.delta(SENT, status="failed"), counted.delta(SENT, status="sent")) == (1, 0)


def test_what_cannot_be_sent_now_stays_queued_until_the_last_attempt(newsroom: Newsroom, posts: Posts, counted: Readings):
    post = newsroom.queued()
    newsroom.outcomes.extend([UnreachableError("later", 3), UnreachableError("later")])
    with pytest.raises(UnreachableError) as raised:
        posts.send(post, newsroom, is_last_attempt=False)
    assert raised.value.retry_after == 3
    assert posts.post(post)["state"] == State.QUEUED
    assert counted.delta(SENT, status="failed") == 0
    assert posts.send(post, newsroom, is_last_attempt=True) == State.FAILED
    assert counted.delta(SENT, status="failed") == 1


def test_what_is_not_committed_is_not_counted(newsroom: Newsroom, posts: Posts, counted: Readings):
    """The post is out, and nobody knows: it is not counted, and it is not sent again."""
    post = newsroom.queued()

    def fail(_session: Session) -> None:
        if newsroom.published:
            raise RuntimeError("no more space")

    event.listen(Session, "before_commit", fail)
    try:
        with pytest.raises(RuntimeError, match="no more space"):
            posts.send(post, newsroom, is_last_attempt=True)
    finally:
        event.remove(Session, "before_commit", fail)
    assert counted.delta(SENT, status="sent") == 0
    assert posts.send(post, newsroom, is_last_attempt=True) is None
    assert newsroom.published == ["Hello"]


def test_what_the_broker_does_not_take_waits_again(newsroom: Newsroom, posts: Posts):
    for text in "abc":
        posts.schedule(newsroom.channel(), text, 0)
    newsroom.broker_takes = 1
    with pytest.raises(ConnectionError):
        posts.queue_due(newsroom)
    assert newsroom.states() == {State.QUEUED: 1, State.SCHEDULED: 2}
    newsroom.broker_takes = None
    assert posts.queue_due(newsroom) == 2
    assert sorted(newsroom.queue) == [1, 2, 3]


def test_what_was_forgotten_in_the_queue_is_queued_again(newsroom: Newsroom, posts: Posts):
    post = newsroom.queued()
    newsroom.now += PATIENCE - 1
    assert posts.queue_due(newsroom) == 0
    newsroom.now += 2
    assert posts.queue_due(newsroom) == 1
    assert newsroom.queue == [post, post]


def test_views_are_counted_by_n_and_never_taken_back(newsroom: Newsroom, posts: Posts, counted: Readings):
    one, other = newsroom.sent("one"), newsroom.sent("other")
    newsroom.readers = {1: 1500, 2: 20, 99: 7}
    assert posts.refresh_views(newsroom) == 1520
    newsroom.readers = {1: 1400, 2: 25}
    assert posts.refresh_views(newsroom) == 5
    assert counted.delta(VIEWS) == 1525
    assert [posts.post(post)["views"] for post in (one, other)] == [1500, 25]
    assert posts.summary()["views"] == 1525


def test_a_snapshot_says_what_there_is(newsroom: Newsroom, posts: Posts, counted: Readings, database: Database):
    assert [posts.meet(user, f"Person {user}") for user in (7, 8, 7)] == [True, True, False]
    channel = newsroom.channel()
    posts.schedule(channel, "later", 60)
    posts.cancel(posts.schedule(channel, "never", 60)["id"])
    newsroom.sent()
    with database.reading() as session:
        posts.take_snapshot(session)
    names = ("business_channels", "business_users", "business_scheduled_posts")
    assert [counted.value(name) for name in names] == [1, 2, 1]


def test_only_what_waits_is_taken_back(newsroom: Newsroom, posts: Posts):
    with pytest.raises(NotFoundError):
        posts.cancel(1)
    with pytest.raises(ConflictError):
        posts.cancel(newsroom.queued())
    with pytest.raises(NotFoundError):
        posts.schedule(99, "Hello", 0)


OUTCOMES = st.sampled_from(["sent", "refused", "away"])


@settings(max_examples=int(6 * max(SCALE, 1)), deadline=None)
@given(st.lists(st.tuples(OUTCOMES, st.booleans(), st.booleans()), max_size=6))
def test_the_counter_is_what_the_database_says(days: list[tuple[str, bool, bool]]):
    """Whatever Telegram does, whichever attempt it is, and whether a task comes twice."""
    failures: dict[str, Any] = {"refused": RefusedError, "away": UnreachableError}
    registry = CollectorRegistry()
    with TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'channelbot.db'}")
        database.create_tables()
        newsroom = Newsroom(database, BusinessMetrics(registry))
        for outcome, is_last, comes_twice in days:
            post = newsroom.queued()
            newsroom.outcomes.append(failures[outcome]("so") if outcome in failures else None)
            for _ in range(1 + comes_twice):
                try:
                    newsroom.posts.send(post, newsroom, is_last_attempt=is_last)
                except UnreachableError:
                    break
            newsroom.outcomes.clear()
        states = newsroom.states()
        database.close()
    for state in (State.SENT, State.FAILED):
        assert (registry.get_sample_value(SENT, {"status": str(state)}) or 0) == states[state]
    assert len(newsroom.published) == states[State.SENT]
