"""What the four applications share: how refusals and failures are said over HTTP, and a page of latencies.

201 has the event; 202 says where it will be, once the event writer has recorded it; the rest is an error with a code and a sentence.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints
from sqlalchemy.exc import SQLAlchemyError

from . import latency
from .errors import PendingError, UnreachableError
from .events import LONGEST_NAME, LONGEST_TEXT, is_text
from .rules import Refusal, RefusedError

LOG = logging.getLogger(__name__)

RETRY = {"Retry-After": "1"}
STATUS_OF = {
    Refusal.HALTED: HTTPStatus.LOCKED,
    Refusal.UNKNOWN_SUBJECT: HTTPStatus.NOT_FOUND,
    Refusal.NOT_AUTHORISED: HTTPStatus.FORBIDDEN,
    Refusal.NOT_A_CHOICE: HTTPStatus.BAD_REQUEST,
}
"""Where the status says more than that something stands against it, which is a 409."""


def _one_line(value: str) -> str:
    if not is_text(value, LONGEST_TEXT):
        raise ValueError("must be one line of printable characters")
    return value


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_NAME), AfterValidator(_one_line)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TEXT), AfterValidator(_one_line)]


class Body(BaseModel):
    """A request's body: exactly these fields, one of them says who acts. (Who somebody is, is another system's business.)"""

    model_config = ConfigDict(extra="forbid")
    actor: Name


def prepare(app: FastAPI) -> FastAPI:
    """Add what is the same everywhere."""
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(PendingError, _pending)
    app.add_exception_handler(UnreachableError, _unavailable)
    app.add_exception_handler(SQLAlchemyError, _unavailable)
    app.include_router(latency.routes)
    return app


def said(status: int, code: str, error: str, **headers: str) -> JSONResponse:
    """A refusal: in a word for programs, in a sentence for people."""
    return JSONResponse({"code": code, "error": error}, status, headers)


async def _refused(_request: Request, refused: Any) -> JSONResponse:
    return said(STATUS_OF.get(refused.reason, HTTPStatus.CONFLICT), refused.reason, str(refused))


async def _pending(_request: Request, pending: Any) -> JSONResponse:
    place = f"/v1/events/{pending.act.id}"
    return JSONResponse({"id": pending.act.id, "state": "pending", "look_at": place}, HTTPStatus.ACCEPTED, {"Location": place})


async def _unavailable(_request: Request, reason: Exception) -> JSONResponse:
    LOG.warning("unavailable", extra={"reason": type(reason).__name__})
    return said(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "something that this needs does not answer; try again in a moment", **RETRY)
