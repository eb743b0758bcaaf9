"""Everything that can be chosen at the start; read here, once, from the command line and the environment."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

IN_PROCESS = "memory://"
"""The broker by default: queues in the memory of the one process there is then."""

ALL, FRONT, WORKER = ROLES = ("all", "front", "worker")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """See ``read`` for what each is."""

    token: str = field(repr=False)
    role: str = ALL
    host: str = "127.0.0.1"
    port: int = 0
    until_stdin_ends: bool = False
    environment: str = "development"
    database_url: str = "sqlite:///channelbot.db"
    broker_url: str = IN_PROCESS
    telegram_api: str = "https://api.telegram.org"
    views_url: str | None = None
    concurrency: int = 2
    interval: float = 5.0
    health_interval: float = 5.0
    drain_delay: float = 5.0
    state_directory: Path = Path("channelbot-state")

    @property
    def has_front(self) -> bool:
        """Whether this process has the bot and the API."""
        return self.role != WORKER

    @property
    def has_worker(self) -> bool:
        """Whether this process does the tasks."""
        return self.role != FRONT


def read(arguments: Sequence[str] | None = None) -> Settings:
    """The settings; a wrong one ends the program with a message."""
    environment = os.environ.get
    parser = argparse.ArgumentParser(prog="python -m examples.channelbot", description="Serve the channel bot.")
    add = parser.add_argument
    add(
        "role",
        nargs="?",
        choices=ROLES,
        default=ALL,
        help="bot, API and tasks in one process (all, the default); bot and API (front); or tasks, in processes of Celery's (worker)",
    )
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=0, help="port to listen on (default: a free one)")
    add("--until-stdin-ends", action="store_true", help="stop when standard input does: with the process that holds its other end")
    add("--environment", default=environment("ENVIRONMENT", "development"), help="where it runs (default: $ENVIRONMENT, else development)")
    add(
        "--database-url",
        default=environment("DATABASE_URL", "sqlite:///channelbot.db"),
        help="as SQLAlchemy has it (default: $DATABASE_URL, else channelbot.db in this directory)",
    )
    add(
        "--redis-url",
        default=environment("REDIS_URL") or None,
        help="of the broker (default: $REDIS_URL, else queues in this process, for the role all)",
    )
    add("--telegram-api", default=environment("TELEGRAM_API", "https://api.telegram.org"), help="the Bot API server (default: %(default)s)")
    add(
        "--views-url",
        default=environment("VIEWS_URL") or None,
        help="who counts readers of posts (default: $VIEWS_URL, else nobody)",
    )
    add("--concurrency", type=int, default=2, help="tasks at a time (default: %(default)s)")
    add("--interval", type=_positive, default=5.0, metavar="S", help="seconds between two looks at what is due (default: %(default)g)")
    add("--health-interval", type=_positive, default=5.0, metavar="S", help="seconds between two health checks (default: %(default)g)")
    add("--drain-delay", type=float, default=5.0, metavar="S", help="seconds from SIGTERM until no request is taken (default: %(default)g)")
    add("--state-directory", type=Path, default=Path("channelbot-state"), help="what has to outlive the process (default: %(default)s)")
    chosen = vars(parser.parse_args(arguments))
    token = environment("BOT_TOKEN", "")  # a secret: other users of a machine can read command lines
    if not token:
        parser.error("set BOT_TOKEN to the token of the bot")
    broker = chosen.pop("redis_url") or IN_PROCESS
    if broker == IN_PROCESS and chosen["role"] != ALL:
        parser.error(f"the role {chosen['role']} needs a broker that processes share: set REDIS_URL")
    return Settings(token=token, broker_url=broker, **chosen)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value
