"""The service as a command: reads the environment, prepares the database, and has gunicorn serve the application with several workers.

Promises: nothing starts at import; what is wrong with the settings is said in one line before anything is served. SIGTERM drains: the
service says that it is not ready, goes on answering for the drain delay, finishes what it has begun, and ends. Ctrl-C does not wait for
the delay. A worker that dies is replaced, and nothing that it had counted is lost.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker
from sqlalchemy.exc import SQLAlchemyError

from . import worker
from .errors import InvalidError
from .relay import Relay
from .settings import Settings

WORKERS = 4
THREADS = 24  # of each worker; eight of them may be held by event streams
SECONDS_TO_KEEP_ALIVE = 30


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit status; does not return while the service runs."""
    default = Settings()
    parser = argparse.ArgumentParser(prog="python -m examples.inventory", description="Serve the workshop inventory.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on, 0 for a free one (default: %(default)s)")
    parser.add_argument("--database-url", help="SQLAlchemy URL (default: $DATABASE_URL, else inventory.db in this directory)")
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes that serve (default: %(default)s)")
    for name, what in (
        ("refresh-interval", "seconds between refreshes of the gauges"),
        ("heartbeat", "seconds of silence on an event stream after which it is written to all the same"),
        ("drain-delay", "seconds to go on answering after SIGTERM"),
    ):
        was = getattr(default, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=float, metavar="S", help=f"{what} (default: {was:g})")
    parser.add_argument("--log-level", choices=("info", "warning", "error"), help=f"what to log (default: {default.log_level})")
    chosen = vars(parser.parse_args(arguments))
    host, port, workers = chosen.pop("host"), chosen.pop("port"), chosen.pop("workers")
    settings = Settings.read(os.environ, **chosen)
    if settings.refresh_interval <= 0 or settings.heartbeat <= 0 or not 0 <= settings.drain_delay < worker.BUDGET:
        parser.error(f"intervals must be above 0, and the drain delay below {worker.BUDGET} s")
    if workers < 1:
        parser.error("at least one worker has to serve")
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every request
    try:
        with contextlib.ExitStack() as stack:  # closed before the workers begin, which open their own
            settings.open(stack)[0].create_tables()
    except (InvalidError, SQLAlchemyError, ImportError) as reason:
        print(f"cannot start: {reason}; see --help for what can be set", file=sys.stderr)
        return 1
    try:
        listener = listen(host, port)
    except OSError as reason:
        print(f"cannot listen on {host}:{port}: {reason}; choose another one with --port", file=sys.stderr)
        return 1
    Server(settings, listener, workers).run()
    return 0


class Server(BaseApplication):
    """gunicorn with threads, for one application on one listening socket, which it takes over."""

    def __init__(self, settings: Settings, listener: socket.socket, workers: int) -> None:
        self._settings = settings
        self._workers = workers
        self._relay = Relay(2 * workers)  # while gunicorn reloads, old and new ones serve side by side
        self._place: int | None = None  # in a worker, its own
        self._url = address(listener)
        self._file = listener.detach()
        self._places_to_take, all_of_them = os.pipe()  # read by each worker when it is up: the last one finds the mark
        os.write(all_of_them, b"." * (workers - 1) + b"!")
        os.close(all_of_them)
        self._runtime: Any = None
        super().__init__()

    def load_config(self) -> None:
        """Tell gunicorn how to serve. It reads no file and no variable."""
        wanted = {
            "bind": f"fd://{self._file}",
            "worker_class": "gthread",
            "workers": self._workers,
            "threads": THREADS,
            "keepalive": SECONDS_TO_KEEP_ALIVE,
            "graceful_timeout": worker.BUDGET + 5,  # the runtime keeps to its budget; this is for when it cannot
            "loglevel": self._settings.log_level,
            "control_socket_disable": True,  # this service is told things by signals only
            "pre_fork": self._find_a_place,
            "post_fork": self._take_the_place,
            "post_worker_init": self._is_up,
            "worker_int": self._end_streams,
            "worker_exit": self._stop,
        }
        for name, value in wanted.items():
            if name in self.cfg.settings:  # older versions know fewer
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """The application; called in each worker."""
        self._runtime, app = worker.begin(self._settings, self._relay, self._place)
        return app

    def _find_a_place(self, arbiter: Arbiter, next_one: Worker) -> None:
        """In the process that starts the workers."""
        next_one.place = self._relay.free(each.place for each in arbiter.WORKERS.values())

    def _take_the_place(self, _arbiter: Arbiter, begun: Worker) -> None:
        self._place = begun.place

    def _is_up(self, _began: Worker) -> None:
        """The worker serves, and has its signal handlers: the runtime need not wait for the first request to begin."""
        self._runtime.server_started(None)
        if os.read(self._places_to_take, 1) == b"!":
            by = f"{self._workers} workers" if self._workers > 1 else "one worker"
            print(f"The inventory is served at {self._url} by {by} (metrics: {self._url}metrics); Ctrl-C stops it.", flush=True)

    def _end_streams(self, _worker: Worker) -> None:
        """Ctrl-C: nobody waits for listeners then. Called in a signal handler, where no lock may be waited for."""
        if self._runtime is not None:
            threading.Thread(target=self._runtime.lifecycle.drain, daemon=True).start()

    def _stop(self, _arbiter: Arbiter, _worker: Worker) -> None:
        if self._runtime is not None:
            self._runtime.stop()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``OSError`` when the address is taken or not ours."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def address(listener: socket.socket) -> str:
    """The URL of what listens there, with a slash at its end."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
