"""Routes of part types."""

from __future__ import annotations

from flask import Blueprint
from flask.typing import ResponseReturnValue

from .. import part_types
from .common import PAGE, body, database, query
from .fields import Fields, Text

routes = Blueprint("part_types", __name__, url_prefix="/api/part-types")

LIST = Fields(**PAGE)
WRITE = Fields(name=Text(100))


@routes.get("")
def overview() -> ResponseReturnValue:
    """All part types by name."""
    return part_types.overview(database(), **query(LIST))


@routes.post("")
def create() -> ResponseReturnValue:
    """Add a part type."""
    return part_types.create(database(), **body(WRITE)), 201


@routes.get("/<key:type_id>")
def detail(type_id: int) -> ResponseReturnValue:
    """One part type."""
    return part_types.detail(database(), type_id)


@routes.patch("/<key:type_id>")
def rename(type_id: int) -> ResponseReturnValue:
    """Give a part type another name."""
    return part_types.rename(database(), type_id, **body(WRITE))


@routes.delete("/<key:type_id>")
def delete(type_id: int) -> ResponseReturnValue:
    """Remove a part type that no part has."""
    part_types.delete(database(), type_id)
    return "", 204
