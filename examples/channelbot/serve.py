"""Serves: the one place that reads settings, starts and stops anything, and names what is measured.

Promises: nothing starts at import; SIGTERM ends the process in order: not ready at once, requests, updates and tasks under way finished,
then out; a second signal hurries.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from types import FrameType

import uvicorn
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

import measurand
from measurand import Runtime
from measurand.lifecycle.coordinator import Event

from . import checking, settings
from .container import Container
from .measured import measuring
from .settings import Settings

LOG = logging.getLogger(__name__)
REFRESH_TIMEOUT = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    chosen = settings.read(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "aiogram.event"):
        logging.getLogger(chatty).setLevel(logging.WARNING)  # they say each request and update
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # before the server has its own, and after: it raises again what it caught
    if chosen.until_stdin_ends:
        threading.Thread(target=_wait_for_the_end_of_stdin, daemon=True).start()
    try:
        serve(chosen)
    except (OSError, ValueError, ImportError, SQLAlchemyError) as reason:
        print(f"cannot serve: {reason}", file=sys.stderr)
        return 1
    return 0


def serve(chosen: Settings) -> None:
    """Serve until told to leave."""
    container = Container(settings=chosen)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((chosen.host, chosen.port)))
        host, port = listener.getsockname()[:2]
        database = container.database()
        stack.callback(database.close)
        database.create_tables()
        stack.enter_context(measuring(container))
        runtime = stack.enter_context(start(container, host))
        app = assemble(container, runtime)
        measurand.fastapi(app, runtime)
        gc.freeze()  # what is there now stays; the collector need not look at it again, nor at the end
        print(f"Served at http://{host}:{port}/ ; Ctrl-C stops it.", flush=True)
        patience = max(int(runtime.lifecycle.budget - chosen.drain_delay), 1)  # for requests that do not end
        uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=patience)).run(sockets=[listener])


def start(container: Container, host: str, **more: object) -> Runtime:
    """Start what runs beside the application, on the container's registry."""
    chosen = container.settings()
    return measurand.start(
        "channelbot" if chosen.has_front else "channelbot-worker",
        chosen.environment,
        registry=container.registry(),
        state_directory=chosen.state_directory,
        health_interval=chosen.health_interval,
        drain_delay=chosen.drain_delay,
        details="always" if host in {"127.0.0.1", "::1"} else "never",  # what is wrong inside is not everybody's business
        checks=checking.of(container),
        **more,
    )


def assemble(container: Container, runtime: Runtime) -> FastAPI:
    """The API, with the bot and the worker beside it while it is served."""
    chosen, app = container.settings(), container.api()
    posts, jobs, polling = container.posts(), container.jobs(), container.polling()
    pace = {"interval": chosen.interval, "timeout": REFRESH_TIMEOUT}
    runtime.polling.register("business", posts.take_snapshot, within=container.database().reading, **pace)
    runtime.polling.register("due posts", lambda: posts.queue_due(jobs), **pace)
    runtime.polling.register("views", jobs.refresh_views, **pace)
    if chosen.has_worker:
        worker = container.worker()
        runtime.lifecycle.on(Event.SHUTDOWN, worker.stop, name="worker")
        worker.start()

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        runtime.lifecycle.on(
            Event.DRAINING, lambda: asyncio.run_coroutine_threadsafe(polling.stop(), loop).result(REFRESH_TIMEOUT), name="bot"
        )
        await polling.start()
        yield
        await polling.stop()

    app.router.lifespan_context = lifespan
    return app


def _wait_for_the_end_of_stdin() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
