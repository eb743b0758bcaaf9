"""A small client for load: some threads with a connection for each request, some that keep theirs, and watchers of the probes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple

__all__ = ["Answer", "Client", "Load"]

PAUSE = 0.005
"""Seconds between two requests of one thread: load, not an attack on the machine that also runs the server."""


class Answer(NamedTuple):
    """What became of one request."""

    path: str
    asked: float
    answered: float
    status: int
    """0 if there was none."""
    problem: str = ""


class Client:
    """Asks one server; for one thread.

    A server may close an idle connection at any moment, also while a request is on its way to it; a client that finds a *used*
    connection closed before the first byte of a response asks once more on a new one, as RFC 9110 says in section 9.2.2.
    """

    def __init__(self, port: int, *, keeps: bool) -> None:
        self._port = port
        self._keeps = keeps
        self._connection: HTTPConnection | None = None
        self.repeated = 0

    def ask(self, path: str, timeout: float = 20.0) -> Answer:
        asked = time.monotonic()
        is_used = self._connection is not None
        try:
            status = self._ask(path, timeout)
        except (HTTPException, OSError) as problem:
            self.close()
            if is_used and isinstance(problem, ConnectionError):
                self.repeated += 1
                return self.ask(path, timeout)._replace(asked=asked)
            return Answer(path, asked, time.monotonic(), 0, repr(problem))
        return Answer(path, asked, time.monotonic(), status)

    def _ask(self, path: str, timeout: float) -> int:
        if self._connection is None:
            self._connection = HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        response.read()
        if not self._keeps or response.will_close:
            self.close()
        return response.status

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Load:
    """Threads that ask until they are told to stop, or until ``is_over`` says so of an answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._clients: list[Client] = []
        self.answers: list[Answer] = []

    def add(self, path: str, *, count: int = 1, keeps: bool = False, is_over: Callable[[Answer], bool] = lambda answer: False) -> None:
        """Start ``count`` more threads that ask for ``path``."""
        for _ in range(count):
            client = Client(self._port, keeps=keeps)
            self._clients.append(client)
            self._threads.append(threading.Thread(target=self._run, args=(client, path, is_over)))
            self._threads[-1].start()

    def _run(self, client: Client, path: str, is_over: Callable[[Answer], bool]) -> None:
        while not self._stop.is_set():
            answer = client.ask(path)
            self.answers.append(answer)
            if is_over(answer):
                break
            self._stop.wait(PAUSE)
        client.close()

    @property
    def repeated(self) -> int:
        """Requests that met a connection which the server had just closed."""
        return sum(client.repeated for client in self._clients)

    def stop(self) -> None:
        """Ask no more, and wait for the answers to what has been asked."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
