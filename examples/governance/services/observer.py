"""What the observer found, for people; its numbers are on the governance endpoint. And the pass that is repeated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from measurand import Check, Runtime

from ..assembly import closing, longest_gap, open_store, repeat
from ..constitution import Article, HaltCause
from ..halting import Alarm
from ..handover import Handover, connect
from ..observer import Observer
from ..settings import Settings
from ..web import prepare


def assemble(settings: Settings, runtime: Runtime, stack: ExitStack) -> FastAPI:
    """See ``assembly.assemble``."""
    settings.state_directory.mkdir(parents=True, exist_ok=True)
    observer = Observer(
        open_store(settings, runtime, stack), settings.constitution, note=settings.state_directory / f"observed-{settings.environment}.json"
    )
    way = connect(settings, runtime)
    look = create_pass(observer, way)
    first_pass_is_done = runtime.lifecycle.add_startup_task("first pass over the log")

    async def look_again() -> None:
        await look()
        first_pass_is_done()

    repeat(runtime, "observation", look_again, settings.interval)
    runtime.health.add(Check("observation", lambda: observer.seconds_since_last_pass < longest_gap(settings)))
    return closing(create_app(observer), way.close)


def create_app(observer: Observer) -> FastAPI:
    """The application."""
    app = prepare(FastAPI(title="Governance: observer"))

    @app.get("/v1/findings")
    def findings() -> dict[str, Any]:
        """The state of the chain, and breaches by article."""
        breaches = {article: observer.record.breaches[article] for article in Article}
        return {"chain_intact": observer.is_chain_intact, "halted": observer.record.is_halted, "breaches": breaches}

    return app


def create_pass(observer: Observer, handover: Handover) -> Callable[[], Awaitable[None]]:
    """What is to be repeated: look, in a worker thread; and halt the system when the log is not what it was."""
    alarm = Alarm(handover, "observer", HaltCause.CHAIN)

    async def look() -> None:
        await run_in_threadpool(observer.observe)
        if not observer.is_chain_intact:
            await alarm.sound("the log is not what it was")

    return look
