"""What measuring HTTP adds to a request: an application with the instrumentation, less the same one without.

Whole requests, in process, by the interface between server and application (ASGI, WSGI): routing, a handler with one parameter, the
response. Both applications live in one process, have their routes in common (the same objects, so that the layout of memory favours
neither) and take turns, a few requests each. Of all turns of an application the one counts that a tenth of them are faster than: within
one process, all that can happen to a turn is that something else delays it. The clock is the thread's processor time.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from statistics import quantiles
from time import thread_time
from typing import Any
from wsgiref.util import FileWrapper

from benchmarks.adapters import Adapter

WARM_UP = 300
STATUS = 200


def make_fastapi(routes: int) -> tuple[Any, Any]:
    """Two FastAPI applications with the same routes, that many, each with a parameter."""
    from fastapi import FastAPI  # noqa: PLC0415 - a library under test

    app, twin = FastAPI(), FastAPI()

    def add(number: int) -> None:
        async def handler(item: str) -> dict[str, str]:
            return {"item": item}

        app.get(f"/r{number}/{{item}}")(handler)

    for number in range(routes):
        add(number)
    twin.router.routes = app.router.routes
    return app, twin


def make_flask(routes: int) -> tuple[Any, Any]:
    """The same as Flask applications."""
    from flask import Flask  # noqa: PLC0415 - a library under test

    app, twin = Flask("benchmark"), Flask("benchmark")

    def add(number: int) -> None:
        def handler(item: str) -> dict[str, str]:
            return {"item": item}

        app.add_url_rule(f"/r{number}/<item>", f"handler{number}", handler)

    for number in range(routes):
        add(number)
    twin.url_map, twin.view_functions = app.url_map, app.view_functions
    return app, twin


def asked_by_asgi(app: Any, path: str) -> Callable[[int], float]:
    """What asks that many times, and returns the seconds of processor time that it took."""
    statuses: set[int] = set()
    arriving = {"type": "http.request", "body": b"", "more_body": False}

    async def receive() -> dict[str, Any]:
        return arriving

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.add(message["status"])

    async def ask(times: int) -> float:
        start = thread_time()
        for _ in range(times):
            scope = {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.3"},
                "http_version": "1.1",
                "method": "GET",
                "scheme": "http",
                "path": path,
                "raw_path": path.encode(),
                "query_string": b"",
                "root_path": "",
                "headers": [(b"host", b"localhost"), (b"user-agent", b"benchmark"), (b"accept", b"*/*")],
                "client": ("127.0.0.1", 50000),
                "server": ("127.0.0.1", 80),
                "state": {},
            }
            await app(scope, receive, send)
        return thread_time() - start

    def timed(times: int) -> float:
        taken = loop.run_until_complete(ask(times))
        if statuses != {STATUS}:
            raise AssertionError(f"answered {statuses}")
        return taken

    loop = _loop()
    return timed


def asked_by_wsgi(app: Any, path: str) -> Callable[[int], float]:
    """The same for a WSGI application."""
    statuses: set[str] = set()

    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
        statuses.add(status[:3])

    def timed(times: int) -> float:
        start = thread_time()
        for _ in range(times):
            environ = {
                "REQUEST_METHOD": "GET",
                "SCRIPT_NAME": "",
                "PATH_INFO": path,
                "QUERY_STRING": "",
                "SERVER_NAME": "127.0.0.1",
                "SERVER_PORT": "80",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "HTTP_HOST": "localhost",
                "HTTP_USER_AGENT": "benchmark",
                "HTTP_ACCEPT": "*/*",
                "REMOTE_ADDR": "127.0.0.1",
                "wsgi.version": (1, 0),
                "wsgi.url_scheme": "http",
                "wsgi.input": io.BytesIO(),
                "wsgi.errors": io.StringIO(),
                "wsgi.multithread": True,
                "wsgi.multiprocess": False,
                "wsgi.run_once": False,
                "wsgi.file_wrapper": FileWrapper,  # as gunicorn, uWSGI and most others have one
            }
            body = app(environ, start_response)
            for _ in body:
                pass
            if hasattr(body, "close"):
                body.close()
        taken = thread_time() - start
        if statuses != {str(STATUS)}:
            raise AssertionError(f"answered {statuses}")
        return taken

    return timed


_loops: list[asyncio.AbstractEventLoop] = []


def _loop() -> asyncio.AbstractEventLoop:
    if not _loops:
        _loops.append(asyncio.new_event_loop())
    return _loops[0]


def run(adapter: Adapter, framework: str, routes: int, turns: int, requests: int) -> dict[str, float] | None:
    """Nanoseconds that measuring adds to a request (``ns``), and what a request takes without it (``baseline``)."""
    make, asked = (make_fastapi, asked_by_asgi) if framework == "fastapi" else (make_flask, asked_by_wsgi)
    bare_app, app = make(routes)
    measured = adapter.fastapi(app) if framework == "fastapi" else adapter.flask(app)
    if measured is None:
        return None
    path = f"/r{routes // 2}/17"
    without, having = asked(bare_app, path), asked(measured, path)
    without(WARM_UP)
    having(WARM_UP)
    bare, more = [], []
    for turn in range(turns):
        if turn % 2:  # whoever comes second finds other things in the caches
            more.append(having(requests))
            bare.append(without(requests))
        else:
            bare.append(without(requests))
            more.append(having(requests))
    quick, slow = (quantiles(times, n=10)[0] / requests * 1e9 for times in (bare, more))
    return {"ns": max(slow - quick, 0.0), "baseline": quick}
