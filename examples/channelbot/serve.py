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
from collections.abc import AsyncIterator, Iterator, Sequence
from types import FrameType
from typing import Any

import uvicorn
from celery import signals
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

import measurand
from measurand import Runtime
from measurand.lifecycle.coordinator import Event

from . import checking, settings
from .container import Container
from .measured import look, measuring
from .tasks import QUEUES

LOG = logging.getLogger(__name__)
REFRESH_TIMEOUT = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    chosen = settings.read(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "aiogram.event", "celery.app.trace", "celery.worker.strategy", "kombu.connection"):
        logging.getLogger(chatty).setLevel(logging.ERROR)  # they say each request, update and task
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # before the server has its own, and after: it raises again what it caught
    if chosen.until_stdin_ends:
        threading.Thread(target=_wait_for_the_end_of_stdin, daemon=True).start()
    try:
        with contextlib.ExitStack() as stack:
            container = stack.enter_context(opened(Container(settings=chosen)))
            (serve if chosen.has_front else work)(container, stack)
    except (OSError, ValueError, ImportError, SQLAlchemyError) as reason:
        print(f"cannot serve: {reason}", file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def opened(container: Container) -> Iterator[Container]:
    """A container whose database has its tables, and whose libraries are measured; closed at the end of the block."""
    database = container.database()
    with contextlib.closing(database), measuring(container):
        database.create_tables()
        yield container
        container.audience().close()


def serve(container: Container, stack: contextlib.ExitStack) -> None:
    """Serve the API, with the bot beside it, until told to leave."""
    chosen = container.settings()
    listener = stack.enter_context(socket.create_server((chosen.host, chosen.port)))
    host, port = listener.getsockname()[:2]
    runtime = stack.enter_context(start(container))
    app = assemble(container, runtime)
    measurand.fastapi(app, runtime)
    gc.freeze()  # what is there now stays; the collector need not look at it again, nor at the end
    print(f"Served at http://{host}:{port}/ ; Ctrl-C stops it.", flush=True)
    patience = max(int(runtime.lifecycle.budget - chosen.drain_delay), 1)  # for requests that do not end
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=patience)).run(sockets=[listener])


def work(container: Container, stack: contextlib.ExitStack) -> None:
    """Do tasks in processes of Celery's until told to leave; the pages are on a port of their own."""
    chosen, app = container.settings(), container.celery()
    os.register_at_fork(after_in_child=container.database().renew)
    runtime = stack.enter_context(start(container, management=(chosen.host, chosen.port)))

    def ready(**_: object) -> None:
        runtime.server_started(None)  # in front of Celery's own handler of SIGTERM, which is there by now
        print(f"Tasks are done; pages at {runtime.management}/ ; Ctrl-C stops it.", flush=True)

    signals.worker_ready.connect(ready)
    options = [f"--concurrency={chosen.concurrency}", f"--queues={','.join(QUEUES)}", "--without-gossip", "--without-mingle"]
    gc.freeze()
    app.worker_main(["--quiet", "worker", "--loglevel=WARNING", *options])


def start(container: Container, **more: Any) -> Runtime:
    """Start what runs beside the application, on the container's registry."""
    chosen = container.settings()
    runtime = measurand.start(
        "channelbot" if chosen.has_front else "channelbot-worker",
        chosen.environment,
        registry=container.registry(),
        state_directory=chosen.state_directory,
        health_interval=chosen.health_interval,
        drain_delay=chosen.drain_delay,
        details="always" if chosen.host in {"127.0.0.1", "::1"} else "never",  # what is wrong inside is not everybody's business
        checks=checking.of(container),
        **more,
    )
    look(container, runtime)
    return runtime


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
