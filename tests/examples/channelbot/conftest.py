"""A database of its own for each test, a set of metrics in a registry of its own, and who publishes, at a test's command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from examples.channelbot.database import Database
from examples.channelbot.posts import Posts
from measurand import CollectorRegistry
from measurand.catalog.business import BusinessMetrics
from measurand.testing.readings import Readings
from tests.examples.channelbot.newsroom import Newsroom


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database with its tables."""
    with closing(Database(f"sqlite:///{tmp_path / 'channelbot.db'}")) as fresh:
        fresh.create_tables()
        yield fresh


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def counted(registry: CollectorRegistry, newsroom: Newsroom) -> Readings:
    """What has been counted in this test."""
    return Readings(registry)


@pytest.fixture
def newsroom(database: Database, registry: CollectorRegistry) -> Newsroom:
    """The rules over that database, with a clock that stands still, and stand-ins for everything else."""
    return Newsroom(database, BusinessMetrics(registry))


@pytest.fixture
def posts(newsroom: Newsroom) -> Posts:
    return newsroom.posts
