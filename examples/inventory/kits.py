"""Kits and their contents. Publishes everything that is called ``kits_…`` and ``kit_…``.

Promises: an archived kit does not change; two people who edit one content line do not overwrite each other; a counter moves when the
work is committed; the two gauges say what the database said last.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from measurand import Counter, Gauge, Histogram

from .database import Database, find
from .errors import ConflictError, NotFoundError
from .models import ACTIVE, ARCHIVED, KIT_STATUSES, Kit, KitContent, Part, Stock

LOG = logging.getLogger(__name__)

KITS_CREATED = Counter("kits_created_total", "Kits created")
KITS_ARCHIVED = Counter("kits_archived_total", "Kits archived")
KITS_UNARCHIVED = Counter("kits_unarchived_total", "Kits taken back from the archive")
OVERVIEW_REQUESTS = Counter(
    "kits_overview_requests_total",
    "Kit overviews answered, by the status asked for",
    ["status"],
    label_values={"status": list(KIT_STATUSES)},
)
KITS_ACTIVE_COUNT = Gauge("kits_active_count", "Kits that are not archived")
KITS_ARCHIVED_COUNT = Gauge("kits_archived_count", "Kits in the archive")
DETAIL_VIEWS = Counter("kit_detail_views_total", "Kit details answered")
CONTENT_MUTATIONS = Counter(
    "kit_content_mutations_total",
    "Changes made to the contents of kits, by action",
    ["action"],
    label_values={"action": ["add", "update", "remove"]},
)
CONTENT_UPDATE_DURATION = Histogram(
    "kit_content_update_duration_seconds",
    "Time to update one content line of a kit, refused updates included",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)

_publishing = threading.Lock()  # counts are read and set as one step, so that an older answer never overwrites a newer one


def create(database: Database, *, name: str, description: str = "", build_target: int = 1) -> dict[str, Any]:
    """Add an active kit. Raises ``ConflictError`` when the name is taken."""
    with database.writing() as session:
        _refuse_taken(session, name)
        kit = Kit(name=name, description=description, build_target=build_target, status=ACTIVE)
        session.add(kit)
        session.flush()
        answer = kit.as_json()
    KITS_CREATED.inc()  # after the commit: what was refused or rolled back has not happened; so below, too
    _refresh_counts(database)
    return answer


def overview(database: Database, *, status: str, limit: int, offset: int) -> list[dict[str, Any]]:
    """The kits of one status by name, each with the number of its content lines."""
    lines = select(func.count()).select_from(KitContent).where(KitContent.kit_id == Kit.id).scalar_subquery()
    query = select(Kit, lines).where(Kit.status == status).order_by(Kit.name).limit(limit).offset(offset)
    with database.reading() as session:
        answer = [kit.as_json() | {"content_lines": count} for kit, count in session.execute(query)]
    OVERVIEW_REQUESTS.labels(status).inc()
    return answer


def detail(database: Database, kit_id: int) -> dict[str, Any]:
    """One kit with its contents, what is in stock of each, and how many units could be built. Raises ``NotFoundError``."""
    in_stock = select(func.coalesce(func.sum(Stock.quantity), 0)).where(Stock.part_id == KitContent.part_id).scalar_subquery()
    with database.reading() as session:
        kit = find(session, Kit, kit_id)
        rows = session.execute(select(KitContent, in_stock).where(KitContent.kit_id == kit_id).order_by(KitContent.id))
        contents = [line.as_json() | {"in_stock": int(total)} for line, total in rows]
        buildable = min((line["in_stock"] // line["required_per_unit"] for line in contents), default=0)
        answer = kit.as_json() | {"contents": contents, "buildable": buildable}
    DETAIL_VIEWS.inc()
    return answer


def update(database: Database, kit_id: int, **changed: Any) -> dict[str, Any]:
    """Change the given columns of an active kit. Raises ``NotFoundError`` or ``ConflictError``."""
    with database.writing() as session:
        kit = active(session, kit_id)
        if changed.get("name", kit.name) != kit.name:
            _refuse_taken(session, changed["name"])
        for column, value in changed.items():
            setattr(kit, column, value)
        return kit.as_json()


def archive(database: Database, kit_id: int) -> dict[str, Any]:
    """Put an active kit into the archive. Raises ``NotFoundError``, or ``ConflictError`` when it is there already."""
    answer = _move(database, kit_id, ARCHIVED)
    KITS_ARCHIVED.inc()
    _refresh_counts(database)
    return answer


def unarchive(database: Database, kit_id: int) -> dict[str, Any]:
    """Take a kit back from the archive. Raises ``NotFoundError``, or ``ConflictError`` when it is not there."""
    answer = _move(database, kit_id, ACTIVE)
    KITS_UNARCHIVED.inc()
    _refresh_counts(database)
    return answer


def add_content(database: Database, kit_id: int, *, part_id: int, required_per_unit: int, note: str = "") -> dict[str, Any]:
    """Add a part to an active kit.

    Raises:
        NotFoundError: No such kit or part.
        ConflictError: The kit is archived, or contains the part already.
    """
    with database.writing() as session:
        active(session, kit_id)
        find(session, Part, part_id)
        if session.scalar(select(exists().where(KitContent.kit_id == kit_id, KitContent.part_id == part_id))):
            raise ConflictError(f"kit {kit_id} contains part {part_id} already; update that line instead")
        line = KitContent(kit_id=kit_id, part_id=part_id, required_per_unit=required_per_unit, note=note)
        session.add(line)
        session.flush()
        answer = line.as_json()
    CONTENT_MUTATIONS.labels("add").inc()
    return answer


def update_content(database: Database, kit_id: int, content_id: int, *, version: int, **changed: Any) -> dict[str, Any]:
    """Change the given columns of a content line that is still at ``version``.

    Raises:
        NotFoundError: No such kit, or no such line in it.
        ConflictError: The kit is archived, or somebody changed the line since ``version``.
    """
    with CONTENT_UPDATE_DURATION.time(), database.writing() as session:
        line = _content(session, kit_id, content_id)
        if line.version != version:
            raise ConflictError(f"content {content_id} is at version {line.version}, not {version}; read it again, then repeat your change")
        for column, value in changed.items():
            setattr(line, column, value)
        line.version += 1
        answer = line.as_json()
    CONTENT_MUTATIONS.labels("update").inc()
    return answer


def remove_content(database: Database, kit_id: int, content_id: int) -> None:
    """Take a line out of an active kit. Raises ``NotFoundError`` or ``ConflictError``."""
    with database.writing() as session:
        session.delete(_content(session, kit_id, content_id))
    CONTENT_MUTATIONS.labels("remove").inc()


def publish_counts(session: Session) -> None:
    """Set both gauges to what the database says now. What it raises leaves them as they were."""
    with _publishing:
        rows = session.execute(select(Kit.status, func.count().label("kits")).group_by(Kit.status))
        counts = {row.status: row.kits for row in rows}
        KITS_ACTIVE_COUNT.set(counts.get(ACTIVE, 0))
        KITS_ARCHIVED_COUNT.set(counts.get(ARCHIVED, 0))


def _refresh_counts(database: Database) -> None:
    """The same after a change: that is done and stays done, whatever becomes of the gauges."""
    try:
        with database.reading() as session:
            publish_counts(session)
    except Exception:
        LOG.exception("the kits could not be counted; kits_active_count and kits_archived_count keep their previous values")


def active(session: Session, kit_id: int) -> Kit:
    """The kit, locked, as a step of a larger change. Raises ``NotFoundError``, or ``ConflictError`` when it is archived."""
    kit = find(session, Kit, kit_id, lock=True)
    if kit.status != ACTIVE:
        raise ConflictError(f"kit {kit_id} is archived; unarchive it before you change it")
    return kit


def _move(database: Database, kit_id: int, status: str) -> dict[str, Any]:
    with database.writing() as session:
        kit = find(session, Kit, kit_id, lock=True)
        if kit.status == status:
            raise ConflictError(f"kit {kit_id} is {status} already")
        kit.status = status
        return kit.as_json()


def _content(session: Session, kit_id: int, content_id: int) -> KitContent:
    active(session, kit_id)
    line = find(session, KitContent, content_id, lock=True)
    if line.kit_id != kit_id:
        raise NotFoundError(f"kit {kit_id} has no content {content_id}")
    return line


def _refuse_taken(session: Session, name: str) -> None:
    if session.scalar(select(exists().where(Kit.name == name))):
        raise ConflictError(f"there is a kit {name!r} already; choose another name")
