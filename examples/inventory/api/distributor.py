"""Routes that ask the distributor what can be bought."""

from __future__ import annotations

from flask import Blueprint
from flask.typing import ResponseReturnValue

from .common import distributor, query
from .fields import Fields, Text, Whole

routes = Blueprint("distributor", __name__, url_prefix="/api/distributor")

KEYWORD = Fields(keyword=Text(100), limit=Whole(1, 50, default=10))
PART_NUMBER = Fields(number=Text(60))


@routes.get("/search")
def by_keyword() -> ResponseReturnValue:
    """What the distributor sells under a ?keyword=."""
    return distributor().by_keyword(**query(KEYWORD))


@routes.get("/part")
def by_part_number() -> ResponseReturnValue:
    """What the distributor sells under a part ?number=."""
    return distributor().by_part_number(**query(PART_NUMBER))
