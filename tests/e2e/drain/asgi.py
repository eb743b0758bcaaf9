"""The service for ASGI servers, as a user writes it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import measurand
from tests.e2e.drain.service import DONE, settings


async def work(request: Request) -> PlainTextResponse:
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), float(request.query_params.get("seconds", "0")))
    DONE.inc()
    return PlainTextResponse("done")


async def endless(request: Request) -> PlainTextResponse:
    await asyncio.Event().wait()
    return PlainTextResponse("never")


app = Starlette(routes=[Route("/work", work), Route("/endless", endless)])
measurand.starlette(app, **settings())
