"""From a kit to a shopping list: what is missing to build it is put on the list. Publishes everything called ``kit_shopping_list_…``.

Promises: a part that stands on the list already, not yet ordered, is not added twice: its line is raised to what is missing now.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from measurand import Counter, Histogram

from . import kits
from .database import Database, find
from .errors import ConflictError, InventoryError, NotFoundError
from .models import ACTIVE, NEW, Kit, KitContent, KitShoppingLink, ShoppingList, ShoppingListLine, Stock

YES_NO = ["true", "false"]
PUSH = Counter(
    "kit_shopping_list_push_total",
    "Attempts to put what a kit is short of on a shopping list; noop: nothing is missing",
    ["outcome", "honor_reserved"],
    label_values={"outcome": ["success", "noop", "refused", "failed"], "honor_reserved": YES_NO},
)
PUSH_DURATION = Histogram(
    "kit_shopping_list_push_seconds",
    "Time of such an attempt, whatever its outcome",
    ["honor_reserved"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
    label_values={"honor_reserved": YES_NO},
)
UNLINK = Counter(
    "kit_shopping_list_unlink_total",
    "Attempts to part a kit from a shopping list, by outcome",
    ["outcome"],
    label_values={"outcome": ["success", "not_found", "failed"]},
)


def push(database: Database, kit_id: int, *, shopping_list_id: int, units: int, honor_reserved: bool) -> dict[str, Any]:
    """Put what is missing for so many units of an active kit on a shopping list, and link the two.

    Args:
        honor_reserved: Leave alone what the other active kits need for their targets.

    Raises:
        NotFoundError: No such kit or list.
        ConflictError: The kit is archived or empty.
    """
    terms = "true" if honor_reserved else "false"
    outcome = "failed"
    try:
        with PUSH_DURATION.labels(terms).time(), database.writing() as session:
            kit = kits.active(session, kit_id)
            find(session, ShoppingList, shopping_list_id, lock=True)
            missing = _missing(session, kit, units, honor_reserved=honor_reserved)
            lines = [_needed(session, shopping_list_id, part_id, pieces) for part_id, pieces in missing.items()]
            _link(session, kit_id, shopping_list_id, units, honor_reserved=honor_reserved)
            session.flush()
            answer = {"shopping_list_id": shopping_list_id, "lines": [line.as_json() for line in lines]}
        outcome = "success" if missing else "noop"
    except InventoryError:
        outcome = "refused"
        raise
    finally:
        PUSH.labels(outcome, terms).inc()
    return answer


def links(database: Database, kit_id: int) -> list[dict[str, Any]]:
    """The shopping lists that a kit is linked to. Raises ``NotFoundError``."""
    with database.reading() as session:
        find(session, Kit, kit_id)
        rows = session.scalars(select(KitShoppingLink).where(KitShoppingLink.kit_id == kit_id).order_by(KitShoppingLink.shopping_list_id))
        return [row.as_json() for row in rows]


def unlink(database: Database, kit_id: int, shopping_list_id: int) -> None:
    """Part a kit from a shopping list; the lines stay. Raises ``NotFoundError`` when they are not linked."""
    outcome = "failed"
    try:
        with database.writing() as session:
            link = _linked(session, kit_id, shopping_list_id)
            if link is None:
                raise NotFoundError(f"kit {kit_id} is not linked to shopping list {shopping_list_id}")
            session.delete(link)
        outcome = "success"
    except NotFoundError:
        outcome = "not_found"
        raise
    finally:
        UNLINK.labels(outcome).inc()


def _missing(session: Session, kit: Kit, units: int, *, honor_reserved: bool) -> dict[int, int]:
    """The pieces that are missing, by part, in the order of the kit."""
    contents = session.scalars(select(KitContent).where(KitContent.kit_id == kit.id).order_by(KitContent.id)).all()
    if not contents:
        raise ConflictError(f"kit {kit.id} has no contents; add some before you shop for it")
    missing = {}
    for content in contents:
        in_stock = session.scalar(select(func.coalesce(func.sum(Stock.quantity), 0)).where(Stock.part_id == content.part_id)) or 0
        reserved = _reserved(session, content.part_id, kit.id) if honor_reserved else 0
        lacking = content.required_per_unit * units - max(0, int(in_stock) - reserved)
        if lacking > 0:
            missing[content.part_id] = lacking
    return missing


def _reserved(session: Session, part_id: int, kit_id: int) -> int:
    """The pieces of a part that the other active kits need for their targets."""
    needs = select(func.coalesce(func.sum(KitContent.required_per_unit * Kit.build_target), 0)).join(KitContent.kit)
    others = needs.where(KitContent.part_id == part_id, Kit.id != kit_id, Kit.status == ACTIVE)
    return int(session.scalar(others) or 0)


def _needed(session: Session, shopping_list_id: int, part_id: int, pieces: int) -> ShoppingListLine:
    same = (ShoppingListLine.shopping_list_id == shopping_list_id, ShoppingListLine.part_id == part_id, ShoppingListLine.status == NEW)
    line = session.scalar(select(ShoppingListLine).where(*same).with_for_update())
    if line is None:
        row = {"shopping_list_id": shopping_list_id, "part_id": part_id, "seller": ""}
        line = ShoppingListLine(**row, status=NEW, needed=pieces, ordered=0, received=0)
        session.add(line)
    line.needed = max(line.needed, pieces)
    return line


def _link(session: Session, kit_id: int, shopping_list_id: int, units: int, *, honor_reserved: bool) -> None:
    link = _linked(session, kit_id, shopping_list_id)
    if link is None:
        link = KitShoppingLink(kit_id=kit_id, shopping_list_id=shopping_list_id)
        session.add(link)
    link.units, link.honor_reserved = units, honor_reserved


def _linked(session: Session, kit_id: int, shopping_list_id: int) -> KitShoppingLink | None:
    pair = (KitShoppingLink.kit_id == kit_id, KitShoppingLink.shopping_list_id == shopping_list_id)
    return session.scalar(select(KitShoppingLink).where(*pair).with_for_update())
