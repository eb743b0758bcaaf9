"""Routes of background tasks, and the stream of events that says how they go."""

from __future__ import annotations

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from .common import PAGE, events, query, tasks
from .fields import Fields

routes = Blueprint("tasks", __name__, url_prefix="/api")

LIST = Fields(**PAGE)


@routes.get("/tasks")
def overview() -> ResponseReturnValue:
    """Background tasks, newest first."""
    return tasks().overview(**query(LIST))


@routes.get("/tasks/<task_id>")
def detail(task_id: str) -> ResponseReturnValue:
    """One background task and what it came to."""
    return tasks().detail(task_id)


@routes.get("/events")
def stream() -> ResponseReturnValue:
    """What happens from now on, as server-sent events."""
    # Cache-Control and X-Accel-Buffering keep what stands in between from holding events back.
    return Response(events().open(), mimetype="text/event-stream", headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
