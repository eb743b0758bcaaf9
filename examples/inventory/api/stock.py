"""Routes of stock changes."""

from __future__ import annotations

from flask import Blueprint
from flask.typing import ResponseReturnValue

from .. import inventory
from .common import HIGHEST_KEY, PAGE, body, database, events, query
from .fields import Fields, Whole

routes = Blueprint("stock", __name__, url_prefix="/api/stock")

LIST = Fields(**PAGE)
CHANGE = Fields(
    part_id=Whole(1, HIGHEST_KEY),
    box_no=Whole(1, HIGHEST_KEY),
    location_no=Whole(1, HIGHEST_KEY),
    quantity=Whole(1, inventory.MOST_IN_ONE_LOCATION),
)


@routes.post("/add")
def add() -> ResponseReturnValue:
    """Put pieces of a part into a location of a box."""
    answer = inventory.add_stock(database(), **body(CHANGE))
    events().publish("stock", "stock_changed", answer)
    return answer


@routes.post("/remove")
def remove() -> ResponseReturnValue:
    """Take pieces of a part out of a location of a box."""
    answer = inventory.remove_stock(database(), **body(CHANGE))
    events().publish("stock", "stock_changed", answer)
    return answer


@routes.get("/changes")
def changes() -> ResponseReturnValue:
    """The history of stock changes, newest first."""
    return inventory.changes(database(), **query(LIST))
