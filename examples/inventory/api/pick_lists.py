"""Routes of pick lists, their lines and their PDF."""

from __future__ import annotations

from functools import partial

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from .. import pick_list_pdf, pick_lists
from ..models import OPEN, PICK_LIST_STATUSES
from .common import HIGHEST_KEY, PAGE, body, database, events, query, tasks
from .fields import Fields, OneOf, Whole

routes = Blueprint("pick_lists", __name__, url_prefix="/api/pick-lists")

LIST = Fields(status=OneOf(PICK_LIST_STATUSES, default=OPEN), **PAGE)
CREATE = Fields(kit_id=Whole(1, HIGHEST_KEY), requested_units=Whole(1, 10_000))
QUANTITY = Fields(quantity=Whole(1, 1_000_000))


@routes.get("")
def overview() -> ResponseReturnValue:
    """The open pick lists, or with ?status=completed the completed ones."""
    return pick_lists.overview(database(), **query(LIST))


@routes.post("")
def create() -> ResponseReturnValue:
    """Make a pick list for some units of a kit."""
    answer = pick_lists.create(database(), **body(CREATE))
    events().publish("pick_lists", "pick_list_created", {"id": answer["id"]})
    return answer, 201


@routes.get("/<key:list_id>")
def detail(list_id: int) -> ResponseReturnValue:
    """One pick list and its lines."""
    return pick_lists.detail(database(), list_id)


@routes.post("/<key:list_id>/lines/<key:line_id>/pick")
def pick(list_id: int, line_id: int) -> ResponseReturnValue:
    """Take the pieces of a line out of stock."""
    answer = pick_lists.pick(database(), list_id, line_id)
    events().publish("pick_lists", "line_picked", {"id": list_id, "line_id": line_id})
    return answer


@routes.post("/<key:list_id>/lines/<key:line_id>/undo")
def undo(list_id: int, line_id: int) -> ResponseReturnValue:
    """Put the pieces of a picked line back."""
    answer = pick_lists.undo(database(), list_id, line_id)
    events().publish("pick_lists", "line_undone", {"id": list_id, "line_id": line_id})
    return answer


@routes.patch("/<key:list_id>/lines/<key:line_id>")
def update_quantity(list_id: int, line_id: int) -> ResponseReturnValue:
    """Take more or fewer pieces with an open line."""
    return pick_lists.update_quantity(database(), list_id, line_id, **body(QUANTITY))


@routes.post("/<key:list_id>/pdf")
def make_pdf(list_id: int) -> ResponseReturnValue:
    """Have a pick list made into a PDF, in the background."""
    pick_lists.require(database(), list_id)
    return tasks().start("pick_list_pdf", partial(pick_list_pdf.generate, database(), list_id)), 202


@routes.get("/<key:list_id>/pdf")
def pdf(list_id: int) -> ResponseReturnValue:
    """The PDF of a pick list that was made last."""
    name = f'inline; filename="pick-list-{list_id}.pdf"'
    return Response(pick_list_pdf.stored(database(), list_id), mimetype="application/pdf", headers={"Content-Disposition": name})
