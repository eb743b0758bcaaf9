"""The servers, and how their users start them; nothing in it is about metrics."""

from __future__ import annotations

__all__ = ["OTHERS", "RELOADING", "SERVERS", "gunicorn"]

PACKAGE = "tests.e2e.families"
WSGI, ASGI, FLASK, FASTAPI = (f"{PACKAGE}.{module}:app" for module in ("wsgi", "asgi", "with_flask", "with_fastapi"))
UVICORN = ("uvicorn", "--workers", "4", "--port", "PORT")
HYPERCORN = ("hypercorn", "--workers", "4", "--bind", "127.0.0.1:PORT")
GRANIAN = ("granian", "--workers", "4", "--port", "PORT")
UVICORN_WORKER = ("--worker-class", "uvicorn_worker.UvicornWorker")
THREADS = ("--worker-class", "gthread", "--threads", "4")


def gunicorn(*options: str, app: str = WSGI, workers: int = 4) -> tuple[str, ...]:
    """Gunicorn with these options."""
    return ("gunicorn", "--bind", "127.0.0.1:PORT", "--workers", str(workers), *options, app)


SERVERS = {
    "gunicorn": gunicorn(),
    "gunicorn, threads, preloaded": gunicorn(*THREADS, "--preload"),
    "uvicorn": (*UVICORN, ASGI),
    "gunicorn, FastAPI, preloaded": gunicorn(*UVICORN_WORKER, "--preload", app=FASTAPI),
    "hypercorn": (*HYPERCORN, ASGI),
    "granian, WSGI": (*GRANIAN, "--interface", "wsgi", WSGI),
}
OTHERS = {
    "uvicorn, FastAPI": (*UVICORN, FASTAPI),
    "gunicorn, uvicorn workers": gunicorn(*UVICORN_WORKER, app=ASGI),
    "gunicorn, Flask": gunicorn(*THREADS, app=FLASK),
    "gunicorn, preloaded": gunicorn("--preload"),
    "gunicorn, threads": gunicorn(*THREADS),
    "gunicorn, uvicorn workers, preloaded": gunicorn(*UVICORN_WORKER, "--preload", app=ASGI),
    "gunicorn, FastAPI": gunicorn(*UVICORN_WORKER, app=FASTAPI),
    "gunicorn, Flask, preloaded": gunicorn("--preload", app=FLASK),
    "granian, ASGI": (*GRANIAN, "--interface", "asgi", ASGI),
    "granian, FastAPI": (*GRANIAN, "--interface", "asgi", FASTAPI),
    "granian, Flask": (*GRANIAN, "--interface", "wsgi", FLASK),
    "hypercorn, FastAPI": (*HYPERCORN, FASTAPI),
}
"""Those whose processes come about in no other way; only the long form has them."""

RELOADING = {
    "uvicorn": ("uvicorn", "--reload", "--port", "PORT", ASGI),
    "Flask": ("flask", "--app", f"{PACKAGE}.with_flask", "run", "--debug", "--port", "PORT"),
    "Django": (f"{PACKAGE}.with_django", "runserver", "PORT"),
}
"""Servers for development, with one process that serves and one that watches the files."""
