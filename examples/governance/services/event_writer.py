"""Takes acts and appends them: over HTTP, and from the queue where there is one."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse

from ..events import Act
from ..web import prepare, said
from ..writer import Writer


def create_app(writer: Writer) -> FastAPI:
    """The application."""
    app = prepare(FastAPI(title="Governance: event-writer"))

    @app.post("/v1/events", status_code=201)
    def append(value: Annotated[dict[str, Any], Body()]) -> JSONResponse:
        """Record an act. Runs in a worker thread, since it waits for the database."""
        try:
            act = Act.from_json(value)
        except ValueError as reason:
            return said(HTTPStatus.BAD_REQUEST, "not_an_act", str(reason))
        return JSONResponse(writer.record(act).as_json(), HTTPStatus.CREATED)

    return app
