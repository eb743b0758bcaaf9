"""The routes of the summary, and of what this installation can do."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint
from flask.typing import ResponseReturnValue

from .. import dashboard
from .common import database, features

routes = Blueprint("dashboard", __name__, url_prefix="/api")


@routes.get("/dashboard")
def summary() -> ResponseReturnValue:
    """The summary of the whole inventory, read now."""
    return asdict(dashboard.summary(database()))


@routes.get("/features")
def what_is_configured() -> ResponseReturnValue:
    """What this installation can do, by name."""
    return features()
