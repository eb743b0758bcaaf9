"""A Flask service that is measured with one line."""

from __future__ import annotations

import os

from flask import Flask

import measurand
from tests.e2e.families import counting

app = Flask(__name__)
app.get("/hit")(counting.hit)
app.get("/loiter")(counting.loiter)


@app.get("/who")
def who() -> str:
    return str(os.getpid())


measurand.flask(app)
