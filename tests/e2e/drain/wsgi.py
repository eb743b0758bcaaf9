"""The service for WSGI servers, as a user writes it."""

from __future__ import annotations

import threading

from flask import Flask, request

import measurand
from tests.e2e.drain.service import DONE, settings

app = Flask(__name__)
measurand.flask(app, **settings())


@app.get("/work")
def work() -> str:
    threading.Event().wait(float(request.args.get("seconds", "0")))
    DONE.inc()
    return "done"
