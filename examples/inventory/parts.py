"""Parts: what they are, where they lie, what documents them, and which kits use them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import exists, func, select

from .database import Database, find
from .errors import ConflictError
from .models import Document, Kit, KitContent, Part, PartType, PickListLine, ShoppingListLine, Stock


def create(database: Database, *, description: str, type_id: int, manufacturer_code: str = "", reorder_level: int = 0) -> dict[str, Any]:
    """Add a part. Raises ``NotFoundError`` when there is no such type."""
    with database.writing() as session:
        part = Part(
            description=description,
            type=find(session, PartType, type_id),
            manufacturer_code=manufacturer_code,
            reorder_level=reorder_level,
        )
        session.add(part)
        session.flush()
        return part.as_json()


def overview(database: Database, *, search: str, limit: int, offset: int) -> list[dict[str, Any]]:
    """Parts by id, with the quantity in stock; ``search`` finds text in the description or the manufacturer's code."""
    quantity = select(func.coalesce(func.sum(Stock.quantity), 0)).where(Stock.part_id == Part.id).scalar_subquery()
    query = select(Part, quantity).order_by(Part.id).limit(limit).offset(offset)
    if search:
        query = query.where(Part.description.icontains(search, autoescape=True) | Part.manufacturer_code.icontains(search, autoescape=True))
    with database.reading() as session:
        return [part.as_json() | {"quantity": int(total)} for part, total in session.execute(query)]


def detail(database: Database, part_id: int) -> dict[str, Any]:
    """One part with its documents and where it lies. Raises ``NotFoundError``."""
    with database.reading() as session:
        part = find(session, Part, part_id)
        stock = session.scalars(select(Stock).where(Stock.part_id == part_id).order_by(Stock.box_no, Stock.location_no)).all()
        return part.as_json() | {
            "quantity": sum(row.quantity for row in stock),
            "locations": [{"box_no": row.box_no, "location_no": row.location_no, "quantity": row.quantity} for row in stock],
            "documents": [document.as_json() for document in part.documents],
        }


def require(database: Database, part_id: int) -> None:
    """Raise ``NotFoundError`` unless there is such a part."""
    with database.reading() as session:
        find(session, Part, part_id)


def update(database: Database, part_id: int, *, type_id: int | None = None, **changed: Any) -> dict[str, Any]:
    """Change the given columns of a part. Raises ``NotFoundError`` when the part or its new type does not exist."""
    with database.writing() as session:
        part = find(session, Part, part_id, lock=True)
        if type_id is not None:
            part.type = find(session, PartType, type_id)
        for column, value in changed.items():
            setattr(part, column, value)
        session.flush()
        return part.as_json()


def delete(database: Database, part_id: int) -> None:
    """Remove a part that is neither in stock nor in a kit nor on any list. Raises ``NotFoundError`` or ``ConflictError``."""
    with database.writing() as session:
        part = find(session, Part, part_id, lock=True)
        if session.scalar(select(exists().where(Stock.part_id == part_id))):
            raise ConflictError(f"part {part_id} is in stock; remove its stock first")
        if session.scalar(select(exists().where(KitContent.part_id == part_id))):
            raise ConflictError(f"part {part_id} is used in a kit; remove it there first")
        if session.scalar(select(exists().where(PickListLine.part_id == part_id))):
            raise ConflictError(f"part {part_id} stands on a pick list; what was picked stays on record")
        if session.scalar(select(exists().where(ShoppingListLine.part_id == part_id))):
            raise ConflictError(f"part {part_id} stands on a shopping list; what was bought stays on record")
        session.delete(part)


def add_document(database: Database, part_id: int, *, title: str, url: str) -> dict[str, Any]:
    """Say where a part is documented. Raises ``NotFoundError``."""
    with database.writing() as session:
        find(session, Part, part_id)
        document = Document(part_id=part_id, title=title, url=url)
        session.add(document)
        session.flush()
        return document.as_json()


def kits_using(database: Database, part_id: int) -> list[dict[str, Any]]:
    """The kits that contain a part, with how many pieces one unit takes. Raises ``NotFoundError`` when there is no such part."""
    with database.reading() as session:
        find(session, Part, part_id)
        rows = session.execute(
            select(Kit, KitContent.required_per_unit).join(KitContent.kit).where(KitContent.part_id == part_id).order_by(Kit.name)
        )
        return [{"id": kit.id, "name": kit.name, "status": kit.status, "required_per_unit": required} for kit, required in rows]
