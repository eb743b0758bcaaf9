"""Routes of shopping lists and their lines."""

from __future__ import annotations

from flask import Blueprint
from flask.typing import ResponseReturnValue

from .. import shopping_lines, shopping_lists
from .common import HIGHEST_KEY, PAGE, body, database, events, query
from .fields import Fields, Text, Whole

routes = Blueprint("shopping_lists", __name__, url_prefix="/api/shopping-lists")

LIST = Fields(**PAGE)
CREATE = Fields(name=Text(100))
PIECES = Whole(1, 1_000_000)
SELLER = Text(100, default="")
ADD_LINE = Fields(part_id=Whole(1, HIGHEST_KEY), needed=PIECES, seller=SELLER)
ORDER = Fields(quantity=PIECES)
ORDER_GROUP = Fields(seller=SELLER)
RECEIVE = Fields(box_no=Whole(1, HIGHEST_KEY), location_no=Whole(1, HIGHEST_KEY), quantity=PIECES)


@routes.get("")
def overview() -> ResponseReturnValue:
    """All shopping lists, with how many lines are pending."""
    return shopping_lists.overview(database(), **query(LIST))


@routes.post("")
def create() -> ResponseReturnValue:
    """Add a shopping list."""
    return shopping_lists.create(database(), **body(CREATE)), 201


@routes.get("/<key:list_id>")
def detail(list_id: int) -> ResponseReturnValue:
    """One shopping list, its lines and its kits."""
    return shopping_lists.detail(database(), list_id)


@routes.post("/<key:list_id>/lines")
def add_line(list_id: int) -> ResponseReturnValue:
    """Put a part on a shopping list."""
    return shopping_lists.add_line(database(), list_id, **body(ADD_LINE)), 201


@routes.post("/<key:list_id>/order")
def order_group(list_id: int) -> ResponseReturnValue:
    """Mark all new lines of a seller as ordered."""
    return shopping_lines.order_group(database(), list_id, **body(ORDER_GROUP))


@routes.post("/<key:list_id>/lines/<key:line_id>/order")
def order(list_id: int, line_id: int) -> ResponseReturnValue:
    """Mark a line as ordered."""
    return shopping_lines.order(database(), list_id, line_id, **body(ORDER))


@routes.post("/<key:list_id>/lines/<key:line_id>/receive")
def receive(list_id: int, line_id: int) -> ResponseReturnValue:
    """Put what was delivered for a line into a box."""
    answer = shopping_lines.receive(database(), list_id, line_id, **body(RECEIVE))
    events().publish("stock", "delivery_received", answer)
    return answer
