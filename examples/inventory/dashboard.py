"""The summary of the whole inventory: for the API, and as gauges for whoever watches from outside.

Promises: a refresh reads everything first and publishes then, so that a failing database leaves the previous values in place, all of
them; the gauges with labels are replaced in one step, so that no scrape sees a box or a type missing. The library's polling calls it, gives
it a session that ends in any case, logs and counts what it raises, and calls again (``worker.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from measurand import Gauge

from .database import Database
from .models import Box, Document, Part, PartType, Stock, StockChange, utc_now

TOTAL_PARTS = Gauge("inventory_total_parts", "Parts known")
TOTAL_QUANTITY = Gauge("inventory_total_quantity", "Pieces in stock, all parts together")
LOW_STOCK_PARTS = Gauge("inventory_low_stock_parts", "Parts with fewer pieces in stock than their reorder level")
PARTS_WITHOUT_DOCS = Gauge("inventory_parts_without_docs", "Parts without any document")
RECENT_CHANGES_7D = Gauge("inventory_recent_changes_7d", "Stock changes of the last 7 days")
RECENT_CHANGES_30D = Gauge("inventory_recent_changes_30d", "Stock changes of the last 30 days")
BOX_UTILIZATION = Gauge("inventory_box_utilization_percent", "Occupied locations of a box, in percent of its capacity", ["box_no"])
TOTAL_BOXES = Gauge("inventory_total_boxes", "Boxes known")
PARTS_BY_TYPE = Gauge("inventory_parts_by_type", "Parts of a type", ["type_name"])


@dataclass(frozen=True)
class Summary:
    """The state of the inventory at one moment."""

    total_parts: int
    total_quantity: int
    low_stock_parts: int
    parts_without_docs: int
    recent_changes_7d: int
    recent_changes_30d: int
    total_boxes: int
    box_utilization_percent: dict[int, float]
    parts_by_type: dict[str, int]


def summary(database: Database) -> Summary:
    """Read the summary in a session of its own."""
    with database.reading() as session:
        return summarise(session, utc_now())


def refresh(session: Session) -> None:
    """Set the gauges to what the database says now. What it raises leaves them as they were."""
    _publish(summarise(session, utc_now()))


def summarise(session: Session, now: datetime) -> Summary:
    """Read the summary; ``now`` is the end of the windows of 7 and 30 days (UTC, without a zone)."""
    in_stock = select(func.coalesce(func.sum(Stock.quantity), 0)).where(Stock.part_id == Part.id).scalar_subquery()
    occupied = select(func.count()).select_from(Stock).where(Stock.box_no == Box.box_no).scalar_subquery()
    of_type = select(func.count()).select_from(Part).where(Part.type_id == PartType.id).scalar_subquery().label("parts")
    boxes = session.execute(select(Box.box_no, Box.capacity, occupied))
    utilization = {box_no: 100 * count / capacity for box_no, capacity, count in boxes}
    return Summary(
        total_parts=session.scalar(select(func.count()).select_from(Part)) or 0,
        total_quantity=int(session.scalar(select(func.sum(Stock.quantity))) or 0),
        low_stock_parts=session.scalar(select(func.count()).select_from(Part).where(in_stock < Part.reorder_level)) or 0,
        parts_without_docs=session.scalar(select(func.count()).select_from(Part).where(~exists().where(Document.part_id == Part.id))) or 0,
        recent_changes_7d=_changes_since(session, now - timedelta(days=7)),
        recent_changes_30d=_changes_since(session, now - timedelta(days=30)),
        total_boxes=len(utilization),
        box_utilization_percent=utilization,
        parts_by_type={row.name: row.parts for row in session.execute(select(PartType.name, of_type))},
    )


def _changes_since(session: Session, moment: datetime) -> int:
    return session.scalar(select(func.count()).select_from(StockChange).where(StockChange.at >= moment)) or 0


def _publish(now: Summary) -> None:
    TOTAL_PARTS.set(now.total_parts)
    TOTAL_QUANTITY.set(now.total_quantity)
    LOW_STOCK_PARTS.set(now.low_stock_parts)
    PARTS_WITHOUT_DOCS.set(now.parts_without_docs)
    RECENT_CHANGES_7D.set(now.recent_changes_7d)
    RECENT_CHANGES_30D.set(now.recent_changes_30d)
    TOTAL_BOXES.set(now.total_boxes)
    BOX_UTILIZATION.replace({str(number): percent for number, percent in now.box_utilization_percent.items()})
    PARTS_BY_TYPE.replace(now.parts_by_type)
