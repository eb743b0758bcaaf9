"""A FastAPI service that is measured with one line."""

from __future__ import annotations

import os

from fastapi import FastAPI, Response

import measurand
from tests.e2e.families import counting

app = FastAPI()


@app.get("/hit")
async def hit() -> Response:
    return Response(counting.hit())


@app.get("/loiter")
def loiter() -> Response:
    return Response(counting.loiter())


@app.get("/who")
async def who() -> Response:
    return Response(str(os.getpid()))


measurand.fastapi(app)
