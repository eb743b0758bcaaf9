"""A Flask application, and next to it a plain one, that do what requests can do to a server.

Which process says that the server is up is written to ``started`` in the current folder; what was recorded at the end, to ``last.prom``.
With ``BARE=1`` in the environment nothing is measured.
"""

from __future__ import annotations

import atexit
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, request, send_file
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from measurand import generate_latest
from measurand.endpoints.pages import Pages, metrics
from measurand.integrations.flask import install
from measurand.testing.http import Boom, StandIn

CHUNK = b"x" * 65_536
FOLDER = Path.cwd()


class Service(StandIn):
    """Keeps its calls and its last numbers in files."""

    def __init__(self) -> None:
        super().__init__()
        self.pages = Pages({"/v1/metrics": metrics(self.registry)})

    def server_started(self, loop: Any) -> None:
        with (FOLDER / "started").open("a") as file:
            file.write(f"{os.getpid()}\n")
        atexit.register(lambda: (FOLDER / "last.prom").write_bytes(generate_latest(self.registry)))


class Watched(io.FileIO):
    """A file that says when it is read rather than sent."""

    def read(self, *size: Any) -> bytes:
        (FOLDER / "read").touch()
        return super().read(*size)


def plain(environ: dict[str, Any], start_response: Any) -> Any:
    """What Flask would not do."""
    kind = environ["PATH_INFO"]
    if kind == "/write":
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"one")
        write(b"two")
        return [b"three"]
    if kind == "/bare":
        start_response("200 OK", [])
        return [b"one chunk without a length"]
    if kind == "/again":
        start_response("200 OK", [])
        try:
            raise Boom
        except Boom as error:
            start_response("503 Sorry", [], (Boom, error, error.__traceback__))
        return [b"sorry"]
    return []  # which is no response


app = Flask(__name__)
api = Blueprint("api", __name__, url_prefix="/api/v1")
api.add_url_rule("/items/<item>", "item", lambda item: item)
app.register_blueprint(api)
app.add_url_rule("/upload", "upload", lambda: str(len(request.get_data())), methods=["POST"])
app.add_url_rule("/file", "file", lambda: send_file(Watched(__file__, "rb"), mimetype="text/plain"))
app.add_url_rule("/hang", "hang", lambda: str(threading.Event().wait()))


@app.get("/boom")
def boom() -> str:
    raise Boom


@app.get("/stream")
def stream() -> Response:
    return Response(iter([b"one", b"", b"three"]))


@app.get("/endless")
def endless() -> Response:
    def chunks() -> Iterator[bytes]:
        while True:
            yield CHUNK

    return Response(chunks())


@app.get("/broken")
def broken() -> Response:
    def chunks() -> Iterator[bytes]:
        yield b"one"
        raise Boom

    return Response(chunks())


app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/plain": plain})  # type: ignore[method-assign]
if os.environ.get("BARE") != "1":
    install(app, Service())
