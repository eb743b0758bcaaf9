"""A FastAPI application that does what requests can do to a server. What is left at its end is written to ``last.prom`` in its folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, WebSocket
from starlette.responses import Response, StreamingResponse

from measurand import generate_latest
from measurand.endpoints.pages import Pages, metrics
from measurand.integrations.fastapi import install
from measurand.testing.http import Boom, StandIn

CHUNK = b"x" * 65_536
FOLDER = Path.cwd()


class Service(StandIn):
    """Keeps its calls and its last numbers in files."""

    def __init__(self) -> None:
        super().__init__()
        self.pages = Pages({"/v1/metrics": metrics(self.registry)})

    def server_started(self, loop: asyncio.AbstractEventLoop | None) -> None:
        super().server_started(loop)
        (FOLDER / "calls").write_text("\n".join(self.calls))

    def server_stopping(self) -> None:
        super().server_stopping()
        (FOLDER / "calls").write_text("\n".join(self.calls))
        (FOLDER / "last.prom").write_bytes(generate_latest(self.registry))


app = FastAPI()
router = APIRouter(prefix="/v1")


@router.get("/items/{item}")
async def item(item: str) -> str:
    return item


@app.post("/upload")
async def upload(request: Request) -> int:
    return len(await request.body())


@app.get("/endless")
async def endless() -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield CHUNK
            await asyncio.sleep(0)

    return StreamingResponse(chunks())


@app.get("/hang")
async def hang() -> None:
    await asyncio.Event().wait()


@app.get("/boom")
async def boom() -> None:
    raise Boom


@app.get("/broken")
async def broken() -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        raise Boom

    return StreamingResponse(chunks())


@app.websocket("/rooms/{room}")
async def join(websocket: WebSocket, room: str) -> None:
    await websocket.accept()
    async for _ in websocket.iter_text():
        pass


app.include_router(router, prefix="/api")
install(app, Service())
