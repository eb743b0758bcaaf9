"""Routes of parts. Publishes ``part_kit_usage_requests_total``."""

from __future__ import annotations

from flask import Blueprint
from flask.typing import ResponseReturnValue

from measurand import Counter

from .. import parts
from .common import HIGHEST_KEY, PAGE, body, database, query
from .fields import Fields, Text, Whole

KIT_USAGE_REQUESTS = Counter(
    "part_kit_usage_requests_total",
    "Answers to the question which kits use a part, by whether any does",
    ["has_results"],
    label_values={"has_results": ["true", "false"]},
)

routes = Blueprint("parts", __name__, url_prefix="/api/parts")

LIST = Fields(search=Text(100, default=""), **PAGE)
CREATE = Fields(
    description=Text(200),
    type_id=Whole(1, HIGHEST_KEY),
    manufacturer_code=Text(100, default=""),
    reorder_level=Whole(0, 1_000_000, default=0),
)
UPDATE = CREATE.as_change()
DOCUMENT = Fields(title=Text(200), url=Text(500, starts_with=("https://", "http://")))


@routes.get("")
def overview() -> ResponseReturnValue:
    """Parts with their quantity; ?search= finds some."""
    return parts.overview(database(), **query(LIST))


@routes.post("")
def create() -> ResponseReturnValue:
    """Add a part."""
    return parts.create(database(), **body(CREATE)), 201


@routes.get("/<key:part_id>")
def detail(part_id: int) -> ResponseReturnValue:
    """One part, where it lies and what documents it."""
    return parts.detail(database(), part_id)


@routes.patch("/<key:part_id>")
def update(part_id: int) -> ResponseReturnValue:
    """Change a part."""
    return parts.update(database(), part_id, **body(UPDATE))


@routes.delete("/<key:part_id>")
def delete(part_id: int) -> ResponseReturnValue:
    """Remove a part that is neither in stock nor in a kit."""
    parts.delete(database(), part_id)
    return "", 204


@routes.post("/<key:part_id>/documents")
def add_document(part_id: int) -> ResponseReturnValue:
    """Say where a part is documented."""
    return parts.add_document(database(), part_id, **body(DOCUMENT)), 201


@routes.get("/<key:part_id>/kits")
def kit_usage(part_id: int) -> ResponseReturnValue:
    """The kits that use a part."""
    found = parts.kits_using(database(), part_id)
    KIT_USAGE_REQUESTS.labels("true" if found else "false").inc()
    return found
