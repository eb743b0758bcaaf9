"""An ASGI service: instruments and two pages."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from measurand import generate_latest, make_asgi_app
from tests.e2e.families.counting import hit, loiter

metrics = make_asgi_app()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            told = (await receive())["type"]
            await send({"type": f"{told}.complete"})
            if told == "lifespan.shutdown":
                return
    path = scope["path"]
    if path == "/metrics":
        await metrics(scope, receive, send)
        return
    if path == "/latest":
        body = generate_latest()
    elif path == "/hit":
        body = hit().encode()
    elif path == "/loiter":
        body = (await asyncio.get_running_loop().run_in_executor(None, loiter)).encode()
    else:
        body = str(os.getpid()).encode()
    headers = [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
