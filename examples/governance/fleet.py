"""The four services as processes of their own, on free loopback ports, for the demo and the tests.

Promises: everything is private to the folder that it was given; each process is started, stopped and killed by itself, on the port that it
had before; at the end of the block all of them are gone.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from .settings import SERVICES

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 8


class Fleet:
    """The services. ``urls`` has their addresses by name.

    Args:
        folder: For the database, the state and the logs.
        database_url: Of the event store; a SQLite file in the folder by default.
        redis_url: Of the queue; without one acts go by HTTP.
        api_port: The port of the api; a free one by default.
        options: More of each service's command line.
    """

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str | None = None,
        redis_url: str | None = None,
        api_port: int = 0,
        options: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self._sockets = {name: _listen(api_port if name == "api" else 0) for name in SERVICES}
        self._ports = {name: listener.getsockname()[1] for name, listener in self._sockets.items()}
        self.urls = {name: f"http://127.0.0.1:{port}" for name, port in self._ports.items()}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._options = [
            *("--database-url", database_url or f"sqlite:///{folder / 'governance.db'}"),
            *(("--redis-url", redis_url) if redis_url else ()),
            *("--event-writer", self.urls["event-writer"]),
            *("--state-directory", str(folder / "state")),
            *options,
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop_all()

    def start_all(self) -> None:
        """Start every service; they need a moment then."""
        for name in SERVICES:
            self.start(name)

    def start(self, name: str) -> None:
        """Start a service that does not run, or no longer."""
        self._forget(name)
        listener = self._sockets.pop(name, None) or _listen_again(self._ports[name])
        watched = [f"--watch={each}={url}" for each, url in self.urls.items() if each != name] if name == "watchdog" else []
        command = [
            sys.executable,
            "-m",
            "examples.governance",
            name,
            f"--listener={listener.fileno()}",
            "--until-stdin-ends",
            *self._options,
            *watched,
        ]
        with listener, self.log_file(name).open("ab") as log:  # the child keeps the socket, so that its port is dead when it is
            self._children[name] = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,  # it ends with this process, however that ends
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[listener.fileno()],
                start_new_session=True,  # the terminal's Ctrl-C reaches the demo alone, which then stops what it started
            )

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a service; one that kills is sent to each of its processes."""
        if number == signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._children[name].pid, number)
        else:
            self._children[name].send_signal(number)

    def pid(self, name: str) -> int:
        """The process of a service, or the one that started its workers."""
        return self._children[name].pid

    def ended(self, name: str, timeout: float = 30) -> int:
        """Wait for the end of a service; its exit status."""
        return self._children[name].wait(timeout)

    def stop(self, *names: str) -> None:
        """Stop services in order; whoever does not end in time is killed."""
        for name in names:
            self._children[name].terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for name in names:
            try:
                self._children[name].wait(max(deadline - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                self.send(name, signal.SIGKILL)
            self._forget(name)

    def _forget(self, name: str) -> None:
        child = self._children.pop(name, None)
        if child is not None:
            child.communicate()  # waits, and closes the pipe

    def stop_all(self) -> None:
        """Stop what runs: who takes requests first, so that nobody misses anybody; and give the ports back."""
        self.stop(*[name for name in reversed(SERVICES) if name in self._children])
        for listener in self._sockets.values():
            listener.close()

    def dead(self) -> list[str]:
        """Services that were started and are not there any more."""
        return [name for name, child in self._children.items() if child.poll() is not None]

    def log_file(self, name: str) -> Path:
        """Where a service's log is."""
        return self.folder / f"{name}.log"

    def is_ready(self, name: str) -> bool:
        """Whether a service wants traffic now."""
        return get_status(f"{self.urls[name]}/v1/ready") == 200


def get_status(url: str, timeout: float = 2) -> int:
    """The status of an answer; 0 when there is none."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=timeout)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", where.path)
        return connection.getresponse().status
    return 0


def _listen(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def _listen_again(port: int) -> socket.socket:
    """On a port that processes which have been killed had a moment ago."""
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        try:
            return _listen(port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(0.02)
