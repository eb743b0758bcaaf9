"""A gate before a server."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from measurand.testing.gate import Gate
from tests.support import in_background

pytestmark = pytest.mark.once


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says what it hears, one connection after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)

        def serve() -> None:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                return
            with connection:
                while data := connection.recv(1000):
                    connection.sendall(data)

        with in_background(serve):
            yield listener.getsockname()[1]


def ask(port: int, timeout: float = 20.0) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(b"hello")
        return connection.recv(1000)


def test_it_passes_on_refuses_and_falls_silent_when_it_is_told_to(echo: int) -> None:
    with Gate("127.0.0.1", echo) as gate:
        assert gate.address == f"127.0.0.1:{gate.port}"
        assert ask(gate.port) == b"hello"
        gate.refuse()
        assert _ask_or_nothing(gate.port) == b""
        gate.fall_silent()
        with pytest.raises(TimeoutError):
            ask(gate.port, 0.1)
        gate.open()
        assert ask(gate.port) == b"hello"


def test_connections_that_are_there_are_cut(echo: int) -> None:
    with Gate("127.0.0.1", echo) as gate, socket.create_connection(("127.0.0.1", gate.port), timeout=20) as connection:
        connection.sendall(b"one")
        assert connection.recv(1000) == b"one"
        gate.fall_silent()
        assert _ends(connection)


def _ends(connection: socket.socket) -> bool:
    try:
        return connection.recv(1000) == b""
    except OSError:
        return True


def _ask_or_nothing(port: int) -> bytes:
    try:
        return ask(port)
    except OSError:
        return b""
