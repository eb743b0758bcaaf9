"""The API: for programs what the bot is for people."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from .errors import ChannelBotError, ConflictError, NotFoundError
from .models import State
from .ports import Jobs
from .posts import Posts

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
STATUS_OF = {NotFoundError: HTTPStatus.NOT_FOUND, ConflictError: HTTPStatus.CONFLICT}


class Planned(BaseModel):
    """A post to be."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(min_length=1, max_length=4096)
    delay: float = Field(0, ge=0, le=366 * 24 * 3600, description="seconds from now")


def create_app(posts: Posts, jobs: Jobs) -> FastAPI:
    """The application.

    Args:
        posts: Does what is asked for.
        jobs: Does what takes time.
    """
    app = FastAPI(title="Channel bot")

    @app.get("/api/channels")
    def channels() -> list[dict[str, Any]]:
        """All channels; the bot's ``/add`` makes more of them."""
        return posts.channels()

    @app.post("/api/channels/{channel_id}/posts", status_code=HTTPStatus.CREATED)
    def schedule(channel_id: Number, planned: Planned) -> dict[str, Any]:
        """Plan a post."""
        return posts.schedule(channel_id, planned.text, planned.delay)

    @app.get("/api/posts")
    def latest(state: State | None = None, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> list[dict[str, Any]]:
        """The latest posts, newest first."""
        return posts.latest(state, limit)

    @app.get("/api/posts/{post_id}")
    def post(post_id: Number) -> dict[str, Any]:
        """One post, and what has become of it."""
        return posts.post(post_id)

    @app.delete("/api/posts/{post_id}", status_code=HTTPStatus.NO_CONTENT)
    def cancel(post_id: Number) -> None:
        """Take a post back that waits for its time."""
        posts.cancel(post_id)

    @app.post("/api/views", status_code=HTTPStatus.ACCEPTED)
    def refresh_views() -> dict[str, str]:
        """Have the views of all posts brought up to date, soon."""
        jobs.refresh_views()
        return {"state": "queued"}

    @app.get("/api/summary")
    def summary() -> dict[str, int]:
        """How many there are of everything."""
        return posts.summary()

    app.add_exception_handler(ChannelBotError, _refused)
    return app


async def _refused(_request: Request, reason: Any) -> JSONResponse:
    return JSONResponse({"error": str(reason)}, STATUS_OF.get(type(reason), HTTPStatus.BAD_REQUEST))
