"""A running server with one of the applications of this folder, and what that has recorded."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.servers.process import Missing, Process, free_port, require, until

__all__ = ["Server", "total"]

ROOT = Path(__file__).parents[3]


class Server:
    """A server, started and answering.

    Args:
        command: The module to run and its arguments; ``PORT`` stands for the port.
        folder: Where it runs.
        ready: The path that is asked until it answers.
        **environment: Further variables for it.
    """

    def __init__(self, command: list[str], folder: Path, ready: str = "/v1/metrics", **environment: str) -> None:
        if find_spec(command[0].partition(".")[0]) is None:
            require(Missing(command[0], f"pip install {command[0]}"))
        self.folder = folder
        self.port = free_port()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONHASHSEED", "0")  # frameworks write some headers in the order of a set
            patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
            for name, value in environment.items():
                patch.setenv(name, value)
            self.process = Process([sys.executable, "-m", *(part.replace("PORT", str(self.port)) for part in command)], folder)
        try:
            until(lambda: self._answers(ready), lambda: self.process.log, 60)
        except BaseException:
            self.process.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()

    def _answers(self, path: str) -> bool:
        try:
            return self.ask("GET", path) < 500
        except OSError:
            return False

    def ask(self, method: str, path: str, body: bytes | None = None) -> int:
        """The status of an answer that is read to its end, however it ends."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, body)
            response = connection.getresponse()
            with suppress(HTTPException, ConnectionError):
                response.read()
            return response.status

    def connect(self, request: str) -> socket.socket:
        """A connection on which a request, or its beginning, has been sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(request.replace("\n", "\r\n").encode())
        return connection

    def raw(self, request: str) -> bytes:
        """Every byte of the answer to a request that closes its connection, but for those of the date."""
        with self.connect(request) as connection:
            received = b"".join(iter(lambda: connection.recv(65_536), b""))
        head, mark, body = received.partition(b"\r\n\r\n")
        return b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"date:")) + mark + body

    def recorded(self, name: str, **labels: str) -> float:
        """The sum of a metric's series with these labels."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("GET", "/v1/metrics")
            return total(connection.getresponse().read().decode(), name, **labels)

    def until(self, expected: float, name: str, **labels: str) -> None:
        """Wait until the metric is what it should be."""
        until(lambda: self.recorded(name, **labels) == expected, lambda: f"{name} is {self.recorded(name, **labels)}", 60)


def total(page: str, name: str, **labels: str) -> float:
    """The sum of the series of a metrics page with this name and these labels."""
    families = text_string_to_metric_families(page)
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())
