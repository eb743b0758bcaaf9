"""A WSGI service: instruments and two pages."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from measurand import generate_latest, make_wsgi_app
from tests.e2e.families.counting import hit, loiter

metrics = make_wsgi_app()


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/metrics":
        return metrics(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/latest":
        return [generate_latest()]
    answers = {"/hit": hit, "/loiter": loiter}
    return [answers.get(path, lambda: str(os.getpid()))().encode()]
