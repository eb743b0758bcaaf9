"""Routes of boxes."""

from __future__ import annotations

from flask import Blueprint
from flask.typing import ResponseReturnValue

from .. import boxes
from .common import PAGE, body, database, query
from .fields import Fields, Text, Whole

routes = Blueprint("boxes", __name__, url_prefix="/api/boxes")

LIST = Fields(**PAGE)
CREATE = Fields(description=Text(200), capacity=Whole(1, 1000))
UPDATE = CREATE.as_change()


@routes.get("")
def overview() -> ResponseReturnValue:
    """All boxes, with how many of their locations are occupied."""
    return boxes.overview(database(), **query(LIST))


@routes.post("")
def create() -> ResponseReturnValue:
    """Add a box."""
    return boxes.create(database(), **body(CREATE)), 201


@routes.get("/<key:box_no>")
def detail(box_no: int) -> ResponseReturnValue:
    """One box and what lies in it."""
    return boxes.detail(database(), box_no)


@routes.patch("/<key:box_no>")
def update(box_no: int) -> ResponseReturnValue:
    """Describe a box anew, or change its capacity."""
    return boxes.update(database(), box_no, **body(UPDATE))


@routes.delete("/<key:box_no>")
def delete(box_no: int) -> ResponseReturnValue:
    """Remove an empty box."""
    boxes.delete(database(), box_no)
    return "", 204
