"""What is recorded of a WSGI request, and that nothing of it changes, in every way in which an application can answer."""

from __future__ import annotations

import gc
import io
from collections.abc import Iterator
from typing import Any
from wsgiref.util import FileWrapper as StandardFileWrapper
from wsgiref.validate import validator

import pytest

from measurand.catalog.http import UNMATCHED
from measurand.integrations.wsgi import Middleware
from measurand.integrations.wsgi_exchange import FAILURE, TEMPLATE
from measurand.testing.clock import FakeClock
from measurand.testing.http import Answer, Recorded, StandIn, expected, recorded
from measurand.testing.http_wsgi import WsgiExchange
from measurand.testing.readings import Readings
from tests.integrations.wsgi_apps import Body, Environ, StartResponse, reading, returning, writing


class Sequence:
    """What PEP 234 also calls iterable."""

    def __getitem__(self, index: int) -> bytes:
        return (b"one", b"two")[index]


def raising(error: BaseException, start: str = "") -> Any:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        if start:
            start_response(start, [])
        raise error

    return app


def starting_late(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("202 Accepted", [])
    yield b"late"


def starting_again(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    try:
        raise KeyError("found while rendering")
    except KeyError as error:
        start_response("503 Service Unavailable", [], (KeyError, error, error.__traceback__))
    return [b"sorry"]


APPS: dict[str, tuple[Any, int, str | None]] = {  # the application, the status and the error that are recorded
    "one chunk": (returning([b"one"]), 200, None),
    "two chunks": (returning((b"one", b"two")), 200, None),
    "none": (returning([]), 200, None),
    "an empty chunk": (returning([b""]), 200, None),
    "an iterator": (returning(lambda: iter([b"one", b"two"])), 200, None),
    "a generator": (returning(lambda: (chunk for chunk in (b"one", b"", b"two"))), 200, None),
    "an old sequence": (returning(Sequence()), 200, None),
    "bytes": (returning(b"one"), 200, None),
    "a started generator": (starting_late, 202, None),
    "write": (writing(b"one", b"two"), 200, None),
    "no content": (returning([], "204 No Content"), 204, None),
    "a client's error": (returning([b"no"], "404 Not Found"), 404, "not_found"),
    "a server's error": (returning([b"no"], "502 Bad Gateway"), 502, "bad_gateway"),
    "starting again": (starting_again, 503, "KeyError"),
    "a file": (lambda e, s: returning(e["wsgi.file_wrapper"](io.BytesIO(b"content")))(e, s), 200, None),
    "somebody else's file": (returning(lambda: StandardFileWrapper(io.BytesIO(b"content"))), 200, None),
    "raising at once": (raising(ValueError("no")), 500, "ValueError"),
    "raising after the start": (raising(ValueError("no"), "200 OK"), 500, "ValueError"),
    "raising before the first chunk": (returning(lambda: Body(ValueError("no"))), 500, "ValueError"),
    "raising after the first chunk": (returning(lambda: Body(b"one", ValueError("no"))), 200, "ValueError"),
    "an error of its own connections": (raising(ConnectionResetError("the database")), 500, "ConnectionResetError"),
    "not starting": (lambda environ, start_response: [], 500, "incomplete_response"),
    "returning nothing": (returning(None), 500, "incomplete_response"),
    "text": (returning(["text"]), 500, "TypeError"),
    "numbers": (returning([1]), 500, "TypeError"),
}


def play(app: Any, method: str = "GET", **how: Any) -> tuple[Any, ...]:
    """All that server and client see."""
    exchange = WsgiExchange(app, method, "/", **how)
    answer = exchange.run()
    return answer, exchange.chunks, exchange.was_sendfile, repr(exchange.error)


def measure(app: Any, method: str = "GET", **how: Any) -> Recorded:
    """What is recorded of one request."""
    service = StandIn()
    readings = Readings(service.registry)
    WsgiExchange(Middleware(app, service), method, "/", **how).run()
    return recorded(readings)


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_answer_is_recorded_once_and_not_changed(name: str, method: str) -> None:
    app, status, error_type = APPS[name]
    assert measure(app, method) == expected(method, UNMATCHED, status, error_type)
    assert play(Middleware(app, StandIn()), method) == play(app, method)


@pytest.mark.parametrize("name", [name for name, (_, _, error) in APPS.items() if error is None and name != "bytes"])
def test_the_specification_is_kept_on_both_sides(name: str) -> None:
    """The standard library's validator looks on from the server's side and from the application's."""

    def app(environ: Environ, start_response: StartResponse) -> Any:
        def with_type(status: str, headers: Any, *rest: Any) -> Any:
            return start_response(status, headers if status.startswith("204") else [("Content-Type", "text/plain")], *rest)

        return APPS[name][0](environ, with_type)

    service = StandIn()
    exchange = WsgiExchange(validator(Middleware(validator(app), service)), "GET", "/")
    exchange.run()
    assert exchange.error is None
    assert service.http.in_progress() == 0


def test_the_body_is_closed_once_and_what_it_does_then_is_no_part_of_the_duration() -> None:
    with FakeClock() as clock:
        body = Body(b"one", b"two", at_close=lambda: clock.advance(5.0))
        service = StandIn()
        readings = Readings(service.registry)
        WsgiExchange(Middleware(returning(body), service), "GET", "/").run()
    assert body.events == ["chunk", "chunk", "close"]
    assert readings.delta("http_request_duration_seconds_sum") == 0.0


def test_a_request_is_in_progress_until_the_body_is_closed() -> None:
    service = StandIn()
    seen: list[int] = []
    body = Body(b"one", at_close=lambda: seen.append(service.http.in_progress()))
    WsgiExchange(Middleware(returning(body), service), "GET", "/").run()
    assert seen == [1]
    assert service.http.in_progress() == 0


def test_an_error_at_closing_goes_to_the_server_and_is_not_the_requests() -> None:
    def fail() -> None:
        raise ValueError("at closing")

    service = StandIn()
    readings = Readings(service.registry)
    exchange = WsgiExchange(Middleware(returning(Body(b"one", at_close=fail)), service), "GET", "/")
    exchange.run()
    assert repr(exchange.error) == "ValueError('at closing')"
    assert recorded(readings) == expected("GET", UNMATCHED, 200)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
def test_what_a_server_that_stops_throws_in_is_a_cancellation(error: BaseException) -> None:
    service = StandIn()
    readings = Readings(service.registry)
    for app, status in ((raising(error), 503), (returning(Body(b"one", error)), 200)):
        with pytest.raises(type(error)) as raised:
            WsgiExchange(Middleware(app, service), "GET", "/").run()
        assert raised.value is error
        assert readings.delta("http_requests_failed_total", status=status, error_type="cancelled") == 1


# -- clients that leave --------------------------------------------------------------------------------------------------------


def test_a_client_that_leaves_is_a_disconnect_and_the_body_is_closed() -> None:
    body = Body(b"one", b"two", b"three")
    assert measure(returning(body), leave_after=1) == expected("GET", UNMATCHED, 200, disconnected=True)
    assert body.events == ["chunk", "chunk", "close"]


def test_a_client_that_leaves_a_writer_is_a_disconnect() -> None:
    assert measure(writing(b"one", b"two"), leave_after=1) == expected("GET", UNMATCHED, 200, disconnected=True)


def test_a_client_that_leaves_before_anything_was_written_has_no_status() -> None:
    assert measure(writing(b"one"), leave_after=0) == expected("GET", UNMATCHED, 499, disconnected=True)


def test_a_client_that_leaves_a_file_is_a_disconnect() -> None:
    assert measure(APPS["a file"][0], leave_after=0) == expected("GET", UNMATCHED, 200, disconnected=True)


def test_a_client_that_leaves_while_it_sends_is_one_whatever_the_application_makes_of_it() -> None:
    def refusing(environ: Environ, start_response: StartResponse) -> Any:
        environ["wsgi.input"].read()
        raise OSError("the body is too short")

    for app in (reading, refusing):
        found = measure(app, "POST", body=b"x" * 100, leave_while_sending=True)
        assert found == expected("POST", UNMATCHED, 499, disconnected=True)


def take(app: Any, chunks: int, error: BaseException | None = None, method: str = "GET") -> Recorded:
    """Serve as a server that stops after some chunks, with an error of its own or without, and closes the body."""
    service = StandIn()
    readings = Readings(service.registry)
    played = WsgiExchange(Middleware(app, service), method, "/")
    body = Middleware(app, service)(played.environ, played.start_response)
    try:
        iterator = iter(body)
        for _ in range(chunks):
            next(iterator)
        if error is not None:
            raise error
    except BaseException:
        body.close()
    else:
        body.close()
    return recorded(readings)


THREE = returning(lambda: Body(b"one", b"two", b"three"))


def test_a_server_that_stops_without_a_word_has_lost_its_client() -> None:
    assert take(THREE, 1) == expected("GET", UNMATCHED, 200, disconnected=True)
    assert take(THREE, 0) == expected("GET", UNMATCHED, 499, disconnected=True)


def test_a_server_that_stops_after_the_whole_content_has_not() -> None:
    measured = returning(lambda: Body(b"one", b"two"), headers=[("content-length", "6")])
    assert take(measured, 2) == expected("GET", UNMATCHED, 200)
    assert take(measured, 1) == expected("GET", UNMATCHED, 200, disconnected=True)


def test_a_server_may_leave_out_a_body_that_nobody_gets() -> None:
    assert take(THREE, 0, method="HEAD") == expected("HEAD", UNMATCHED, 200)
    assert take(returning(lambda: Body(b""), "304 Not Modified"), 0) == expected("GET", UNMATCHED, 304)


@pytest.mark.parametrize(
    "error", [BrokenPipeError(), ConnectionResetError(), TimeoutError(), type("ClientDisconnected", (Exception,), {})()]
)
def test_a_server_whose_socket_fails_has_lost_its_client(error: Exception) -> None:
    assert take(THREE, 1, error) == expected("GET", UNMATCHED, 200, disconnected=True)


def test_a_server_that_cannot_use_a_chunk_has_not_lost_its_client() -> None:
    assert take(THREE, 1, TypeError("not bytes")) == expected("GET", UNMATCHED, 200, "TypeError")


def test_a_body_that_nobody_closes_is_recorded_when_it_is_let_go() -> None:
    service = StandIn()
    readings = Readings(service.registry)
    played = WsgiExchange(THREE, "GET", "/")
    b"".join(Middleware(THREE, service)(played.environ, played.start_response))
    played.environ.clear()
    gc.collect()
    assert recorded(readings) == expected("GET", UNMATCHED, 200)


# -- what inner code knows -----------------------------------------------------------------------------------------------------


def test_inner_code_can_name_the_route_and_the_failure() -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ[TEMPLATE] = "/users/{id}"
        environ[FAILURE] = "LookupError"
        start_response(environ["QUERY_STRING"], [])
        return []

    service = StandIn()
    for status, error_type in (("500 Oh", "LookupError"), ("200 OK", None), ("404 No", "not_found")):
        readings = Readings(service.registry)
        WsgiExchange(Middleware(app, service), "GET", f"/users/7?{status}").run()
        assert recorded(readings) == expected("GET", "/users/{id}", int(status[:3]), error_type)


@pytest.mark.parametrize("length", ["", "0", "-5", "abc", "²", "9" * 5000])
def test_no_length_of_a_body_that_a_client_makes_up_keeps_a_request_from_being_recorded(length: str) -> None:
    assert measure(reading, "POST", CONTENT_LENGTH=length) == expected("POST", UNMATCHED, 201)


def test_an_answer_is_given_as_the_application_makes_it() -> None:
    assert WsgiExchange(Middleware(returning([b"four"]), StandIn()), "GET", "/").run() == Answer(200, [("content-length", "4")], b"four")
