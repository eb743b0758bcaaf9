"""Pick lists: from which locations to take the parts of a kit, and what has been taken. Publishes everything called ``pick_list_…``
but the PDF's metrics.

Promises: a list claims only what no other open list claims; picking a line takes the pieces out of stock in the same transaction, undoing
it puts them back; counters move when that is committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from measurand import Counter, Histogram

from . import inventory, kits
from .database import Database, find
from .errors import ConflictError, InventoryError, NotFoundError
from .models import COMPLETED, OPEN, PICKED, KitContent, PickList, PickListLine, Stock

CREATED = Counter("pick_list_created_total", "Pick lists created")
LINES_PER_CREATION = Histogram(
    "pick_list_lines_per_creation", "Lines of a new pick list", buckets=(1, 2, 3, 5, 8, 13, 21, 34, 55, 100)
)
LINE_PICKED = Counter("pick_list_line_picked_total", "Lines picked: their pieces were taken out of stock")
LINE_UNDO = Counter(
    "pick_list_line_undo_total",
    "Attempts to undo the picking of a line, by outcome",
    ["outcome"],
    label_values={"outcome": ["success", "refused", "failed"]},
)
LINE_UNDO_DURATION = Histogram(
    "pick_list_line_undo_duration_seconds",
    "Time to undo the picking of a line, refused attempts included",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
DETAIL_REQUESTS = Counter("pick_list_detail_requests_total", "Pick lists answered in full")
LIST_REQUESTS = Counter("pick_list_list_requests_total", "Overviews of pick lists answered")
LINE_QUANTITY_UPDATED = Counter("pick_list_line_quantity_updated_total", "Lines whose quantity was changed")
LINE_QUANTITY_DELTA = Histogram(
    "pick_list_line_quantity_delta",
    "By how many pieces the quantity of a line was changed; below zero for fewer",
    buckets=(-100, -20, -5, -2, -1, 0, 1, 2, 5, 20, 100),
)


def create(database: Database, kit_id: int, *, requested_units: int) -> dict[str, Any]:
    """Say where to take the parts of so many units of an active kit from.

    Raises:
        NotFoundError: No such kit.
        ConflictError: The kit is archived or empty, or there is too little of a part that no other open list claims.
    """
    with database.writing() as session:
        kit = kits.active(session, kit_id)
        contents = session.scalars(select(KitContent).where(KitContent.kit_id == kit_id).order_by(KitContent.id)).all()
        if not contents:
            raise ConflictError(f"kit {kit_id} has no contents; add some before you pick")
        pick_list = PickList(kit=kit, requested_units=requested_units, status=OPEN)
        for content in contents:
            pick_list.lines.extend(_allocated(session, content.part_id, content.required_per_unit * requested_units))
        session.add(pick_list)
        session.flush()
        answer = _in_full(pick_list)
    CREATED.inc()  # after the commit: what was refused or rolled back has not happened; so below, too
    LINES_PER_CREATION.observe(len(answer["lines"]))
    return answer


def overview(database: Database, *, status: str, limit: int, offset: int) -> list[dict[str, Any]]:
    """The pick lists of one status, newest first, each with the number of its lines."""
    lines = select(func.count()).select_from(PickListLine).where(PickListLine.pick_list_id == PickList.id).scalar_subquery()
    query = select(PickList, lines).where(PickList.status == status).order_by(PickList.id.desc()).limit(limit).offset(offset)
    with database.reading() as session:
        answer = [row.as_json() | {"line_count": count} for row, count in session.execute(query)]
    LIST_REQUESTS.inc()
    return answer


def detail(database: Database, list_id: int) -> dict[str, Any]:
    """One pick list with its lines. Raises ``NotFoundError``."""
    with database.reading() as session:
        answer = _in_full(find(session, PickList, list_id))
    DETAIL_REQUESTS.inc()
    return answer


def require(database: Database, list_id: int) -> None:
    """Raise ``NotFoundError`` unless there is such a list."""
    with database.reading() as session:
        find(session, PickList, list_id)


def pick(database: Database, list_id: int, line_id: int) -> dict[str, Any]:
    """Take the pieces of an open line out of stock; the list is completed with its last line.

    Raises:
        NotFoundError: No such line, or its part no longer lies there.
        ConflictError: The line is picked already, or too few pieces are left.
    """
    with database.writing() as session:
        line = _open_line(session, list_id, line_id)
        inventory.take_out(session, **_place(line), quantity=line.quantity)
        line.status = PICKED
        if all(other.status == PICKED for other in line.pick_list.lines):
            line.pick_list.status = COMPLETED
        answer = line.as_json() | {"pick_list_status": line.pick_list.status}
    LINE_PICKED.inc()
    inventory.committed("remove")
    return answer


def undo(database: Database, list_id: int, line_id: int) -> dict[str, Any]:
    """Put the pieces of a picked line back where they came from; the list is open again.

    Raises:
        NotFoundError: No such line, or its box is gone.
        InvalidError: Its box has shrunk.
        ConflictError: The line is not picked, or something else lies there now.
    """
    outcome = "failed"
    try:
        with LINE_UNDO_DURATION.time(), database.writing() as session:
            line = _line(session, list_id, line_id)
            if line.status != PICKED:
                raise ConflictError(f"line {line_id} is not picked; there is nothing to undo")
            inventory.put_in(session, **_place(line), quantity=line.quantity)
            line.status = line.pick_list.status = OPEN
            answer = line.as_json() | {"pick_list_status": OPEN}
        outcome = "success"
    except InventoryError:
        outcome = "refused"
        raise
    finally:
        LINE_UNDO.labels(outcome).inc()
    inventory.committed("add")
    return answer


def update_quantity(database: Database, list_id: int, line_id: int, *, quantity: int) -> dict[str, Any]:
    """Take more or fewer pieces with an open line.

    Raises:
        NotFoundError: No such line.
        ConflictError: The line is picked already, or other open lists leave too few pieces there.
    """
    with database.writing() as session:
        line = _open_line(session, list_id, line_id)
        delta = quantity - line.quantity
        free = dict(_unclaimed(session, line.part_id)).get((line.box_no, line.location_no), 0)
        if delta > free:
            place = f"location {line.location_no} of box {line.box_no}"
            raise ConflictError(f"{place} has {max(0, line.quantity + free)} pieces for this line; take no more than that")
        line.quantity = quantity
        answer = line.as_json()
    LINE_QUANTITY_UPDATED.inc()
    LINE_QUANTITY_DELTA.observe(delta)
    return answer


def _allocated(session: Session, part_id: int, quantity: int) -> Iterator[PickListLine]:
    """Lines over the locations of a part, in walking order. Raises ``ConflictError`` when they do not hold enough."""
    missing = quantity
    for (box_no, location_no), free in _unclaimed(session, part_id):
        taken = min(free, missing)
        if taken > 0:
            missing -= taken
            yield PickListLine(part_id=part_id, box_no=box_no, location_no=location_no, quantity=taken, status=OPEN)
    if missing:
        raise ConflictError(f"{missing} pieces of part {part_id} are missing; push the kit to a shopping list, or pick fewer units")


def _unclaimed(session: Session, part_id: int) -> list[tuple[tuple[int, int], int]]:
    """The locations of a part, each with how many of its pieces no open list claims; below zero where stock went meanwhile."""
    claims = select(PickListLine.box_no, PickListLine.location_no, func.sum(PickListLine.quantity)).where(
        PickListLine.part_id == part_id, PickListLine.status == OPEN
    )
    by_place = claims.group_by(PickListLine.box_no, PickListLine.location_no)
    claimed = {(box_no, location_no): int(pieces) for box_no, location_no, pieces in session.execute(by_place)}
    stock = session.scalars(select(Stock).where(Stock.part_id == part_id).order_by(Stock.box_no, Stock.location_no).with_for_update())
    places = [((row.box_no, row.location_no), row.quantity) for row in stock]
    return [(place, quantity - claimed.get(place, 0)) for place, quantity in places]


def _line(session: Session, list_id: int, line_id: int) -> PickListLine:
    find(session, PickList, list_id, lock=True)
    line = find(session, PickListLine, line_id, lock=True)
    if line.pick_list_id != list_id:
        raise NotFoundError(f"pick list {list_id} has no line {line_id}")
    return line


def _open_line(session: Session, list_id: int, line_id: int) -> PickListLine:
    line = _line(session, list_id, line_id)
    if line.status != OPEN:
        raise ConflictError(f"line {line_id} is picked already; undo that before you change it")
    return line


def _place(line: PickListLine) -> dict[str, int]:
    return {"part_id": line.part_id, "box_no": line.box_no, "location_no": line.location_no}


def _in_full(pick_list: PickList) -> dict[str, Any]:
    return pick_list.as_json() | {"lines": [line.as_json() for line in pick_list.lines]}
