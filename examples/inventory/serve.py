"""Serves the application: the one place that reads the environment, opens the database and starts threads.

Promises: nothing starts at import; SIGTERM and Ctrl-C end the process in order, within 5 seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError
from waitress.server import create_server

from . import dashboard, kits
from .app import create_app
from .database import Database
from .errors import InvalidError
from .refresher import Refresher
from .signals import stop_on_signals

THREADS = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.inventory", description="Serve the workshop inventory.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on, 0 for a free one (default: %(default)s)")
    parser.add_argument(
        "--database-url",
        default=os.environ.get("DATABASE_URL", "sqlite:///inventory.db"),
        help="SQLAlchemy URL (default: $DATABASE_URL, else inventory.db in this directory)",
    )
    parser.add_argument(
        "--refresh-interval", type=float, default=15, metavar="S", help="seconds between refreshes of the gauges (default: %(default)g)"
    )
    chosen = parser.parse_args(arguments)
    if chosen.refresh_interval <= 0:
        parser.error("--refresh-interval must be above 0")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop_on_signals()
    with contextlib.ExitStack() as stack:
        try:
            database = stack.enter_context(contextlib.closing(Database(chosen.database_url)))
            database.create_tables()
        except (InvalidError, SQLAlchemyError, ImportError) as reason:
            print(f"cannot open the database: {reason}; choose another one with DATABASE_URL or --database-url", file=sys.stderr)
            return 1
        try:
            listener = listen(chosen.host, chosen.port)
        except OSError as reason:
            print(f"cannot listen on {chosen.host}:{chosen.port}: {reason}; choose another one with --port", file=sys.stderr)
            return 1
        print(f"The inventory is served at {address(listener)} (metrics: {address(listener)}metrics); Ctrl-C stops it.", flush=True)
        run(database, listener, refresh_interval=chosen.refresh_interval)
    return 0


def run(database: Database, listener: socket.socket, *, refresh_interval: float) -> None:
    """Serve on a listening socket until the main thread is told to leave; the gauges are refreshed every so many seconds.

    The tables of the database have to exist.
    """

    def refresh() -> None:
        dashboard.refresh(database)
        kits.refresh_counts(database)

    server = create_server(create_app(database), sockets=[listener], threads=THREADS, ident=None)
    with contextlib.closing(server), Refresher(refresh, refresh_interval):
        server.run()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``OSError`` when the address is taken or not ours."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def address(listener: socket.socket) -> str:
    """The URL of what listens there, with a slash at its end."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
