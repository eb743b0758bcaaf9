"""What clients can do to memory: nothing. P-15 and the streams of P-16; with ``MEASURAND_TEST_SCALE=50`` in their full form."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from measurand.integrations.asgi import install
from measurand.testing.http import StandIn
from measurand.testing.readings import Readings
from tests.integrations.test_asgi import Server, make_app
from tests.support import SCALE, run_python

REQUESTS = int(20_000 * min(SCALE, 50))
STREAM = int(32 * min(max(SCALE, 1), 32)) << 20
CHUNK = b"x" * (1 << 18)
METHODS = ["GET", "POST", "HEAD", "BREW", "get", "PROPFIND"]


def resident() -> int:
    """Bytes of memory that the process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def flood(app: Any, requests: int, seed: int) -> int:
    """Requests with paths, methods and hosts that nobody has ever asked with; returns how many."""
    chance = random.Random(seed)
    for number in range(requests):
        name = f"{chance.randrange(1 << 40):x}"
        method = chance.choice(METHODS) if number % 2 else f"M{name}"
        code = chance.randrange(400, 600)
        path = chance.choice([f"/{name}", f"/items/{name}", f"/status/{code}", f"/api/v1/deep/{name}", f"//{name}/.."])
        server = Server()
        await server.ask(app, method=method, path=path, headers=[(b"host", name.encode()), (b"x-forwarded-host", name.encode())])
    return requests


def random_requests() -> None:
    """The measuring, in a process that does nothing else: what other suites leave and give back would be counted, too."""
    service = StandIn()
    app = install(make_app(), service)
    asyncio.run(flood(app, REQUESTS // 4, seed=0))
    gc.collect()
    before, counted = resident(), sum(sample.value for sample in Readings(service.registry).samples("http_requests_total"))
    readings = Readings(service.registry)
    sent = asyncio.run(flood(app, REQUESTS, seed=1))
    gc.collect()
    grown = resident() - before
    samples = readings.samples("http_requests_total")
    assert sum(sample.value for sample in samples) - counted == sent
    assert readings.delta("http_request_duration_seconds_count") == sent
    assert {sample.labels["endpoint"] for sample in samples} == {"/items/{id}", "/status/{code}", "/api/v1/deep/{x}", "__unmatched__"}
    assert {sample.labels["method"] for sample in samples} == {"GET", "POST", "HEAD", "_OTHER"}
    assert len(samples) < 4 * 4 * 200
    assert grown < 5 << 20, f"{grown >> 10} KiB more after {sent} requests"
    print("as it was")


def test_random_requests_make_no_series_and_keep_no_memory() -> None:
    code = "from tests.integrations.test_asgi_bounds import random_requests; random_requests()"
    done = run_python(code, pure=os.environ.get("MEASURAND_PURE"), timeout=120 * max(SCALE, 1))
    assert done.stdout == "as it was\n", done.stderr


def test_an_application_that_says_raw_paths_ends_in_one_series_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """As an ``endpoint_of`` that should not, or a framework with a route for every path."""
    service = StandIn()
    app = install(make_app(), service, endpoint_of=lambda scope: scope["path"])
    with caplog.at_level(logging.WARNING, "measurand"):
        sent = asyncio.run(flood(app, 5000, seed=2))
    samples = Readings(service.registry).samples("http_requests_total")
    assert sum(sample.value for sample in samples) == sent
    assert len({sample.labels["endpoint"] for sample in samples}) == 201
    assert Readings(service.registry).samples("http_requests_total", endpoint="__other__")
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert "200 route templates" in warnings[0]


def test_a_large_stream_is_not_kept() -> None:
    """P-16: a gigabyte, in its full form."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(STREAM // len(CHUNK)):
            await send({"type": "http.response.body", "body": bytes(CHUNK), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def ask(app: Any) -> int:
        received = 0

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            nonlocal received
            received += len(message.get("body", b""))

        await app({"type": "http", "method": "GET", "path": "/x", "headers": []}, receive, send)
        return received

    def peak(app: Any) -> int:
        gc.collect()
        tracemalloc.start()
        try:
            assert asyncio.run(ask(app)) == STREAM
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    service = StandIn()
    measured = install(app, service)
    asyncio.run(ask(measured))
    assert peak(measured) - peak(app) < 1 << 20
