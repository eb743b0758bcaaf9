"""The WSGI application: the API and a page for people.

``create_app`` may be called many times: the metrics are constants of their modules, so every application of a process shares them.
It starts nothing. ``GET /metrics``, the probes and the HTTP metrics are built in by ``worker.py``, in one line.
"""

from __future__ import annotations

import logging

from flask import Flask, jsonify, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException

from . import api, dashboard
from .api import common
from .errors import BusyError, InventoryError
from .services import Services

LOG = logging.getLogger(__name__)

LARGEST_BODY = 64 * 1024


def create_app(services: Services) -> Flask:
    """An application over services whose database has its tables."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    common.attach(app, services)
    api.register(app)
    _register_errors(app)

    @app.get("/")
    def index() -> ResponseReturnValue:
        """This page."""
        summary = dashboard.summary(common.database())
        return render_template("index.html", summary=summary, features=common.features(), routes=_described_routes(app))

    return app


def _register_errors(app: Flask) -> None:
    @app.errorhandler(InventoryError)
    def refused(reason: InventoryError) -> ResponseReturnValue:
        headers = {"Retry-After": str(reason.retry_after)} if isinstance(reason, BusyError) else {}
        return jsonify(error=str(reason)), reason.status, headers

    @app.errorhandler(HTTPException)
    def not_routed(reason: HTTPException) -> ResponseReturnValue:
        answer = reason.get_response()  # keeps what the status needs beside its body, as Allow of a 405
        answer.data = jsonify(error=reason.description).data
        answer.content_type = "application/json"
        return answer

    @app.errorhandler(OperationalError)
    def unavailable(reason: OperationalError) -> ResponseReturnValue:
        LOG.error("the database did not answer", exc_info=reason)
        return jsonify(error="the database does not answer; try again in a moment"), 503

    @app.errorhandler(Exception)
    def failed(reason: Exception) -> ResponseReturnValue:
        LOG.error("a request failed", exc_info=reason)
        return jsonify(error="this went wrong on our side; the log has the details"), 500


def _described_routes(app: Flask) -> list[tuple[str, str, str]]:
    """Method, path and meaning of every API route, in order of registration."""
    described = []
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if rule.rule.startswith("/api/"):
            method = next(iter((rule.methods or set()) - {"HEAD", "OPTIONS"}))
            described.append((method, rule.rule.replace("<key:", "<"), (view.__doc__ or "").strip()))
    return described
