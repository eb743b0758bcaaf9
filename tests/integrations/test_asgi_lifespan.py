"""Start and end of a service by the lifespan, with applications that handle it well, badly or not at all."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from measurand.integrations.asgi import install
from measurand.integrations.asgi_lifespan import in_thread
from measurand.testing.http import StandIn
from measurand.testing.http_asgi import AsgiDriver
from tests.integrations.test_asgi import LAST, START
from tests.support import run_python

pytestmark = pytest.mark.once

BOTH = ("lifespan.startup", "lifespan.shutdown")


class Watched(StandIn):
    """A service that notes its calls in the order of everything else."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[str] = []

    def server_stopping(self) -> None:
        super().server_stopping()
        self.threads.append(threading.current_thread().name)


def live(app: Any, *messages: str) -> list[str]:
    """Run an application through its life; what the server was told, in order."""
    told: list[str] = []

    async def main() -> None:
        arriving = list(messages or BOTH)

        async def receive() -> Any:
            if not arriving:
                await asyncio.Event().wait()
            return {"type": arriving.pop(0)}

        async def send(message: Any) -> None:
            told.append(message["type"])

        await asyncio.wait_for(app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send), 30)

    asyncio.run(main())
    return told


def application(service: StandIn, shutdown: str = "lifespan.shutdown.complete", startup: str = "lifespan.startup.complete") -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        service.calls.append("application starts")
        await send({"type": startup})
        if startup.endswith("failed"):
            raise RuntimeError("no database")
        assert (await receive())["type"] == "lifespan.shutdown"
        service.calls.append("application stops")
        await send({"type": shutdown})

    return app


def test_the_service_starts_after_the_application_and_stops_before_it() -> None:
    service = Watched()
    told = live(install(application(service), service))
    assert service.calls == ["application starts", "started", "stopping", "application stops"]
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert isinstance(service.loops[0], asyncio.AbstractEventLoop)
    assert service.threads == ["measurand-stop"], "the event loop has to go on meanwhile"


def test_each_lifespan_starts_the_service_and_stops_it() -> None:
    service = Watched()
    app = install(application(service), service)
    for _ in range(3):
        live(app)
    assert service.calls == ["application starts", "started", "stopping", "application stops"] * 3
    assert len({id(loop) for loop in service.loops}) == len(service.loops) == 3, "each has an event loop of its own"


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_request_that_comes_late_does_not_start_the_service_again(method: str) -> None:
    service = Watched()
    app = install(answered_for, service)
    live(app)
    AsgiDriver(app).request(method, "/")
    assert service.calls == ["started", "stopping"]


async def answered_for(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send(START)
        await send(LAST)


PROGRAM = """
import threading

import measurand
from starlette.applications import Starlette
from starlette.testclient import TestClient

polled, checked = threading.Event(), threading.Event()
check = measurand.Check("check", checked.set, interval=0.1)
app = measurand.starlette(Starlette(), service="shop", management=None, checks=[check])
measurand.register_for_polling("poller", polled.set, interval=0.1)
for _ in range(2):
    polled.clear(), checked.clear()
    with TestClient(app) as client:
        assert polled.wait(30) and checked.wait(30)
        print(client.get("/v1/ready").status_code)
    print(client.get("/v1/ready").status_code)
"""


def test_a_test_client_may_live_twice_with_one_application() -> None:
    done = run_python(PROGRAM)
    assert done.stdout.split() == ["200", "503"] * 2, done.stderr


def test_the_loop_goes_on_while_the_service_stops() -> None:
    class Slow(Watched):
        def server_stopping(self) -> None:
            done = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loops[0])  # type: ignore[arg-type]
            done.result(20)
            super().server_stopping()

    service = Slow()
    live(install(application(service), service))
    assert "stopping" in service.calls


def test_a_failed_start_starts_nothing_and_stays_the_applications_failure() -> None:
    service = Watched()
    with pytest.raises(RuntimeError, match="no database"):
        live(install(application(service, startup="lifespan.startup.failed"), service))
    assert service.calls == ["application starts"]


def test_a_failed_shutdown_is_told_as_such() -> None:
    service = Watched()
    assert live(install(application(service, shutdown="lifespan.shutdown.failed"), service))[-1] == "lifespan.shutdown.failed"
    assert "stopping" in service.calls


async def refusing(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http", "this application is for HTTP only"


async def returning(scope: Any, receive: Any, send: Any) -> None:
    return


async def reading(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    raise ValueError(scope["type"])


@pytest.mark.parametrize("app", [refusing, returning, reading])
def test_an_application_that_does_not_handle_the_lifespan_is_answered_for(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    service = Watched()
    with caplog.at_level(logging.INFO, "measurand"):
        told = live(install(app, service))
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert service.calls == ["started", "stopping"]
    assert [record.levelname for record in caplog.records] == ([] if app is returning else ["INFO"])


def test_the_lifespan_of_the_server_makes_the_first_request_nothing_special() -> None:
    service = Watched()
    app = install(application(service), service)

    async def main() -> None:
        started = asyncio.Event()
        over = asyncio.Event()

        async def receive() -> Any:
            if not started.is_set():
                return {"type": "lifespan.startup"}
            await over.wait()
            return {"type": "lifespan.shutdown"}

        async def send(message: Any) -> None:
            started.set()

        life = asyncio.create_task(app({"type": "lifespan"}, receive, send))
        await started.wait()

        async def handler(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            await send(LAST)

        app.app, before = handler, app.app
        await app({"type": "http", "method": "GET", "path": "/"}, receive, send)
        app.app = before
        over.set()
        await life

    asyncio.run(main())
    assert service.calls.count("started") == 1


@pytest.mark.parametrize("method", ["server_started", "server_stopping"])
def test_a_service_that_fails_to_start_or_stop_is_reported_and_the_application_lives(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    service = Watched()

    def fail(*_: Any) -> None:
        raise RuntimeError("of ours")

    setattr(service, method, fail)
    with caplog.at_level(logging.ERROR, "measurand"):
        told = live(install(application(service), service))
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert len(caplog.records) == 1


def test_stopping_needs_no_thread_of_the_loops_own() -> None:
    """They may all hang in what the application does."""

    async def main() -> list[str]:
        loop, release = asyncio.get_running_loop(), threading.Event()
        loop.set_default_executor(ThreadPoolExecutor(1))
        hanging = loop.run_in_executor(None, release.wait, 30)
        calls: list[str] = []
        await asyncio.wait_for(in_thread(lambda: calls.append("called")), 20)
        assert not hanging.done()
        release.set()
        await hanging
        return calls

    assert asyncio.run(main()) == ["called"]


def test_what_fails_in_the_thread_reaches_who_waits() -> None:
    def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(in_thread(fail))
