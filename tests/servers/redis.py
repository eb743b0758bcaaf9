"""A private Redis, without persistence; it can be stopped and started again on its port, and paused so that it hangs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
from functools import cache
from pathlib import Path
from typing import Self

from tests.servers.process import CACHE, Missing, Process, environment_of, free_port, require

__all__ = ["Redis", "binary"]


@cache
def binary() -> Path | Missing:
    """Where the program is: on the path, or in .cache."""
    places = [found for found in (shutil.which("redis-server"),) if found]
    places.append(str(CACHE / "redis" / "usr" / "bin" / "redis-server"))
    return next((Path(place) for place in places if Path(place).exists()), Missing("redis-server", "make servers"))


class Redis:
    """A running Redis, on a free loopback port.

    Args:
        program: From :func:`binary`.
        folder: An empty folder for its log.
        flags: More of its command line.
    """

    def __init__(self, program: Path | Missing, folder: Path, *flags: str) -> None:
        self._program = Path(require(program))
        self._folder = folder
        self._flags = flags
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: Process | None = None
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, if it does not run, and wait until it accepts connections."""
        if self.process is not None:
            return
        listening = ["--port", str(self.port), "--bind", "127.0.0.1"]
        files = ["--dir", str(self._folder), "--save", "", "--appendonly", "no"]
        self.process = Process(
            [str(self._program), *listening, *files, *self._flags], self._folder, env=environment_of(self._program)
        )
        try:
            self.process.said("Ready to accept connections")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it, if it runs; its port then refuses connections."""
        if self.process is not None:
            self.resume()
            process, self.process = self.process, None
            process.stop()

    def pause(self) -> None:
        """Make it hang: connections are accepted by the kernel, and nothing answers."""
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGCONT)

    def connections(self) -> int:
        """How many connections clients hold, without the one that asks."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(b"INFO clients\r\n")
            said = b""
            while not (found := re.search(rb"connected_clients:(\d+)\r\n", said)):
                part = connection.recv(4096)
                assert part, f"the server closed the connection after {said!r}"
                said += part
        return int(found[1]) - 1
