"""Boxes and their compartments. How full they are is the dashboard's business (``inventory_box_utilization_percent``)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import exists, func, select

from .database import Database, find
from .errors import ConflictError
from .models import Box, Stock


def create(database: Database, *, description: str, capacity: int) -> dict[str, Any]:
    """Add a box under the next free number."""
    with database.writing() as session:
        box = Box(description=description, capacity=capacity)
        session.add(box)
        session.flush()
        return box.as_json()


def overview(database: Database, *, limit: int, offset: int) -> list[dict[str, Any]]:
    """All boxes by number, each with how many of its locations are occupied."""
    occupied = select(func.count()).select_from(Stock).where(Stock.box_no == Box.box_no).scalar_subquery()
    with database.reading() as session:
        rows = session.execute(select(Box, occupied).order_by(Box.box_no).limit(limit).offset(offset))
        return [box.as_json() | {"occupied": count} for box, count in rows]


def detail(database: Database, box_no: int) -> dict[str, Any]:
    """One box with what lies in it. Raises ``NotFoundError``."""
    with database.reading() as session:
        box = find(session, Box, box_no)
        stock = session.scalars(select(Stock).where(Stock.box_no == box_no).order_by(Stock.location_no))
        locations = [{"location_no": row.location_no, "part_id": row.part_id, "quantity": row.quantity} for row in stock]
        return box.as_json() | {"locations": locations}


def update(database: Database, box_no: int, *, description: str | None = None, capacity: int | None = None) -> dict[str, Any]:
    """Describe a box anew or change its size.

    Raises:
        NotFoundError: No such box.
        ConflictError: Something lies in a location that would disappear.
    """
    with database.writing() as session:
        box = find(session, Box, box_no, lock=True)
        if capacity is not None:
            last = session.scalar(select(func.max(Stock.location_no)).where(Stock.box_no == box_no))
            if last is not None and last > capacity:
                raise ConflictError(f"location {last} of box {box_no} is occupied; empty it first, or keep at least {last} locations")
            box.capacity = capacity
        if description is not None:
            box.description = description
        return box.as_json()


def delete(database: Database, box_no: int) -> None:
    """Remove an empty box. Raises ``NotFoundError``, or ``ConflictError`` when something lies in it."""
    with database.writing() as session:
        box = find(session, Box, box_no, lock=True)
        if session.scalar(select(exists().where(Stock.box_no == box_no))):
            raise ConflictError(f"box {box_no} is not empty; remove its stock first")
        session.delete(box)
