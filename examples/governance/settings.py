"""Everything that can be chosen when a service starts; read here, once, from the command line and the environment."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .constitution import Constitution

SERVICES = ("event-writer", "observer", "api", "watchdog")
"""In the order in which they are best started; any order works."""

WORKERS = {"api": 4}
"""Processes that serve by default. The others do what only one shall do, and are one process: append to the log, judge it, watch."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """See ``read`` for what each is."""

    service: str
    environment: str
    host: str
    port: int
    listener: int | None
    until_stdin_ends: bool
    workers: int
    database_url: str
    redis_url: str | None
    event_writer: str
    watched: dict[str, str]
    interval: float
    health_interval: float
    drain_delay: float
    patience: float
    state_directory: Path
    constitution: Constitution


def read(arguments: Sequence[str] | None = None) -> Settings:
    """The settings; a wrong one ends the program with a message."""
    default = Constitution()
    parser = argparse.ArgumentParser(prog="python -m examples.governance", description="Serve one of the four governance services.")
    add = parser.add_argument
    add("service", choices=SERVICES)
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=0, help="port to listen on (default: a free one)")
    add("--listener", type=int, metavar="FD", help="a listening socket that the parent process left open, instead")
    add("--until-stdin-ends", action="store_true", help="stop when standard input does: with the process that holds its other end")
    add("--workers", type=int, help=f"processes that serve; more than one for the api only (default: {WORKERS['api']} there)")
    add(
        "--environment",
        default=os.environ.get("ENVIRONMENT", "development"),
        help="where it runs (default: $ENVIRONMENT, else development)",
    )
    add(
        "--database-url",
        default=os.environ.get("DATABASE_URL", "sqlite:///governance.db"),
        help="of the event store (default: $DATABASE_URL, else governance.db in this directory)",
    )
    add(
        "--redis-url",
        default=os.environ.get("REDIS_URL") or None,
        help="of the queue (default: $REDIS_URL, else no queue: acts go by HTTP)",
    )
    add("--event-writer", default="http://127.0.0.1:8001", metavar="URL", help="where acts go without a queue (default: %(default)s)")
    add("--watch", action="append", default=[], metavar="NAME=URL", help="a service for the watchdog to watch; may be given several times")
    add(
        "--interval",
        type=_positive,
        default=2.0,
        metavar="S",
        help="seconds between two looks of observer and watchdog (default: %(default)g)",
    )
    add(
        "--health-interval",
        type=_positive,
        default=5.0,
        metavar="S",
        help="seconds between two runs of a health check (default: %(default)g)",
    )
    add("--drain-delay", type=float, default=5.0, metavar="S", help="seconds from SIGTERM until no request is taken (default: %(default)g)")
    add("--patience", type=_positive, default=15.0, metavar="S", help="seconds without an observer until a halt (default: %(default)g)")
    add("--state-directory", type=Path, default=Path("governance-state"), help="what has to outlive the process (default: %(default)s)")
    add("--quorum", type=int, default=default.quorum, help="votes that a decision needs (default: %(default)s)")
    add(
        "--witness-within", type=_positive, default=default.witness_within, metavar="S", help="seconds to witness in (default: %(default)g)"
    )
    add("--answer-within", type=_positive, default=default.answer_within, metavar="S", help="seconds to answer in (default: %(default)g)")
    chosen = parser.parse_args(arguments)
    watched = dict(pair.split("=", 1) for pair in chosen.watch if "=" in pair)
    if len(watched) != len(chosen.watch):
        parser.error("--watch takes NAME=URL, each name once, such as --watch observer=http://127.0.0.1:8002")
    workers = WORKERS.get(chosen.service, 1) if chosen.workers is None else chosen.workers
    if workers < 1 or (workers > 1 and chosen.service not in WORKERS):
        parser.error(f"--workers: {chosen.service} is served by {'one process or more' if chosen.service in WORKERS else 'one process'}")
    return Settings(
        service=chosen.service,
        environment=chosen.environment,
        host=chosen.host,
        port=chosen.port,
        listener=chosen.listener,
        until_stdin_ends=chosen.until_stdin_ends,
        workers=workers,
        database_url=chosen.database_url,
        redis_url=chosen.redis_url,
        event_writer=chosen.event_writer.rstrip("/"),
        watched={name: url.rstrip("/") for name, url in watched.items()},
        interval=chosen.interval,
        health_interval=chosen.health_interval,
        drain_delay=chosen.drain_delay,
        patience=chosen.patience,
        state_directory=chosen.state_directory,
        constitution=Constitution(quorum=chosen.quorum, witness_within=chosen.witness_within, answer_within=chosen.answer_within),
    )


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value
