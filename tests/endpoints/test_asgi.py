"""The metrics page as an ASGI application, in a running event loop."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest

from measurand import REGISTRY, CollectorRegistry, Counter, Gauge, make_asgi_app
from measurand.metrics.families import GaugeMetricFamily

Message = dict[str, Any]


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


async def spoken(app: Any, scope: Message, *received: Message) -> list[Message]:
    """What the application sends, given what it receives."""
    inbox, outbox = list(received), []

    async def receive() -> Message:
        return inbox.pop(0)

    async def send(message: Message) -> None:
        outbox.append(message)

    await app(scope, receive, send)
    return outbox


async def scrape(app: Any, method: str = "GET", path: str = "/metrics", query: bytes = b"", *headers: tuple[bytes, bytes]) -> Answer:
    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": list(headers)}
    start, body = await spoken(app, scope, {"type": "http.request", "body": b"", "more_body": False})
    assert (start["type"], body["type"], body.get("more_body", False)) == ("http.response.start", "http.response.body", False)
    pairs = [(name.decode("ascii"), value.decode("ascii")) for name, value in start["headers"]]
    assert all(name == name.lower() for name, _ in pairs)
    assert len(dict(pairs)) == len(pairs)
    return Answer(start["status"], dict(pairs), body["body"])


def scraped(app: Any, *request: Any) -> Answer:
    return asyncio.run(scrape(app, *request))


# -- HTTP ----------------------------------------------------------------------------------------------------------------------


def test_a_get_gives_the_metrics(registry: CollectorRegistry) -> None:
    status, headers, body = scraped(make_asgi_app(registry))
    assert status == 200
    assert headers["content-length"] == str(len(body))
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"\norders_total 3.0\n" in body


def test_a_head_has_the_headers_only(registry: CollectorRegistry) -> None:
    app = make_asgi_app(registry)
    assert scraped(app, "HEAD") == scraped(app)._replace(body=b"")


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("POST", 405)])
def test_other_methods_learn_what_is_allowed(registry: CollectorRegistry, method: str, status: int) -> None:
    answer = scraped(make_asgi_app(registry), method)
    assert (answer.status, answer.headers["allow"]) == (status, "GET, HEAD, OPTIONS")


def test_an_icon_is_empty(registry: CollectorRegistry) -> None:
    assert scraped(make_asgi_app(registry), "GET", "/favicon.ico").body == b""


def test_the_requests_headers_count_in_any_case(registry: CollectorRegistry) -> None:
    accept = (b"Accept", b"application/openmetrics-text"), (b"ACCEPT-ENCODING", b"gzip")
    answer = scraped(make_asgi_app(registry), "GET", "/", b"", *accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.headers["content-length"] == str(len(answer.body))
    assert gzip.decompress(answer.body).endswith(b"# EOF\n")


def test_a_repeated_header_is_one_list(registry: CollectorRegistry) -> None:
    encodings = (b"accept-encoding", b"br"), (b"accept-encoding", b"gzip")
    formats = (b"accept", b"text/html"), (b"accept", b"application/openmetrics-text")
    answer = scraped(make_asgi_app(registry), "GET", "/", b"", *encodings, *formats)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"].startswith("application/openmetrics-text")


def test_headers_that_are_no_text_do_no_harm(registry: CollectorRegistry) -> None:
    assert scraped(make_asgi_app(registry), "GET", "/", b"\xff\xfe", (b"\xe9", b"\xff"), (b"accept", b"\xff\xfe")).status == 200


def test_names_are_filtered(registry: CollectorRegistry) -> None:
    body = scraped(make_asgi_app(registry), "GET", "/", b"name[]=orders_total&name%5B%5D=unknown").body
    assert [line for line in body.splitlines() if not line.startswith(b"#")] == [b"orders_total 3.0"]


def test_compression_can_be_turned_off(registry: CollectorRegistry) -> None:
    answer = scraped(make_asgi_app(registry, disable_compression=True), "GET", "/", b"", (b"accept-encoding", b"gzip"))
    assert "content-encoding" not in answer.headers
    assert answer.body.startswith(b"# HELP")


def test_a_scope_with_only_what_is_required_is_enough(registry: CollectorRegistry) -> None:
    start, body = asyncio.run(spoken(make_asgi_app(registry), {"type": "http", "method": "GET", "headers": []}))
    assert start["status"] == 200
    assert b"orders_total" in body["body"]


def test_the_default_registry_is_shown_by_default() -> None:
    counter = Counter("asgi_default", "In the default registry")
    try:
        assert b"asgi_default_total 0.0\n" in scraped(make_asgi_app()).body
    finally:
        REGISTRY.unregister(counter)


# -- other scopes --------------------------------------------------------------------------------------------------------------


def test_it_can_be_served_alone_with_a_lifespan(registry: CollectorRegistry) -> None:
    events = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}
    said = asyncio.run(spoken(make_asgi_app(registry), {"type": "lifespan"}, *events))
    assert said == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


def test_a_websocket_is_turned_away(registry: CollectorRegistry) -> None:
    scope = {"type": "websocket", "path": "/metrics", "headers": [], "query_string": b""}
    assert asyncio.run(spoken(make_asgi_app(registry), scope, {"type": "websocket.connect"})) == [{"type": "websocket.close", "code": 1000}]


def test_without_asyncio_it_answers_too(registry: CollectorRegistry) -> None:
    """Other event loops drive the same coroutine; here nobody's."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    registry.register(Late(threading.current_thread()))
    running = make_asgi_app(registry)({"type": "http", "method": "GET", "headers": []}, send, send)  # type: ignore[arg-type]
    with pytest.raises(StopIteration):
        running.send(None)  # type: ignore[attr-defined]
    assert b"\norders_total 3.0\n" in sent[1]["body"]
    assert b"\nlate 1.0\n" in sent[1]["body"]


