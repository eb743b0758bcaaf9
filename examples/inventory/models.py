"""The tables. A row knows its name in messages and how it looks in JSON; rules that need more than one row stand in the services."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

ACTIVE = "active"
ARCHIVED = "archived"
KIT_STATUSES = (ACTIVE, ARCHIVED)
OPEN = "open"
PICKED = "picked"
COMPLETED = "completed"
PICK_LIST_STATUSES = (OPEN, COMPLETED)
NEW = "new"
ORDERED = "ordered"
DONE = "done"
WAITING = "waiting"
RUNNING = "running"
FAILED = "failed"


def utc_now() -> datetime:
    """The present in UTC, without a zone: the one form that every database stores alike."""
    return datetime.now(UTC).replace(tzinfo=None)


class Base(DeclarativeBase):
    """What all tables share."""

    spoken_name: ClassVar[str] = "row"


class PartType(Base):
    """A kind of part: resistor, screw, sensor."""

    __tablename__ = "part_types"
    spoken_name = "part type"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name}


class Box(Base):
    """A storage box with numbered compartments, 1 to ``capacity``."""

    __tablename__ = "boxes"
    __table_args__ = (CheckConstraint("capacity >= 1"),)
    spoken_name = "box"

    box_no: Mapped[int] = mapped_column(primary_key=True)
    description: Mapped[str] = mapped_column(String(200))
    capacity: Mapped[int]

    def as_json(self) -> dict[str, Any]:
        return {"box_no": self.box_no, "description": self.description, "capacity": self.capacity}


class Part(Base):
    """A thing one can have some of. It is low on stock below its ``reorder_level``."""

    __tablename__ = "parts"
    __table_args__ = (CheckConstraint("reorder_level >= 0"),)
    spoken_name = "part"

    id: Mapped[int] = mapped_column(primary_key=True)
    description: Mapped[str] = mapped_column(String(200))
    manufacturer_code: Mapped[str] = mapped_column(String(100))
    reorder_level: Mapped[int]
    type_id: Mapped[int] = mapped_column(ForeignKey("part_types.id"), index=True)
    type: Mapped[PartType] = relationship(lazy="joined", innerjoin=True)
    documents: Mapped[list[Document]] = relationship(order_by="Document.id", cascade="all, delete-orphan", passive_deletes=True)

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "description": self.description,
            "manufacturer_code": self.manufacturer_code,
            "reorder_level": self.reorder_level,
            "type": self.type.as_json(),
        }


class Document(Base):
    """Where to read about a part: a datasheet, a drawing."""

    __tablename__ = "documents"
    spoken_name = "document"

    id: Mapped[int] = mapped_column(primary_key=True)
    part_id: Mapped[int] = mapped_column(ForeignKey("parts.id", ondelete="CASCADE"), index=True)
    title: Mapped[str] = mapped_column(String(200))
    url: Mapped[str] = mapped_column(String(500))

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, "title": self.title, "url": self.url}


class Stock(Base):
    """What lies in one compartment: some of one part. An empty compartment has no row."""

    __tablename__ = "stock"
    __table_args__ = (CheckConstraint("quantity > 0"),)
    spoken_name = "stock"

    box_no: Mapped[int] = mapped_column(ForeignKey("boxes.box_no"), primary_key=True)
    location_no: Mapped[int] = mapped_column(primary_key=True)
    part_id: Mapped[int] = mapped_column(ForeignKey("parts.id"), index=True)
    quantity: Mapped[int]

    def as_json(self) -> dict[str, Any]:
        return {"box_no": self.box_no, "location_no": self.location_no, "part_id": self.part_id, "quantity": self.quantity}


class StockChange(Base):
    """One addition (positive) or removal (negative); the history outlives the part."""

    __tablename__ = "stock_changes"
    spoken_name = "stock change"

    id: Mapped[int] = mapped_column(primary_key=True)
    part_id: Mapped[int | None] = mapped_column(ForeignKey("parts.id", ondelete="SET NULL"), index=True)
    box_no: Mapped[int]
    location_no: Mapped[int]
    delta: Mapped[int]
    at: Mapped[datetime] = mapped_column(default=utc_now, index=True)

    def as_json(self) -> dict[str, Any]:
        where = {"box_no": self.box_no, "location_no": self.location_no}
        return {"id": self.id, "part_id": self.part_id, **where, "delta": self.delta, "at": self.at.isoformat() + "Z"}


class Kit(Base):
    """A list of parts that together build something; archived when it is no longer built."""

    __tablename__ = "kits"
    __table_args__ = (CheckConstraint("status IN ('active', 'archived')"),)
    spoken_name = "kit"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    description: Mapped[str] = mapped_column(String(200))
    build_target: Mapped[int]
    status: Mapped[str] = mapped_column(String(10), default=ACTIVE, index=True)
    contents: Mapped[list[KitContent]] = relationship(order_by="KitContent.id", back_populates="kit")

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "build_target": self.build_target,
            "status": self.status,
        }


class KitContent(Base):
    """One line of a kit. ``version`` rises with every change, so that an edit made on an old copy is noticed."""

    __tablename__ = "kit_contents"
    __table_args__ = (UniqueConstraint("kit_id", "part_id"), CheckConstraint("required_per_unit >= 1"))
    spoken_name = "kit content"

    id: Mapped[int] = mapped_column(primary_key=True)
    kit_id: Mapped[int] = mapped_column(ForeignKey("kits.id"))
    part_id: Mapped[int] = mapped_column(ForeignKey("parts.id"), index=True)
    required_per_unit: Mapped[int]
    note: Mapped[str] = mapped_column(String(200))
    version: Mapped[int] = mapped_column(default=1)
    kit: Mapped[Kit] = relationship(back_populates="contents")

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "part_id": self.part_id,
            "required_per_unit": self.required_per_unit,
            "note": self.note,
            "version": self.version,
        }


class PickList(Base):
    """Where to take the parts of some units of a kit from; completed when every line is picked."""

    __tablename__ = "pick_lists"
    __table_args__ = (CheckConstraint("status IN ('open', 'completed')"), CheckConstraint("requested_units >= 1"))
    spoken_name = "pick list"

    id: Mapped[int] = mapped_column(primary_key=True)
    kit_id: Mapped[int] = mapped_column(ForeignKey("kits.id"), index=True)
    requested_units: Mapped[int]
    status: Mapped[str] = mapped_column(String(10), default=OPEN, index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    kit: Mapped[Kit] = relationship(lazy="joined", innerjoin=True)
    lines: Mapped[list[PickListLine]] = relationship(order_by="PickListLine.id", back_populates="pick_list")

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kit": {"id": self.kit_id, "name": self.kit.name},
            "requested_units": self.requested_units,
            "status": self.status,
            "created_at": self.created_at.isoformat() + "Z",
        }


class PickListLine(Base):
    """Some pieces of one part to take from one location."""

    __tablename__ = "pick_list_lines"
    __table_args__ = (CheckConstraint("status IN ('open', 'picked')"), CheckConstraint("quantity >= 1"))
    spoken_name = "pick list line"

    id: Mapped[int] = mapped_column(primary_key=True)
    pick_list_id: Mapped[int] = mapped_column(ForeignKey("pick_lists.id"), index=True)
    part_id: Mapped[int] = mapped_column(ForeignKey("parts.id"), index=True)
    box_no: Mapped[int]
    location_no: Mapped[int]
    quantity: Mapped[int]
    status: Mapped[str] = mapped_column(String(10), default=OPEN)
    pick_list: Mapped[PickList] = relationship(back_populates="lines")
    part: Mapped[Part] = relationship(lazy="joined", innerjoin=True)

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "part": {"id": self.part_id, "description": self.part.description},
            "box_no": self.box_no,
            "location_no": self.location_no,
            "quantity": self.quantity,
            "status": self.status,
        }


class PickListPdf(Base):
    """The printed form of a pick list, as it was when somebody asked for it last."""

    __tablename__ = "pick_list_pdfs"
    spoken_name = "PDF of pick list"

    pick_list_id: Mapped[int] = mapped_column(ForeignKey("pick_lists.id"), primary_key=True)
    content: Mapped[bytes]
    made_at: Mapped[datetime] = mapped_column(default=utc_now)


class ShoppingList(Base):
    """What is to be bought, by hand or because a kit needs it."""

    __tablename__ = "shopping_lists"
    spoken_name = "shopping list"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name}


class ShoppingListLine(Base):
    """Some pieces of one part to buy: new, then ordered, then done when all that was ordered is here."""

    __tablename__ = "shopping_list_lines"
    __table_args__ = (CheckConstraint("status IN ('new', 'ordered', 'done')"), CheckConstraint("needed >= 1"))
    spoken_name = "shopping list line"

    id: Mapped[int] = mapped_column(primary_key=True)
    shopping_list_id: Mapped[int] = mapped_column(ForeignKey("shopping_lists.id"), index=True)
    part_id: Mapped[int] = mapped_column(ForeignKey("parts.id"), index=True)
    seller: Mapped[str] = mapped_column(String(100), default="")
    needed: Mapped[int]
    ordered: Mapped[int] = mapped_column(default=0)
    received: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(10), default=NEW)

    def as_json(self) -> dict[str, Any]:
        amounts = {"needed": self.needed, "ordered": self.ordered, "received": self.received}
        return {"id": self.id, "part_id": self.part_id, "seller": self.seller, **amounts, "status": self.status}


class KitShoppingLink(Base):
    """Which shopping list was last told what a kit is short of, and on what terms."""

    __tablename__ = "kit_shopping_links"
    __table_args__ = (UniqueConstraint("kit_id", "shopping_list_id"),)
    spoken_name = "link"

    id: Mapped[int] = mapped_column(primary_key=True)
    kit_id: Mapped[int] = mapped_column(ForeignKey("kits.id"))
    shopping_list_id: Mapped[int] = mapped_column(ForeignKey("shopping_lists.id"), index=True)
    units: Mapped[int]
    honor_reserved: Mapped[bool]

    def as_json(self) -> dict[str, Any]:
        return {"shopping_list_id": self.shopping_list_id, "units": self.units, "honor_reserved": self.honor_reserved}


class BackgroundTask(Base):
    """Work that goes on after the request that asked for it; ``outcome`` is its result or what went wrong, as JSON."""

    __tablename__ = "background_tasks"
    spoken_name = "task"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(10), default=WAITING)
    outcome: Mapped[str] = mapped_column(Text, default="null")
    asked_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)

    def as_json(self) -> dict[str, Any]:
        asked_at = self.asked_at.isoformat() + "Z"
        return {"id": self.id, "kind": self.kind, "state": self.state, "outcome": json.loads(self.outcome), "asked_at": asked_at}
