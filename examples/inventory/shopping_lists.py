"""Shopping lists: their names and what stands on them. What happens to a line is the business of ``shopping_lines.py``."""

from __future__ import annotations

from typing import Any

from sqlalchemy import exists, func, select

from .database import Database, find
from .errors import ConflictError
from .models import DONE, NEW, KitShoppingLink, Part, ShoppingList, ShoppingListLine


def create(database: Database, *, name: str) -> dict[str, Any]:
    """Add an empty list. Raises ``ConflictError`` when the name is taken."""
    with database.writing() as session:
        if session.scalar(select(exists().where(ShoppingList.name == name))):
            raise ConflictError(f"there is a shopping list {name!r} already; choose another name")
        row = ShoppingList(name=name)
        session.add(row)
        session.flush()
        return row.as_json()


def overview(database: Database, *, limit: int, offset: int) -> list[dict[str, Any]]:
    """All lists by name, each with the number of lines that are not done."""
    pending = select(func.count()).select_from(ShoppingListLine)
    pending = pending.where(ShoppingListLine.shopping_list_id == ShoppingList.id, ShoppingListLine.status != DONE)
    query = select(ShoppingList, pending.scalar_subquery()).order_by(ShoppingList.name).limit(limit).offset(offset)
    with database.reading() as session:
        return [row.as_json() | {"pending_lines": count} for row, count in session.execute(query)]


def detail(database: Database, list_id: int) -> dict[str, Any]:
    """One list with its lines and the kits that it was told about. Raises ``NotFoundError``."""
    with database.reading() as session:
        row = find(session, ShoppingList, list_id)
        lines = session.scalars(
            select(ShoppingListLine).where(ShoppingListLine.shopping_list_id == list_id).order_by(ShoppingListLine.id)
        ).all()
        kits = session.scalars(select(KitShoppingLink.kit_id).where(KitShoppingLink.shopping_list_id == list_id).order_by("kit_id")).all()
        return row.as_json() | {"lines": [line.as_json() for line in lines], "kits": list(kits)}


def add_line(database: Database, list_id: int, *, part_id: int, needed: int, seller: str = "") -> dict[str, Any]:
    """Put a part on a list. Raises ``NotFoundError``, or ``ConflictError`` when it stands there already and is not ordered yet."""
    with database.writing() as session:
        find(session, ShoppingList, list_id, lock=True)
        find(session, Part, part_id)
        same = (ShoppingListLine.shopping_list_id == list_id, ShoppingListLine.part_id == part_id, ShoppingListLine.status == NEW)
        if session.scalar(select(exists().where(*same))):
            raise ConflictError(f"part {part_id} stands on shopping list {list_id} already; change how many are ordered instead")
        line = ShoppingListLine(shopping_list_id=list_id, part_id=part_id, needed=needed, seller=seller, status=NEW, ordered=0, received=0)
        session.add(line)
        session.flush()
        return line.as_json()
