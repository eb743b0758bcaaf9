"""Real worker threads of AnyIO: all taken, given up, and a real application's."""

from __future__ import annotations

import asyncio
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from measurand import CollectorRegistry
from measurand.catalog.thread_pools import ThreadPoolMetrics
from measurand.errors import MissingExtra
from measurand.integrations import handle as handles
from measurand.integrations.anyio import FLOOR, instrument
from measurand.integrations.handle import Handle

pytestmark = pytest.mark.once

PATIENCE = 30.0


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def handle(registry: CollectorRegistry) -> Iterator[Handle]:
    with instrument(registry=registry) as handle:
        yield handle


def value(registry: CollectorRegistry, name: str, pool: str = "anyio") -> float | None:
    return registry.get_sample_value(f"thread_pool_{name}", {"pool": pool})


def now(registry: CollectorRegistry, pool: str = "anyio") -> tuple[float | None, float | None]:
    """How many calls wait, and how many are under way."""
    return value(registry, "queue_length", pool), value(registry, "threads_busy", pool)


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():
            await asyncio.sleep(0)


@pytest.mark.usefixtures("handle")
def test_what_waits_and_what_runs_is_what_waits_and_runs(registry: CollectorRegistry) -> None:
    async def main() -> None:
        limiter, release = anyio.CapacityLimiter(2), threading.Event()
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(lambda: anyio.to_thread.run_sync(release.wait, PATIENCE, limiter=limiter))
            await until(lambda: now(registry) == (3, 2))
            assert (value(registry, "threads_max"), value(registry, "threads")) == (2, None)
            release.set()
        assert now(registry) == (0, 0)
        assert value(registry, "wait_seconds_count") == 5

    asyncio.run(main())


@pytest.mark.usefixtures("handle")
def test_what_is_given_up_before_it_began_waits_no_longer(registry: CollectorRegistry) -> None:
    async def main() -> None:
        limiter, release = anyio.CapacityLimiter(1), threading.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: anyio.to_thread.run_sync(release.wait, PATIENCE, limiter=limiter))
            await until(lambda: now(registry) == (0, 1))
            given_up = asyncio.create_task(anyio.to_thread.run_sync(int, limiter=limiter))
            await until(lambda: now(registry) == (1, 1))
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            assert now(registry) == (0, 1)
            release.set()
        assert now(registry) == (0, 0)

    asyncio.run(main())


@pytest.mark.usefixtures("handle")
def test_a_call_has_its_arguments_its_result_and_its_exception() -> None:
    def fail() -> None:
        raise ZeroDivisionError("mine")

    async def main() -> None:
        assert await anyio.to_thread.run_sync(pow, 2, 3) == 8
        with pytest.raises(ZeroDivisionError, match="mine"):
            await anyio.to_thread.run_sync(fail)
        with pytest.raises(TypeError):
            await anyio.to_thread.run_sync(int, nothing=1)  # type: ignore[call-arg]

    asyncio.run(main())


@pytest.mark.usefixtures("handle")
def test_plain_endpoints_of_an_application_are_run_there(registry: CollectorRegistry) -> None:
    seen: list[Any] = []

    def endpoint(request: Request) -> PlainTextResponse:
        seen.append(now(registry))
        return PlainTextResponse("hello")

    async def main() -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request"}

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "root_path": ""}
        await Starlette(routes=[Route("/", endpoint)])(scope, receive, send)
        assert sent[0]["status"] == 200
        assert value(registry, "threads_max") == 40

    asyncio.run(main())
    assert seen == [(0, 1)]
    assert now(registry) == (0, 0)


def test_one_limiter_alone_has_its_own_name_and_is_never_counted_twice(registry: CollectorRegistry) -> None:
    async def main() -> None:
        limiter = anyio.CapacityLimiter(3)
        alone = instrument(limiter, registry=registry, name="mail")
        whole = instrument(registry=registry)
        assert (instrument(limiter), instrument()) == (alone, whole)
        await anyio.to_thread.run_sync(int, limiter=limiter)
        await anyio.to_thread.run_sync(int)
        assert (value(registry, "wait_seconds_count", "mail"), value(registry, "wait_seconds_count")) == (1, 1)
        assert (value(registry, "threads_max", "mail"), value(registry, "threads_max")) == (3, 40)
        alone.uninstrument()
        await anyio.to_thread.run_sync(int, limiter=limiter)
        assert (value(registry, "wait_seconds_count", "mail"), value(registry, "wait_seconds_count")) == (1, 2)
        whole.uninstrument()
        await anyio.to_thread.run_sync(int, limiter=limiter)
        assert value(registry, "wait_seconds_count") == 2

    asyncio.run(main())


def test_anyio_is_as_it_was_afterwards() -> None:
    before = anyio.to_thread.run_sync
    handle = instrument(registry=CollectorRegistry())
    assert anyio.to_thread.run_sync is not before
    handle.uninstrument()
    assert anyio.to_thread.run_sync is before


def test_a_failure_of_ours_does_not_keep_the_work_from_being_done() -> None:
    class Broken(ThreadPoolMetrics):
        def label(self, pool: str) -> str:
            raise ZeroDivisionError

    with instrument(metrics=Broken(CollectorRegistry())):
        assert asyncio.run(_five()) == 5


async def _five() -> int:
    return await anyio.to_thread.run_sync(int, "5")


def test_an_old_anyio_is_refused_and_the_extra_asks_for_one_that_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "version_of", lambda package: "3.6.2")
    with pytest.raises(MissingExtra, match=rf"anyio 3\.6\.2 is installed, and {FLOOR} or newer"):
        instrument()
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["anyio"] == [f"anyio>={FLOOR}"]
