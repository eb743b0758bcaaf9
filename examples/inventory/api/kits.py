"""Routes of kits and their contents."""

from __future__ import annotations

from flask import Blueprint
from flask.typing import ResponseReturnValue

from .. import kit_shopping, kits
from ..models import ACTIVE, KIT_STATUSES
from .common import HIGHEST_KEY, PAGE, body, database, query
from .fields import Fields, OneOf, Text, Whole, YesNo

routes = Blueprint("kits", __name__, url_prefix="/api/kits")

LIST = Fields(status=OneOf(KIT_STATUSES, default=ACTIVE), **PAGE)
CREATE = Fields(name=Text(100), description=Text(200, default=""), build_target=Whole(1, 100_000, default=1))
UPDATE = CREATE.as_change()
REQUIRED, NOTE = Whole(1, 100_000), Text(200, default="")
ADD_CONTENT = Fields(part_id=Whole(1, HIGHEST_KEY), required_per_unit=REQUIRED, note=NOTE)
UPDATE_CONTENT = Fields(version=Whole(1, HIGHEST_KEY), required_per_unit=REQUIRED, note=NOTE).as_change("version")
PUSH = Fields(shopping_list_id=Whole(1, HIGHEST_KEY), units=Whole(1, 10_000), honor_reserved=YesNo(default=False))


@routes.get("")
def overview() -> ResponseReturnValue:
    """The active kits, or with ?status=archived the archived ones."""
    return kits.overview(database(), **query(LIST))


@routes.post("")
def create() -> ResponseReturnValue:
    """Add a kit."""
    return kits.create(database(), **body(CREATE)), 201


@routes.get("/<key:kit_id>")
def detail(kit_id: int) -> ResponseReturnValue:
    """One kit, its contents, and how many could be built."""
    return kits.detail(database(), kit_id)


@routes.patch("/<key:kit_id>")
def update(kit_id: int) -> ResponseReturnValue:
    """Change an active kit."""
    return kits.update(database(), kit_id, **body(UPDATE))


@routes.post("/<key:kit_id>/archive")
def archive(kit_id: int) -> ResponseReturnValue:
    """Put a kit into the archive."""
    return kits.archive(database(), kit_id)


@routes.post("/<key:kit_id>/unarchive")
def unarchive(kit_id: int) -> ResponseReturnValue:
    """Take a kit back from the archive."""
    return kits.unarchive(database(), kit_id)


@routes.post("/<key:kit_id>/contents")
def add_content(kit_id: int) -> ResponseReturnValue:
    """Add a part to a kit."""
    return kits.add_content(database(), kit_id, **body(ADD_CONTENT)), 201


@routes.patch("/<key:kit_id>/contents/<key:content_id>")
def update_content(kit_id: int, content_id: int) -> ResponseReturnValue:
    """Change one line of a kit; "version" says which state of it was read."""
    return kits.update_content(database(), kit_id, content_id, **body(UPDATE_CONTENT))


@routes.delete("/<key:kit_id>/contents/<key:content_id>")
def remove_content(kit_id: int, content_id: int) -> ResponseReturnValue:
    """Take a part out of a kit."""
    kits.remove_content(database(), kit_id, content_id)
    return "", 204


@routes.get("/<key:kit_id>/shopping-lists")
def shopping_lists(kit_id: int) -> ResponseReturnValue:
    """The shopping lists that a kit is linked to."""
    return kit_shopping.links(database(), kit_id)


@routes.post("/<key:kit_id>/shopping-lists")
def push(kit_id: int) -> ResponseReturnValue:
    """Put what is missing for some units of a kit on a shopping list."""
    return kit_shopping.push(database(), kit_id, **body(PUSH))


@routes.delete("/<key:kit_id>/shopping-lists/<key:shopping_list_id>")
def unlink(kit_id: int, shopping_list_id: int) -> ResponseReturnValue:
    """Part a kit from a shopping list; its lines stay."""
    kit_shopping.unlink(database(), kit_id, shopping_list_id)
    return "", 204
