"""Part types: their names. How many parts there are of each is the dashboard's business (``inventory_parts_by_type``)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from .database import Database, find
from .errors import ConflictError
from .models import Part, PartType


def create(database: Database, *, name: str) -> dict[str, Any]:
    """Add a type. Raises ``ConflictError`` when the name is taken."""
    with database.writing() as session:
        _refuse_taken(session, name)
        row = PartType(name=name)
        session.add(row)
        session.flush()
        return row.as_json()


def overview(database: Database, *, limit: int, offset: int) -> list[dict[str, Any]]:
    """All types by name."""
    with database.reading() as session:
        return [row.as_json() for row in session.scalars(select(PartType).order_by(PartType.name).limit(limit).offset(offset))]


def detail(database: Database, type_id: int) -> dict[str, Any]:
    """One type. Raises ``NotFoundError``."""
    with database.reading() as session:
        return find(session, PartType, type_id).as_json()


def rename(database: Database, type_id: int, *, name: str) -> dict[str, Any]:
    """Give a type another name. Raises ``NotFoundError``, or ``ConflictError`` when the name is taken."""
    with database.writing() as session:
        row = find(session, PartType, type_id, lock=True)
        if name != row.name:
            _refuse_taken(session, name)
        row.name = name
        return row.as_json()


def delete(database: Database, type_id: int) -> None:
    """Remove a type that no part has. Raises ``NotFoundError``, or ``ConflictError`` when it is in use."""
    with database.writing() as session:
        row = find(session, PartType, type_id, lock=True)
        if session.scalar(select(exists().where(Part.type_id == type_id))):
            raise ConflictError(f"part type {type_id} is in use; give its parts another type first")
        session.delete(row)


def _refuse_taken(session: Session, name: str) -> None:
    if session.scalar(select(exists().where(PartType.name == name))):
        raise ConflictError(f"there is a part type {name!r} already; choose another name")
