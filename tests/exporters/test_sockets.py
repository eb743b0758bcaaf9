"""What is sent to a server that says nothing back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand import clock
from measurand.errors import ConfigurationError, ExportFailed
from measurand.exporters.sockets import RESOLVE_AGAIN, DatagramPeer, StreamPeer, host_and_port

pytestmark = pytest.mark.once


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(20)
        yield made


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("localhost", "localhost", 8125),
        (" localhost:1 ", "localhost", 1),
        ("127.0.0.1:65535", "127.0.0.1", 65535),
        ("::1", "::1", 8125),
        ("[::1]", "::1", 8125),
        ("[::1]:9", "::1", 9),
    ],
)
def test_an_address_is_a_host_and_perhaps_a_port(address: str, host: str, port: int) -> None:
    assert host_and_port(address, 8125) == (host, port)


@pytest.mark.parametrize("address", ["", ":1", "a:0", "a:65536", "a:b", "a:-1", "a b:1", "http://a:1", "/run/socket"])
def test_what_is_no_address_is_said(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is no address to send to: give host:port, such as 127\.0\.0\.1:8125"):
        host_and_port(address, 8125)


@given(st.ip_addresses(v=6), st.integers(1, 65535))
def test_any_address_of_ipv6_is_read_with_and_without_a_port(host: Any, port: int) -> None:
    assert host_and_port(f"[{host}]:{port}", 8125) == (str(host), port)
    assert host_and_port(str(host), 8125) == (str(host), 8125)


def test_a_name_is_resolved_once_in_half_a_minute_and_after_an_error(monkeypatch: pytest.MonkeyPatch, server: socket.socket) -> None:
    asked: list[str] = []
    known = [server.getsockname()]
    now = [1000.0]

    def resolve(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", where) for where in known]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(clock, "system_monotonic", lambda: now[0])
    peer = DatagramPeer("udp", ("server.example", 8125))
    assert asked == []
    for number in range(20):
        peer.send(b"%d" % number, 5.0)
        assert server.recv(100) == b"%d" % number
    assert len(asked) == 1
    now[0] += RESOLVE_AGAIN - 1
    peer.send(b"fresh", 5.0)
    assert len(asked) == 1
    now[0] += 1
    peer.send(b"asked again", 5.0)
    assert len(asked) == 2
    assert [server.recv(100), server.recv(100)] == [b"fresh", b"asked again"]
    where = server.getsockname()
    server.close()
    for _ in range(2):
        with pytest.raises(ExportFailed, match=r"server\.example:8125 takes no datagrams: Connection refused"):
            peer.send(b"refused", 5.0)
    assert len(asked) > 3
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(where)
        again.settimeout(20)
        peer.send(b"there again", 5.0)
        assert again.recv(100) == b"there again"
    peer.close()


def test_a_name_that_is_not_known_for_a_while_is_found_later(monkeypatch: pytest.MonkeyPatch, server: socket.socket) -> None:
    def fails(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    peer = DatagramPeer("udp", server.getsockname())
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", fails)
        with pytest.raises(ExportFailed, match="takes no datagrams: Temporary failure in name resolution"):
            peer.send(b"lost", 5.0)
        with pytest.raises(ExportFailed, match="cannot be found: Temporary failure"):
            peer.check()
    peer.check()
    peer.send(b"found", 5.0)
    assert server.recv(100) == b"found"
    peer.close()


def test_a_unix_socket_without_room_is_given_up_in_time_and_loses_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "full.socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        peer = DatagramPeer("unix", path)
        sent = 0
        with pytest.raises(ExportFailed, match="takes no datagrams: timed out"):  # noqa: PT012 - how many it takes is the system's business
            for _ in range(100_000):
                peer.send(b"%d" % sent, 0.01)
                sent += 1
        assert [server.recv(100) for _ in range(sent)] == [b"%d" % number for number in range(sent)]
        peer.send(b"room", 5.0)
        assert server.recv(100) == b"room"
        peer.close()


class Listener:
    """Takes one connection after the other, as ``take`` says."""

    def __init__(self, take: Any, room: int | None = None) -> None:
        self._socket = socket.socket()
        if room is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self._take = take
        self.address = self._socket.getsockname()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self._take(connection)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(20)


def test_a_stream_has_been_read_to_its_end_when_it_is_delivered() -> None:
    read: list[bytes] = []

    def take(connection: socket.socket) -> None:
        parts = b""
        while part := connection.recv(4096):
            parts += part
        read.append(parts)

    listener = Listener(take)
    peer = StreamPeer(listener.address)
    for number in range(20):
        peer.deliver([b"a" * 100_000, b"%d" % number], 20.0)
        assert read[-1] == b"a" * 100_000 + b"%d" % number
    peer.check(20.0)
    listener.close()


def test_a_server_that_closes_at_once_has_not_read_anything() -> None:
    listener = Listener(lambda connection: None)
    peer = StreamPeer(listener.address)
    for _ in range(50):
        with pytest.raises(ExportFailed, match="cannot be reached"):
            peer.deliver([b"a" * 1000] * 10, 20.0)
    listener.close()


def test_a_server_that_ends_the_conversation_with_something_unread_has_not_read_it() -> None:
    done = threading.Event()

    def take(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_WR)
        done.wait(60)

    listener = Listener(take, room=2048)
    with pytest.raises(ExportFailed, match="closed the connection before it had read everything"):
        StreamPeer(listener.address).deliver([b"a" * 20_000], 20.0)
    done.set()
    listener.close()


def test_a_server_that_does_not_read_is_given_up_in_time() -> None:
    done = threading.Event()
    listener = Listener(lambda connection: done.wait(60))
    begun = clock.system_monotonic()
    with pytest.raises(ExportFailed, match="cannot be reached: timed out"):
        StreamPeer(listener.address).deliver((b"a" * 1_000_000 for _ in range(1000)), 0.3)
    assert clock.system_monotonic() - begun < 20
    done.set()
    listener.close()


def test_a_server_that_reads_and_does_not_close_is_not_waited_for_long() -> None:
    done = threading.Event()

    def take(connection: socket.socket) -> None:
        while connection.recv(4096):
            pass
        done.wait(60)

    listener = Listener(take)
    begun = clock.system_monotonic()
    StreamPeer(listener.address).deliver([b"read"], 30.0)
    assert clock.system_monotonic() - begun < 20
    done.set()
    listener.close()
