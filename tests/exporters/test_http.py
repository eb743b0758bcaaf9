"""Requests to a destination, against real sockets."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand import clock
from measurand.errors import ConfigurationError
from measurand.exporters.http import LONGEST_ANSWER, LONGEST_RETRY, Answer, HttpPeer, Unreachable, backoff, bounded
from tests.endpoints.kit import Certificates, make_certificates
from tests.support import StillClock, wait_until

pytestmark = pytest.mark.once

PATIENCE = 20.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Listens on loopback and answers each request with what ``answer`` does with the connection.

    Attributes:
        requests: The heads and bodies that came, as they came.
        connections: How many were opened.
    """

    def __init__(self, answer: Callable[[socket.socket], object], tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.connections = 0
        self.over = threading.Event()
        self._tls = tls
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Server:
        self._threads[0].start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.over.set()
        for one in [self._listener, *self._open]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(PATIENCE)

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/push?db=shop"

    def cut(self) -> None:
        """Close the connections that are open, as a server does that has waited long enough."""
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            while (request := _read(connection)) is not None:
                self.requests.append(request)
                self.answer(connection)


def _read(connection: socket.socket) -> bytes | None:
    head = b""
    while b"\r\n\r\n" not in head:
        part = connection.recv(65536)
        if not part:
            return None
        head += part
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    while len(head.split(b"\r\n\r\n", 1)[1]) < length:
        head += connection.recv(65536)
    return head


def saying(content: bytes) -> Callable[[socket.socket], object]:
    return lambda connection: connection.sendall(content)


@contextmanager
def timed(limit: float) -> Iterator[None]:
    begun = clock.system_monotonic()
    yield
    assert clock.system_monotonic() - begun < limit


# -- connections -------------------------------------------------------------------------------------------------------------


def test_a_request_arrives_as_it_was_given_and_so_does_the_answer() -> None:
    answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\nX-Seen: 7\r\n\r\nthere"
    with Server(saying(answer)) as server:
        peer = HttpPeer(server.url, headers={"X-Scope": "a"})
        got = peer.request(b"body", {"Content-Type": "text/plain"}, timeout=PATIENCE, method="PUT")
        peer.close()
    assert (got.status, got.is_success, got.headers["x-seen"], got.text) == (202, True, "7", "there")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /push?db=shop HTTP/1.1\r\n")
    assert body == b"body"
    for line in (b"X-Scope: a", b"Content-Type: text/plain", b"Content-Length: 4", b"User-Agent: measurand"):
        assert line in head


def test_a_path_of_its_own_goes_in_place_of_the_urls() -> None:
    with Server(saying(OK)) as server:
        peer = HttpPeer(server.url)
        peer.request(b"", timeout=PATIENCE, method="DELETE", target="/other")
        peer.close()
    assert server.requests[0].startswith(b"DELETE /other HTTP/1.1\r\n")


def test_one_connection_is_kept_for_many_requests() -> None:
    with Server(saying(OK)) as server:
        peer = HttpPeer(server.url)
        for _ in range(5):
            assert peer.request(b"x", timeout=PATIENCE).body == b"ok"
        peer.close()
    assert server.connections == 1


def test_a_connection_that_was_closed_meanwhile_is_made_anew_and_nothing_is_said() -> None:
    with Server(saying(OK)) as server:
        peer = HttpPeer(server.url)
        peer.request(b"x", timeout=PATIENCE)
        server.cut()
        assert peer.request(b"y", timeout=PATIENCE).is_success
        peer.close()
    assert server.connections == 2
    assert [request[-1:] for request in server.requests] == [b"x", b"y"]


def test_a_server_that_ends_the_connection_with_its_answer_is_asked_on_another_one() -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")
        connection.shutdown(socket.SHUT_RDWR)

    with Server(answer) as server:
        peer = HttpPeer(server.url)
        assert [peer.request(b"x", timeout=PATIENCE).body for _ in range(2)] == [b"all of it"] * 2
        peer.close()
    assert server.connections == 2


def test_an_answer_without_end_is_read_up_to_what_it_is_worth() -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not server.over.is_set():
            connection.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")

    with Server(answer) as server:
        peer = HttpPeer(server.url)
        assert peer.request(b"x", timeout=PATIENCE).body == b"x" * LONGEST_ANSWER
        server.answer = saying(OK)
        assert peer.request(b"x", timeout=PATIENCE).body == b"ok"
        peer.close()


# -- no answer ---------------------------------------------------------------------------------------------------------------


def test_where_nobody_listens_that_is_said() -> None:
    with Server(saying(OK)) as server:
        url = server.url
    with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:\d+/push cannot be reached: .*refused") as caught:
        HttpPeer(url).request(b"x", timeout=PATIENCE)
    assert not caught.value.is_sent


def test_a_silent_server_is_given_up_in_time_and_may_have_got_it() -> None:
    with Server(lambda connection: server.over.wait(PATIENCE)) as server:
        peer = HttpPeer(server.url)
        with timed(PATIENCE / 2), pytest.raises(Unreachable, match="timed out") as caught:
            peer.request(b"x", timeout=0.2)
    assert caught.value.is_sent


def test_a_server_that_reads_nothing_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = HttpPeer(f"http://127.0.0.1:{listener.getsockname()[1]}")
        with timed(PATIENCE / 2), pytest.raises(Unreachable, match="timed out") as caught:
            peer.request(b"x" * 30_000_000, timeout=0.2)
    assert not caught.value.is_sent


@pytest.mark.parametrize(
    ("before", "each"),
    [
        (b"", b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 1000),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x" * 9999),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000),
    ],
    ids=["head", "body", "chunks"],
)
def test_an_answer_that_comes_drop_by_drop_is_given_up_in_time(before: bytes, each: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(before)
        for byte in each:
            connection.sendall(bytes([byte]))
            if server.over.wait(0.01):
                return

    with Server(answer) as server, timed(PATIENCE / 4), pytest.raises(Unreachable, match="timed out"):
        HttpPeer(server.url).request(b"x", timeout=0.3)


def test_what_is_no_http_is_no_answer() -> None:
    with Server(saying(b"SSH-2.0-OpenSSH_9.2\r\n")) as server, pytest.raises(Unreachable, match=r"SSH-2\.0"):
        HttpPeer(server.url).request(b"x", timeout=PATIENCE)


def test_a_server_that_hangs_up_on_every_request_is_not_asked_for_ever() -> None:
    with Server(lambda connection: connection.shutdown(socket.SHUT_RDWR)) as server:
        peer = HttpPeer(server.url)
        with pytest.raises(Unreachable):
            peer.request(b"x", timeout=PATIENCE)
        assert server.connections == 1
        server.answer = saying(OK)
        assert peer.request(b"x", timeout=PATIENCE).is_success
        peer.close()


# -- TLS and credentials -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(Path(tmp_path_factory.mktemp("certificates")))


def test_it_speaks_tls_with_whom_it_trusts_only(certificates: Certificates) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    with Server(saying(OK), context) as server:
        peer = HttpPeer(server.url, tls=certificates.trusting())
        assert [peer.request(b"x", timeout=PATIENCE).body for _ in range(2)] == [b"ok"] * 2
        peer.close()
        with pytest.raises(Unreachable, match="certificate verify failed"):
            HttpPeer(server.url).request(b"x", timeout=PATIENCE)


@pytest.mark.parametrize(
    ("user", "settings", "expected"),
    [
        ("", {}, None),
        ("ada:p%40ss@", {}, b"Authorization: Basic YWRhOnBAc3M="),
        ("", {"username": "ada", "password": "p@ss"}, b"Authorization: Basic YWRhOnBAc3M="),
        ("other:one@", {"username": "ada", "password": "p@ss"}, b"Authorization: Basic YWRhOnBAc3M="),
        ("", {"bearer_token": "t0ken"}, b"Authorization: Bearer t0ken"),
    ],
)
def test_credentials_go_along(user: str, settings: dict[str, str], expected: bytes | None) -> None:
    with Server(saying(OK)) as server:
        peer = HttpPeer(server.url.replace("//", f"//{user}"), **settings)  # type: ignore[arg-type]
        peer.request(b"x", timeout=PATIENCE)
        peer.close()
    found = [line for line in server.requests[0].split(b"\r\n") if line.startswith(b"Authorization")]
    assert found == ([expected] if expected else [])
    assert f"Host: 127.0.0.1:{server.port}".encode() in server.requests[0].split(b"\r\n")


def test_credentials_are_in_no_message() -> None:
    with Server(saying(OK)) as server:
        address = server.url.removeprefix("http://")
    peer = HttpPeer(f"http://ada:hunter2@{address}&token=hunter2")
    with pytest.raises(Unreachable) as unreachable:
        peer.request(b"x", timeout=PATIENCE)
    with Server(saying(OK)) as server:
        peer = HttpPeer(server.url, bearer_token="hunter2")
        with pytest.raises(Unreachable) as unwritable:
            peer.request(b"x", {"X-Key": "hunter2\r\nX-More: 1"}, timeout=PATIENCE)
        with pytest.raises(Unreachable) as unreadable:
            peer.request(b"x", target="/x?token=hunter2 \n", timeout=PATIENCE)
        assert peer.request(b"x", timeout=PATIENCE).is_success
        peer.close()
    messages = [str(caught.value) for caught in (unreachable, unwritable, unreadable)]
    for url in ("ftp://ada:hunter2@host/", "http://ada:hunter2@host:port/", "ada:hunter2@host"):
        with pytest.raises(ConfigurationError, match="no address to send to") as refused:
            HttpPeer(url)
        messages.append(str(refused.value) if "://" in url else "")
    with pytest.raises(ConfigurationError, match=r"'Authorization' for .* has a line break in it") as broken:
        HttpPeer("http://127.0.0.1/", bearer_token="hunter2\n")
    with pytest.raises(ConfigurationError, match="choose one") as two:
        HttpPeer("http://ada:hunter2@127.0.0.1/", bearer_token="hunter2")
    messages += [str(broken.value), str(two.value), peer.shown]
    assert [message for message in messages if "hunter2" in message] == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://[::1]:9091/a", "http://[::1]:9091/a"),
        ("https://host", "https://host"),
        ("https://ada:secret@host:8443/x?key=1", "https://host:8443/x"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert HttpPeer(url).shown == shown


# -- what an answer means ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120.0),
        (" 0.5 ", 0.5),
        ("-3", 0.0),
        ("99999", LONGEST_RETRY),
        ("inf", None),
        ("nan", None),
        ("", None),
        ("soon", None),
        (formatdate(1.7e9 + 30, usegmt=True), 30.0),
        (formatdate(1.7e9 + 30), 30.0),
        (formatdate(1.7e9 - 30, usegmt=True), 0.0),
        (formatdate(1.7e9 + 1e6, usegmt=True), LONGEST_RETRY),
    ],
)
def test_how_long_to_wait_is_understood_in_both_forms(still_clock: StillClock, said: str, seconds: float | None) -> None:
    assert Answer(429, {"retry-after": said}, b"").retry_after == seconds


def test_an_answer_that_does_not_say_how_long_to_wait() -> None:
    assert Answer(503, {}, b"").retry_after is None


@given(st.text(max_size=60))
def test_no_retry_after_is_too_strange(said: str) -> None:
    seconds = Answer(429, {"retry-after": said}, b"").retry_after
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY


def test_the_text_of_an_answer_is_one_short_line() -> None:
    assert Answer(400, {}, b"text format parsing error\n  in line 1:\xff " + b"x" * 1000).text.startswith(
        "text format parsing error in line 1:\ufffd xxx"
    )
    assert len(Answer(400, {}, b"x" * 1000).text) == 300


def test_waiting_doubles_up_to_a_bound_and_is_spread() -> None:
    for failures, longest in ((0, 1.0), (1, 1.0), (2, 2.0), (5, 16.0), (9, 60.0), (10_000, 60.0)):
        waits = {backoff(failures, 1.0, 60.0) for _ in range(100)}
        assert longest / 2 <= min(waits) < max(waits) <= longest


def test_a_delivery_takes_as_long_as_the_exporter_allows_or_as_there_is() -> None:
    assert (bounded(5.0, 2.0), bounded(5.0, 60.0)) == (2.0, 5.0)
    assert bounded(5.0, -1.0) > 0


def test_a_request_that_has_no_time_left_has_a_moment_all_the_same() -> None:
    with Server(saying(OK)) as server:
        peer = HttpPeer(server.url)
        with suppress(Unreachable):  # it may be too short on a busy machine
            peer.request(b"x", timeout=-1.0)
        assert wait_until(lambda: server.connections == 1)
        peer.close()
