"""The route of the summary."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint
from flask.typing import ResponseReturnValue

from .. import dashboard
from .common import database

routes = Blueprint("dashboard", __name__, url_prefix="/api/dashboard")


@routes.get("")
def summary() -> ResponseReturnValue:
    """The summary of the whole inventory, read now."""
    return asdict(dashboard.summary(database()))
