"""The server that the conformance kit plays for WSGI applications: as strict as real ones are."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from measurand.testing.http import Answer
from measurand.testing.http_wsgi import FileWrapper, WsgiDriver, WsgiExchange

pytestmark = pytest.mark.once

Environ = dict[str, Any]
Start = Callable[..., Any]


def hello(environ: Environ, start_response: Start) -> list[bytes]:
    start_response("200 OK", [("X-Path", environ["PATH_INFO"]), ("X-Query", environ["QUERY_STRING"])])
    return [b"hel", b"lo"]


class Body:
    """A body that remembers how it was treated."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.taken = 0
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.taken += 1
            yield chunk

    def close(self) -> None:
        self.closed += 1


def returning(body: Any, status: str = "200 OK") -> Any:
    def app(environ: Environ, start_response: Start) -> Any:
        start_response(status, [])
        return body

    return app


def test_an_answer_has_status_headers_and_the_whole_body() -> None:
    answer = WsgiDriver(hello).request("GET", "/a%20b?c=d")
    assert answer == Answer(200, [("x-path", "/a b"), ("x-query", "c=d")], b"hello")


def test_the_environment_can_be_changed() -> None:
    seen: list[Environ] = []

    def app(environ: Environ, start_response: Start) -> list[bytes]:
        seen.append(environ)
        return hello(environ, start_response)

    WsgiDriver(app, SCRIPT_NAME="/shop").request("PUT", "/x", b"12345")
    ((environ),) = seen
    assert (environ["SCRIPT_NAME"], environ["REQUEST_METHOD"], environ["CONTENT_LENGTH"]) == ("/shop", "PUT", "5")


def test_a_body_is_read_to_its_end() -> None:
    def app(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    assert WsgiDriver(app).request("POST", "/", b"x" * 100_000).body == b"x" * 100_000


def test_what_the_application_raises_is_answered_with_500() -> None:
    def app(environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [])
        raise ValueError("no")

    exchange = WsgiExchange(app, "GET", "/")
    assert exchange.run() == Answer(500, [], b"")
    assert isinstance(exchange.error, ValueError)


def test_an_exception_in_mid_stream_ends_the_body_with_what_was_sent() -> None:
    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        raise ValueError("no")

    assert WsgiDriver(app).request("GET", "/") == Answer(200, [], b"one")


@pytest.mark.parametrize(
    "app",
    [
        lambda environ, start_response: [b"never started"],
        lambda environ, start_response: None,
        lambda environ, start_response: start_response("200 OK", []) and start_response("200 OK", []),
        returning(["text"]),
        returning([], "wrong"),
    ],
)
def test_what_the_specification_forbids_is_an_error(app: Any) -> None:
    exchange = WsgiExchange(app, "GET", "/")
    assert exchange.run().status == 500
    assert exchange.error is not None


def test_a_response_can_be_started_anew_until_something_was_sent() -> None:
    def app(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [])
        try:
            raise ValueError("no")
        except ValueError as error:
            start_response("503 Sorry", [], (type(error), error, error.__traceback__))
        return [b"later"]

    assert WsgiDriver(app).request("GET", "/")[::2] == (503, b"later")

    def too_late(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [])(b"sent")
        error = ValueError("too late")
        start_response("503 Sorry", [], (ValueError, error, None))
        return []

    exchange = WsgiExchange(too_late, "GET", "/")
    assert exchange.run() == Answer(200, [], b"sent")
    assert isinstance(exchange.error, ValueError)


def test_a_single_chunk_gets_its_length_announced_and_others_do_not() -> None:
    assert WsgiDriver(returning([b"four"])).request("GET", "/").headers == [("content-length", "4")]
    assert WsgiDriver(returning([b"fo", b"ur"])).request("GET", "/").headers == []
    assert WsgiDriver(returning(iter([b"four"]))).request("GET", "/").headers == []


@pytest.mark.parametrize(("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")])
def test_responses_without_a_body_have_none(method: str, status: str) -> None:
    assert WsgiDriver(returning([b"body"], status)).request(method, "/").body == b""


def test_a_body_is_closed_once_however_the_request_ends() -> None:
    done, left = Body(b"one", b"two"), Body(b"one", b"two", b"three")
    WsgiDriver(returning(done)).request("GET", "/")
    WsgiDriver(returning(left)).leave_while_reading("/")
    assert (done.taken, done.closed) == (2, 1)
    assert (left.taken, left.closed) == (2, 1)


def test_a_client_that_leaves_while_it_sends_leaves_half_a_body_and_no_way_back() -> None:
    got: list[int] = []
    body = Body(b"thanks")

    def app(environ: Environ, start_response: Start) -> Body:
        got.append(len(environ["wsgi.input"].read()) - int(environ["CONTENT_LENGTH"]))
        start_response("201 Created", [])
        return body

    WsgiDriver(app).leave_while_sending("/")
    assert got[0] < 0
    assert body.closed == 1


def test_a_write_to_a_client_that_left_raises() -> None:
    caught: list[BaseException] = []

    def app(environ: Environ, start_response: Start) -> list[bytes]:
        write = start_response("200 OK", [])
        try:
            for _ in range(3):
                write(b"chunk")
        except OSError as error:
            caught.append(error)
        return []

    WsgiDriver(app).leave_while_reading("/")
    assert isinstance(caught[0], BrokenPipeError)


def test_only_a_file_wrapper_of_the_servers_own_is_sent_in_one_piece() -> None:
    def app(environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [])
        return wrap(environ["wsgi.file_wrapper"](io.BytesIO(b"content"), 3))

    wrap: Callable[[Any], Any] = lambda wrapped: wrapped  # noqa: E731
    exchange = WsgiExchange(app, "GET", "/")
    assert (exchange.run().body, exchange.was_sendfile) == (b"content", True)
    wrap = lambda wrapped: (chunk for chunk in wrapped)  # noqa: E731
    exchange = WsgiExchange(app, "GET", "/")
    assert (exchange.run().body, exchange.was_sendfile, exchange.chunks) == (b"content", False, [b"con", b"ten", b"t"])


def test_closing_a_file_wrapper_closes_the_file() -> None:
    file = io.BytesIO(b"content")
    WsgiDriver(returning(FileWrapper(file))).request("GET", "/")
    assert file.closed
