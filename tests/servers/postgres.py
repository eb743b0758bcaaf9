"""A private PostgreSQL cluster; it can be stopped and started again on its port, and paused so that it hangs.

PostgreSQL refuses to run as root: for root it runs as an unprivileged user, in a folder that belongs to that user.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Self

from tests.servers.process import CACHE, Missing, Process, environment_of, free_port, require

__all__ = ["Postgres", "binary", "cluster"]

UNPRIVILEGED = ("postgres", "nobody")

QUICK = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "jit": "off",
    "shared_buffers": "16MB",
    "max_wal_senders": "0",
    "autovacuum": "off",
}
"""Settings of a server whose data nobody will miss."""


@cache
def binary() -> Path | Missing:
    """Where ``postgres`` is, with ``initdb`` beside it: on the path, where Debian installs it, or in .cache."""
    places = [found for found in (shutil.which("postgres"),) if found]
    places += sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/postgres")), reverse=True)
    places += sorted(map(str, CACHE.glob("postgresql/usr/lib/postgresql/*/bin/postgres")), reverse=True)
    programs = [Path(place).resolve() for place in places]
    return next((path for path in programs if path.with_name("initdb").exists()), Missing("postgresql", "make servers"))


def _user() -> dict[str, Any]:
    """Whom to be: oneself, or somebody unprivileged instead of root. For ``subprocess``."""
    if os.geteuid() != 0:
        return {}
    for name in UNPRIVILEGED:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError(f"PostgreSQL does not run as root, and there is no user {' or '.join(UNPRIVILEGED)}")


def _own(folder: Path) -> None:
    """Hand a new folder to the user who will run the server."""
    if user := _user():
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user["user"], user["group"], follow_symlinks=False)


def _reachable(program: Path, folder: Path) -> Path:
    """The program where that user can reach it: in place, or, from a checkout that is private to root, copied."""
    if subprocess.run(["test", "-x", program], check=False, **_user()).returncode == 0:
        return program
    root = program.parents[5]  # what was unpacked: usr/lib/postgresql/15/bin/postgres is below it
    copy = folder / "program"
    if not copy.exists():
        shutil.copytree(root, copy, symlinks=True)
        _own(copy)
    return copy / program.relative_to(root)


@contextmanager
def cluster(program: Path | Missing) -> Iterator[Path]:
    """A new cluster that has never run, to be copied by each server; its folder also holds the program, if that had to be moved."""
    found = Path(require(program))
    with _folder() as folder:
        reachable = _reachable(found, folder)
        command = [str(reachable.with_name("initdb")), "--pgdata", str(folder / "data"), "--username", "postgres"]
        options = ["--auth", "trust", "--no-sync", "--encoding", "UTF8", "--locale", "C"]
        made = subprocess.run(
            [*command, *options], cwd=folder, env=environment_of(reachable), capture_output=True, text=True, check=False, **_user()
        )
        assert made.returncode == 0, made.stdout + made.stderr
        yield folder


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder of that user; not one of pytest's, which only the owner of the test run can enter. Short, as sockets need."""
    folder = Path(tempfile.mkdtemp(prefix="measurand-pg-"))
    _own(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Postgres:
    """A running server, on a free loopback port and on a socket in its folder; user ``postgres``, no password.

    Args:
        program: From :func:`binary`.
        template: From :func:`cluster`.
        settings: Configuration parameters of its own, such as ``max_connections="20"``.
    """

    def __init__(self, program: Path | Missing, template: Path, **settings: str) -> None:
        self._program = _reachable(Path(require(program)), template)
        self._settings = QUICK | settings
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self.process: Process | None = None
        with ExitStack() as stack:
            self.folder = stack.enter_context(_folder())
            stack.callback(self.stop)
            shutil.copytree(template / "data", self.folder / "data")
            _own(self.folder / "data")
            self.start()
            self._cleanup = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._cleanup.close()

    def start(self) -> None:
        """Start it, if it does not run, and wait until it accepts connections."""
        if self.process is not None:
            return
        listening = {"port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": str(self.folder)}
        settings = [part for name, value in (listening | self._settings).items() for part in ("-c", f"{name}={value}")]
        command = [str(self._program), "-D", str(self.folder / "data"), *settings]
        self.process = Process(command, self.folder, env=environment_of(self._program), **_user())
        try:
            self.process.said("database system is ready to accept connections")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it, if it runs, and end its connections; its port then refuses new ones."""
        if self.process is not None:
            self.resume()
            process, self.process = self.process, None
            os.kill(process.pid, signal.SIGINT)  # "fast": SIGTERM would wait for clients
            process.stop()

    def pause(self) -> None:
        """Make it hang, all its processes: connections are accepted by the kernel, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        os.kill(self.process.pid, number)  # the one that starts the others first
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(int(child), number)

    def connections(self) -> int:
        """How many connections clients hold, without the one that asks."""
        ((found,),) = self.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return int(found)

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute a statement as the superuser, on a connection of its own, and return its rows."""
        import psycopg  # noqa: PLC0415 - every test run loads this module, few ask a database

        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def demand_passwords(self) -> None:
        """Let in nobody but ``postgres`` without a password."""
        rules = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (self.folder / "data" / "pg_hba.conf").write_text(rules)
        self.execute("SELECT pg_reload_conf()")
