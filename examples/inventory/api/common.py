"""What all groups of routes share: the database of this application, keys in paths, pages of long lists."""

from __future__ import annotations

from typing import Any, cast

from flask import current_app, request
from werkzeug.routing import IntegerConverter

from ..database import Database
from .fields import Fields, Whole

DATABASE = "inventory.database"
HIGHEST_KEY = 2**31 - 1  # what every database can look up; a higher number in a path names nothing

PAGE = {"limit": Whole(1, 200, default=50), "offset": Whole(0, HIGHEST_KEY, default=0)}


class RowKey(IntegerConverter):
    """``<key:part_id>``: a whole number that a primary key can have; anything else in its place is a 404."""

    def __init__(self, url_map: Any) -> None:
        super().__init__(url_map, min=1, max=HIGHEST_KEY)


def database() -> Database:
    """The database that ``create_app`` was given."""
    return cast(Database, current_app.extensions[DATABASE])


def body(fields: Fields) -> dict[str, Any]:
    """The request's JSON object, checked. Raises ``InvalidError``."""
    return fields.read_json(request)


def query(fields: Fields) -> dict[str, Any]:
    """The request's query parameters, checked. Raises ``InvalidError``."""
    return fields.read_query(request)
