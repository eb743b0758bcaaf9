"""What happens to the lines of a shopping list: ordered one by one or a seller at a time, then received into boxes.

Publishes everything called ``shopping_list_…``. Promises: what is received lies in a box in the same transaction; counters move when it
is committed.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from measurand import Counter

from . import inventory
from .database import Database, find
from .errors import ConflictError, NotFoundError
from .models import DONE, NEW, ORDERED, ShoppingList, ShoppingListLine

LINES_MARKED_ORDERED = Counter(
    "shopping_list_lines_marked_ordered_total",
    "Lines marked as ordered, by whether one was marked or all of a seller",
    ["mode"],
    label_values={"mode": ["single", "group"]},
)
LINES_RECEIVED = Counter("shopping_list_lines_received_total", "Deliveries put into boxes, each for one line")
RECEIVE_QUANTITY = Counter("shopping_list_receive_quantity_total", "Pieces received for lines")


def order(database: Database, list_id: int, line_id: int, *, quantity: int) -> dict[str, Any]:
    """Mark a new line as ordered. Raises ``NotFoundError``, or ``ConflictError`` when it is ordered already."""
    with database.writing() as session:
        line = _line(session, list_id, line_id)
        if line.status != NEW:
            raise ConflictError(f"line {line_id} is {line.status} already")
        line.status, line.ordered = ORDERED, quantity
        answer = line.as_json()
    LINES_MARKED_ORDERED.labels("single").inc()  # after the commit: what was refused or rolled back has not happened; so below, too
    return answer


def order_group(database: Database, list_id: int, *, seller: str) -> list[dict[str, Any]]:
    """Mark all new lines of one seller as ordered, each with what is needed.

    Raises:
        NotFoundError: No such list.
        ConflictError: Nothing of this seller is new.
    """
    with database.writing() as session:
        find(session, ShoppingList, list_id, lock=True)
        new = (ShoppingListLine.shopping_list_id == list_id, ShoppingListLine.seller == seller, ShoppingListLine.status == NEW)
        lines = session.scalars(select(ShoppingListLine).where(*new).order_by(ShoppingListLine.id).with_for_update()).all()
        if not lines:
            raise ConflictError(f"shopping list {list_id} has no new line of seller {seller!r}")
        for line in lines:
            line.status, line.ordered = ORDERED, line.needed
        answer = [line.as_json() for line in lines]
    LINES_MARKED_ORDERED.labels("group").inc(len(answer))
    return answer


def receive(database: Database, list_id: int, line_id: int, *, box_no: int, location_no: int, quantity: int) -> dict[str, Any]:
    """Put a delivery into a box; the line is done when all that was ordered has come.

    Raises:
        NotFoundError: No such line or box.
        InvalidError: The box has no such location.
        ConflictError: The line is not ordered, or the location holds another part.
    """
    with database.writing() as session:
        line = _line(session, list_id, line_id)
        if line.status != ORDERED:
            raise ConflictError(f"line {line_id} is {line.status}; only what is ordered can be received")
        inventory.put_in(session, part_id=line.part_id, box_no=box_no, location_no=location_no, quantity=quantity)
        line.received += quantity
        if line.received >= line.ordered:
            line.status = DONE
        answer = line.as_json()
    LINES_RECEIVED.inc()
    RECEIVE_QUANTITY.inc(quantity)
    inventory.committed("add")
    return answer


def _line(session: Session, list_id: int, line_id: int) -> ShoppingListLine:
    find(session, ShoppingList, list_id, lock=True)
    line = find(session, ShoppingListLine, line_id, lock=True)
    if line.shopping_list_id != list_id:
        raise NotFoundError(f"shopping list {list_id} has no line {line_id}")
    return line
