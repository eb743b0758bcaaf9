"""Stock: what goes into a compartment and what comes out of it. Publishes ``inventory_quantity_changes_total``.

Promises: a compartment holds one kind of part, never less than nothing, and every change leaves a line in the history.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from measurand import Counter

from .database import Database, find
from .errors import ConflictError, InvalidError, NotFoundError
from .models import Box, Part, Stock, StockChange

QUANTITY_CHANGES = Counter(
    "inventory_quantity_changes_total",
    "Stock changes made, by operation",
    ["operation"],
    label_values={"operation": ["add", "remove"]},
)

MOST_IN_ONE_LOCATION = 1_000_000


def add_stock(database: Database, *, part_id: int, box_no: int, location_no: int, quantity: int) -> dict[str, Any]:
    """Put ``quantity`` pieces of a part into a compartment.

    Raises:
        NotFoundError: No such part or box.
        InvalidError: The box has no such compartment.
        ConflictError: Another part lies there, or it would not fit.
    """
    with database.writing() as session:
        stock = put_in(session, part_id=part_id, box_no=box_no, location_no=location_no, quantity=quantity)
        answer = stock.as_json()
    committed("add")
    return answer


def remove_stock(database: Database, *, part_id: int, box_no: int, location_no: int, quantity: int) -> dict[str, Any]:
    """Take ``quantity`` pieces of a part out of a compartment; an emptied compartment is free for another part.

    Raises:
        NotFoundError: The part does not lie there.
        ConflictError: There are fewer pieces than asked for.
    """
    with database.writing() as session:
        left = take_out(session, part_id=part_id, box_no=box_no, location_no=location_no, quantity=quantity)
        answer = {"box_no": box_no, "location_no": location_no, "part_id": part_id, "quantity": left}
    committed("remove")
    return answer


def changes(database: Database, *, limit: int, offset: int) -> list[dict[str, Any]]:
    """The history, newest first."""
    with database.reading() as session:
        rows = session.scalars(select(StockChange).order_by(StockChange.id.desc()).limit(limit).offset(offset))
        return [row.as_json() for row in rows]


def put_in(session: Session, *, part_id: int, box_no: int, location_no: int, quantity: int) -> Stock:
    """:func:`add_stock` as a step of a larger change; whoever commits it calls :func:`committed` then."""
    find(session, Part, part_id)
    box = find(session, Box, box_no, lock=True)  # it must not shrink or go meanwhile
    if not 1 <= location_no <= box.capacity:
        raise InvalidError(f"box {box_no} has locations 1 to {box.capacity}; choose one of them instead of {location_no}")
    stock = _locked(session, box_no, location_no)
    if stock is None:
        stock = Stock(box_no=box_no, location_no=location_no, part_id=part_id, quantity=0)
        session.add(stock)
    elif stock.part_id != part_id:
        raise ConflictError(f"location {location_no} of box {box_no} holds part {stock.part_id}; choose an empty location")
    if stock.quantity + quantity > MOST_IN_ONE_LOCATION:
        raise ConflictError(f"a location holds at most {MOST_IN_ONE_LOCATION:,} pieces; choose another one for the rest")
    stock.quantity += quantity
    session.add(StockChange(part_id=part_id, box_no=box_no, location_no=location_no, delta=quantity))
    session.flush()
    return stock


def take_out(session: Session, *, part_id: int, box_no: int, location_no: int, quantity: int) -> int:
    """:func:`remove_stock` as a step of a larger change; whoever commits it calls :func:`committed` then. Returns what is left."""
    stock = _locked(session, box_no, location_no)
    if stock is None or stock.part_id != part_id:
        raise NotFoundError(f"part {part_id} does not lie in location {location_no} of box {box_no}")
    left = stock.quantity - quantity
    if left < 0:
        raise ConflictError(f"only {stock.quantity} pieces are left in location {location_no} of box {box_no}; take fewer")
    if left:
        stock.quantity = left
    else:
        session.delete(stock)
    session.add(StockChange(part_id=part_id, box_no=box_no, location_no=location_no, delta=-quantity))
    session.flush()
    return left


def committed(operation: str) -> None:
    """Count one stock change. Called after the commit: what was refused or rolled back has not happened."""
    QUANTITY_CHANGES.labels(operation).inc()


def _locked(session: Session, box_no: int, location_no: int) -> Stock | None:
    return session.get(Stock, (box_no, location_no), with_for_update=True)
