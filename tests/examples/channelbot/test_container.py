"""One container is one application: singletons, on whichever registry it was given; two of them have nothing in common."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

import measurand
from examples.channelbot import serve
from examples.channelbot.container import Container
from examples.channelbot.settings import FRONT, Settings
from examples.channelbot.telegram_stand_in import TelegramStandIn
from measurand import REGISTRY, CollectorRegistry
from measurand.testing.readings import Readings
from tests.examples.channelbot.table import TABLE
from tests.examples.governance.running import parsed
from tests.examples.inventory.running import fetch
from tests.servers.process import until

pytestmark = pytest.mark.once

ONE_OF_EACH = ("business", "database", "posts", "publisher", "audience", "celery", "jobs", "bot", "dispatcher", "polling", "api")


def chosen(folder: Path, telegram_api: str = "http://127.0.0.1:9") -> Settings:
    folder.mkdir(exist_ok=True)
    return Settings(
        token="4200:stand-in-of-the-bot-api",
        role=FRONT,
        database_url=f"sqlite:///{folder / 'channelbot.db'}",
        telegram_api=telegram_api,
        views_url="http://127.0.0.1:9",
        interval=0.2,
        drain_delay=0,
        state_directory=folder / "state",
    )


@contextmanager
def application(folder: Path) -> Iterator[tuple[Container, Readings]]:
    """A container on a registry of its own, and what it has counted."""
    registry = CollectorRegistry()
    container = Container(settings=chosen(folder), registry=registry)
    container.database().create_tables()
    yield container, Readings(registry)
    container.database().close()


def test_there_is_one_of_each(tmp_path: Path):
    with application(tmp_path) as (container, _):
        for name in ONE_OF_EACH:
            provider = getattr(container, name)
            assert provider() is provider()


def test_two_applications_in_one_process_count_apart(tmp_path: Path):
    with ExitStack() as stack:
        one, counted_by_one = stack.enter_context(application(tmp_path / "one"))
        other, counted_by_other = stack.enter_context(application(tmp_path / "other"))
        one.posts().meet(7, "Ada")
        for container in (one, other):
            with container.database().reading() as session:
                container.posts().take_snapshot(session)
        one.business().post_sent("sent")
        assert counted_by_one.value("business_users") == 1
        assert counted_by_other.value("business_users") == 0
        assert counted_by_one.delta("business_posts_sent_total", status="sent") == 1
        assert counted_by_other.delta("business_posts_sent_total", status="sent") == 0


def test_a_whole_service_runs_on_a_registry_of_its_own(tmp_path: Path):
    """Bot, API, checks, polling and everything that the libraries are measured by; the process' own registry knows nothing of it."""
    before = set(REGISTRY.collectors())
    registry = CollectorRegistry()
    with TelegramStandIn() as telegram, ExitStack() as stack:
        container = Container(settings=chosen(tmp_path, telegram.url), registry=registry)
        stack.enter_context(serve.opened(container))
        runtime = stack.enter_context(serve.start(container))
        app = serve.assemble(container, runtime)
        measurand.fastapi(app, runtime)
        url = stack.enter_context(served(app))
        telegram.message("/start", chat=7)
        counted = Readings(registry)
        until(lambda: counted.value("business_users") == 1, lambda: fetch(f"{url}v1/metrics")[1], 60)
        assert fetch(f"{url}api/summary")[0] == "application/json"
        missing = lambda: {row.name for row in TABLE} - parsed(fetch(f"{url}v1/metrics")[1]).keys()  # noqa: E731
        until(lambda: not missing(), lambda: f"{missing()}", 60)  # the CPU's use is known from the second look on
        assert set(REGISTRY.collectors()) == before


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """An application under a real server, in a thread. Yields its URL."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="on", log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), lambda: "it does not start", 60)
        assert server.started
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
