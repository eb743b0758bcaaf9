"""Routes that ask a language model."""

from __future__ import annotations

from functools import partial

from flask import Blueprint
from flask.typing import ResponseReturnValue

from .. import ai_analysis, duplicates, parts
from ..ai import LEVELS
from .common import ai, body, database, tasks
from .fields import Fields, OneOf, Text

routes = Blueprint("ai", __name__, url_prefix="/api")

ANALYSE = Fields(verbosity=OneOf(LEVELS, default="low"), reasoning_effort=OneOf(LEVELS, default="low"))
CANDIDATE = Fields(description=Text(200), manufacturer_code=Text(100, default=""))


@routes.post("/parts/<key:part_id>/analysis")
def analyse(part_id: int) -> ResponseReturnValue:
    """Have a language model suggest how to describe a part, in the background."""
    how = body(ANALYSE)
    provider = ai()
    parts.require(database(), part_id)
    return tasks().start("ai_analysis", partial(ai_analysis.analyse, database(), provider, part_id, **how)), 202


@routes.post("/ai/duplicates")
def find_duplicates() -> ResponseReturnValue:
    """Ask a language model whether a part is there already."""
    return duplicates.search(database(), ai(), **body(CANDIDATE))
