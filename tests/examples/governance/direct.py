"""The shortest ways to an application and to the writer: for tests without a second process."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError

from examples.governance.errors import UnreachableError
from examples.governance.events import Act
from examples.governance.writer import Writer


class Direct:
    """A handover that is one call of the real writer.

    Attributes:
        obstacle: Raised instead, when there is one.
    """

    transport = "http"

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.obstacle: Exception | None = None

    async def submit(self, act: Act) -> dict[str, Any]:
        if self.obstacle is not None:
            raise self.obstacle
        try:
            return (await run_in_threadpool(self._writer.record, act)).as_json()
        except SQLAlchemyError as reason:
            raise UnreachableError("the database does not answer") from reason

    async def close(self) -> None:
        pass


class Client:
    """Requests to an application without a socket."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def post(self, path: str, json: object) -> httpx.Response:
        return self.request("POST", path, json=json)

    def request(self, method: str, path: str, **content: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url="http://governance") as client:
                return await client.request(method, path, **content)

        return asyncio.run(ask())
