"""The JSON API under ``/api``: each module reads requests, calls a service and answers; rules stand in the services.

Every refusal is ``{"error": "what is wrong and what to do"}`` with the status that ``errors.py`` gives it.
"""

from __future__ import annotations

from flask import Flask

from . import account, ai, boxes, dashboard, distributor, kits, part_types, parts, pick_lists, shopping_lists, stock, tasks
from .common import RowKey

GROUPS = (
    part_types.routes,
    parts.routes,
    boxes.routes,
    stock.routes,
    kits.routes,
    pick_lists.routes,
    shopping_lists.routes,
    ai.routes,
    distributor.routes,
    tasks.routes,
    account.routes,
    dashboard.routes,
)


def register(app: Flask) -> None:
    """Add all routes to an application; its services are those that ``common.attach`` gave it."""
    app.url_map.converters["key"] = RowKey
    for group in GROUPS:
        app.register_blueprint(group)
