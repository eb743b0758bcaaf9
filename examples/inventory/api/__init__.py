"""The JSON API under ``/api``: each module reads requests, calls a service and answers; rules stand in the services.

Every refusal is ``{"error": "what is wrong and what to do"}`` with the status that ``errors.py`` gives it.
"""

from __future__ import annotations

from flask import Flask

from . import boxes, dashboard, kits, part_types, parts, stock
from .common import RowKey

GROUPS = (part_types.routes, parts.routes, boxes.routes, stock.routes, kits.routes, dashboard.routes)


def register(app: Flask) -> None:
    """Add all routes to an application; its database is expected where ``common.database`` looks."""
    app.url_map.converters["key"] = RowKey
    for group in GROUPS:
        app.register_blueprint(group)
