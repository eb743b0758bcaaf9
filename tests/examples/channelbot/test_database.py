"""The rules on PostgreSQL, where sessions do not wait for each other before they begin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest

from examples.channelbot.database import Database
from examples.channelbot.models import State
from measurand import CollectorRegistry
from measurand.catalog.business import BusinessMetrics
from tests.examples.channelbot.newsroom import Newsroom
from tests.servers.postgres import Postgres
from tests.support import run_threads

pytestmark = pytest.mark.once


@pytest.fixture
def newsroom(postgres: Postgres, registry: CollectorRegistry) -> Iterator[Newsroom]:
    with closing(Database(postgres.url.replace("postgresql://", "postgresql+psycopg://"))) as database:
        database.create_tables()
        yield Newsroom(database, BusinessMetrics(registry))


def test_posts_are_sent_once_and_counted_whoever_is_told_to(newsroom: Newsroom, registry: CollectorRegistry):
    posts = [newsroom.queued(f"number {number}") for number in range(5)]
    run_threads(*[partial(newsroom.posts.send, post, newsroom, is_last_attempt=True) for post in posts for _ in range(3)])
    assert len(newsroom.published) == newsroom.states()[State.SENT] == 5
    assert registry.get_sample_value("business_posts_sent_total", {"status": "sent"}) == 5
    newsroom.readers = dict.fromkeys(range(1, 6), 40)
    assert newsroom.posts.refresh_views(newsroom) > 0
    assert registry.get_sample_value("business_post_view_updates_total") == newsroom.posts.summary()["views"]


def test_somebody_who_says_it_many_times_at_once_is_new_once(newsroom: Newsroom):
    answers: list[bool] = []
    run_threads(*[lambda: answers.append(newsroom.posts.meet(7, "Ada"))] * 6)
    assert sorted(answers) == [False] * 5 + [True]
    assert newsroom.posts.summary()["users"] == 1


def test_a_database_in_memory_is_refused():
    with pytest.raises(ValueError, match="private to one thread"):
        Database("sqlite://")
