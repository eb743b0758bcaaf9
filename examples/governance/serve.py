"""Serves one service: the one place that reads settings, opens what is needed, and starts anything.

Promises: nothing starts at import; SIGTERM ends the process in order: not ready at once, requests and acts under way finished, then out;
a second signal hurries. Where several workers serve, this holds for each of them, and nothing here is different for it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from types import FrameType

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

import measurand

from . import logs, settings, workers
from .assembly import assemble, load
from .domains import GOVERNANCE, GOVERNANCE_PATH
from .settings import Settings

LOG = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    chosen = settings.read(arguments)
    try:
        listener = _listen(chosen)
    except OSError as reason:
        print(f"cannot serve {chosen.service}: {reason}", file=sys.stderr)
        return 1
    with listener:
        if chosen.workers == 1:
            return work(chosen, listener, heeds_stdin=chosen.until_stdin_ends)
        load(chosen.service)  # once, before there are workers
        until = sys.stdin.fileno() if chosen.until_stdin_ends else None
        said = {"service": chosen.service, "environment": chosen.environment}
        return workers.run(chosen.workers, lambda: work(chosen, listener), until=until, **said)


def work(chosen: Settings, listener: socket.socket, *, heeds_stdin: bool = False) -> int:
    """Serve in this process until told to leave. Returns the exit status."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # before the server has its own, and after: it raises again what it caught
    if heeds_stdin:
        threading.Thread(target=_wait_for_the_end_of_stdin, daemon=True).start()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it says each request
    with logs.writing(service=chosen.service, environment=chosen.environment):
        try:
            serve(chosen, listener)
        except (OSError, ValueError, ImportError, SQLAlchemyError) as reason:
            print(f"cannot serve {chosen.service}: {reason}", file=sys.stderr)
            return 1
    return 0


def serve(chosen: Settings, listener: socket.socket) -> None:
    """Serve on a listening socket until told to leave."""
    host, port = listener.getsockname()[:2]
    with contextlib.ExitStack() as stack:
        runtime = stack.enter_context(
            measurand.start(
                chosen.service,
                chosen.environment,
                domains={GOVERNANCE_PATH: GOVERNANCE},
                state_directory=chosen.state_directory,
                health_interval=chosen.health_interval,
                drain_delay=chosen.drain_delay,
                details="always" if host in {"127.0.0.1", "::1"} else "never",  # what is wrong inside is not everybody's business
            )
        )
        app = assemble(chosen, runtime, stack)
        measurand.fastapi(app)
        LOG.info("serving", extra={"url": f"http://{host}:{port}/"})
        patience = max(int(runtime.lifecycle.budget - chosen.drain_delay), 1)  # for requests that do not end
        uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=patience)).run(sockets=[listener])


def _listen(chosen: Settings) -> socket.socket:
    if chosen.listener is not None:
        return socket.socket(fileno=chosen.listener)
    return socket.create_server((chosen.host, chosen.port), family=socket.AF_INET6 if ":" in chosen.host else socket.AF_INET)


def _wait_for_the_end_of_stdin() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