class Late:
    """A collector that works in one thread only."""

    def __init__(self, home: threading.Thread) -> None:
        self.home = home

    def collect(self) -> Iterable[Any]:
        if threading.current_thread() is not self.home:
            raise RuntimeError("not here")
        return [GaugeMetricFamily("late", "Late", value=1)]


# -- the event loop ------------------------------------------------------------------------------------------------------------


def test_the_loop_goes_on_while_a_slow_collector_is_asked(registry: CollectorRegistry) -> None:
    """The collector waits for something that only the loop can do."""
    asked, done = threading.Event(), threading.Event()

    class Slow:
        def collect(self) -> Iterable[Any]:
            asked.set()
            return [GaugeMetricFamily("loop_went_on", "Whether it did", value=done.wait(4))]

    registry.register(Slow())

    async def main() -> Answer:
        scraping = asyncio.create_task(scrape(make_asgi_app(registry)))
        while not asked.is_set():
            await asyncio.sleep(0)
        done.set()
        return await scraping

    assert b"\nloop_went_on 1.0\n" in asyncio.run(main()).body


def test_a_callback_that_needs_the_loop_works(registry: CollectorRegistry) -> None:
    gauge = Gauge("tasks", "Tasks of the loop", registry=registry)
    gauge.set_function(lambda: len(asyncio.all_tasks()))
    app = make_asgi_app(registry)

    async def main() -> list[bytes]:
        idle = [asyncio.create_task(asyncio.Event().wait()) for _ in range(5)]
        answers = [(await scrape(app)).body for _ in range(3)]
        for task in idle:
            task.cancel()
        return answers

    for body in asyncio.run(main()):
        assert next(float(line[6:]) for line in body.splitlines() if line.startswith(b"tasks ")) >= 6
        assert b"failures" not in body


def test_a_collector_that_needs_the_loops_thread_works_and_the_others_are_there(registry: CollectorRegistry) -> None:
    async def main() -> bytes:
        registry.register(Late(threading.current_thread()))
        return (await scrape(make_asgi_app(registry))).body

    body = asyncio.run(main())
    assert b"\nlate 1.0\n" in body
    assert b"\norders_total 3.0\n" in body
    assert b"failures" not in body


def test_a_callback_that_works_nowhere_costs_only_itself(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    Gauge("broken", "Broken", registry=registry).set_function(lambda: 1 / 0)
    body = scraped(make_asgi_app(registry)).body
    assert b"\norders_total 3.0\n" in body
    assert b"\nbroken 0" not in body
    assert b'measurand_collect_failures_total{collector="broken",reason="error"} 1.0\n' in body
    assert "ZeroDivisionError" in caplog.text


def test_a_hanging_collector_is_left_behind_within_the_scrapers_timeout(registry: CollectorRegistry) -> None:
    over = threading.Event()

    class Hanging:
        def collect(self) -> Iterable[Any]:
            over.wait(60)
            return []

    registry.register(Hanging())
    app = make_asgi_app(registry)

    async def main() -> Answer:
        in_a_hurry = (b"x-prometheus-scrape-timeout-seconds", b"0.6")
        return await asyncio.wait_for(scrape(app, "GET", "/", b"", in_a_hurry), 4)

    try:
        body = asyncio.run(main()).body
    finally:
        over.set()
    assert b"\norders_total 3.0\n" in body
    assert b'reason="timeout"} 1.0\n' in body


def test_many_scrapes_at_once_are_all_answered(registry: CollectorRegistry) -> None:
    Gauge("tasks", "Tasks of the loop", registry=registry).set_function(lambda: len(asyncio.all_tasks()))
    app = make_asgi_app(registry)

    async def main() -> list[Answer]:
        return await asyncio.gather(*(scrape(app) for _ in range(50)))

    assert {b"\norders_total 3.0\n" in answer.body and b"\ntasks " in answer.body for answer in asyncio.run(main())} == {True}
