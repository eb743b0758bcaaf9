"""Packages that use prometheus_client run unchanged: one small program, with the real library and after ``install()``."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compat.kit import answer

pytestmark = pytest.mark.once  # the instruments on both cores have suites of their own; here it is the names that matter

SHOW = """
import json
import re
from prometheus_client.parser import text_string_to_metric_families

def show(text):
    timed = re.compile(".*_created|.*_seconds.*_(sum|bucket)").fullmatch
    shown = [
        [metric.type, sample.name, sorted(sample.labels.items()), None if timed(sample.name) else sample.value]
        for metric in text_string_to_metric_families(text)
        if not metric.name.startswith(("python_", "process_")) and not metric.name.endswith("_created")
        for sample in metric.samples
    ]
    print(json.dumps(sorted(shown)))
"""

FASTAPI_INSTRUMENTATOR = """
from prometheus_client import Counter
from prometheus_fastapi_instrumentator import Instrumentator, metrics
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

def part(request):
    return PlainTextResponse("x" * int(request.path_params["number"]))

def broken(request):
    raise RuntimeError

app = Starlette(routes=[Route("/parts/{number}", part, methods=["GET", "PUT"]), Route("/broken", broken)])
instrumentator = Instrumentator(should_instrument_requests_inprogress=True, inprogress_labels=True, excluded_handlers=["/metrics"])
instrumentator.add(metrics.default()).add(metrics.requests()).add(metrics.combined_size())
seen = Counter("seen_methods", "Own metric", ["method"])
instrumentator.add(lambda info: seen.labels(info.method).inc())
instrumentator.instrument(app).expose(app)
with TestClient(app, raise_server_exceptions=False) as client:
    for path in ("/parts/1", "/parts/20", "/nowhere", "/broken"):
        client.get(path)
    client.put("/parts/3", content=b"12345")
    show(client.get("/metrics").text)
"""

STARLETTE_EXPORTER = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette_exporter import PrometheusMiddleware, handle_metrics, handle_openmetrics
from starlette_exporter.optional_metrics import request_body_size, response_body_size

def part(request):
    return PlainTextResponse("x" * int(request.path_params["number"]))

def broken(request):
    raise RuntimeError

app = Starlette(routes=[Route("/parts/{number}", part), Route("/broken", broken)])
app.add_middleware(
    PrometheusMiddleware,
    app_name="shop",
    prefix="shop",
    group_paths=True,
    skip_paths=["/openmetrics"],
    labels={"service": "parts", "host": lambda request: "here"},
    buckets=[0.1, 1, 10],
    exemplars=lambda: {"trace_id": "abc"},
    optional_metrics=[response_body_size, request_body_size],
)
app.add_route("/metrics", handle_metrics)
app.add_route("/openmetrics", handle_openmetrics)
with TestClient(app, raise_server_exceptions=False) as client:
    for path in ("/parts/1", "/parts/20", "/nowhere", "/broken"):
        client.get(path)
    openmetrics = client.get("/openmetrics")
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert 'trace_id="abc"' in openmetrics.text and openmetrics.text.endswith("# EOF\\n")
    show(client.get("/metrics").text)
"""

FLASK_EXPORTER = """
from flask import Flask, request
from prometheus_flask_exporter import PrometheusMetrics

app = Flask("shop")
metrics = PrometheusMetrics(app, group_by="url_rule", default_labels={"service": "parts"}, buckets=[0.1, 1, 10])
metrics.info("app_info", "Application", version="1.0.3")

@app.get("/parts/<int:number>")
@metrics.counter("invocations", "Invocations", labels={"number": lambda: request.view_args["number"]})
@metrics.gauge("in_progress", "In progress", labels={"kind": "part"})
def part(number):
    return "x" * number

@app.get("/slow")
@metrics.histogram("by_status_seconds", "By status", labels={"status": lambda answer: answer.status_code}, buckets=[1])
@metrics.summary("by_type_seconds", "By type", labels={"kind": "slow"})
def slow():
    return "slow"

@app.get("/broken")
def broken():
    raise RuntimeError

@app.get("/quiet")
@metrics.do_not_track()
def quiet():
    return "quiet"

app.config["PROPAGATE_EXCEPTIONS"] = False
app.logger.disabled = True
client = app.test_client()
for path in ("/parts/1", "/parts/20", "/parts/20", "/nowhere", "/slow", "/broken", "/quiet"):
    client.get(path)
filtered = client.get("/metrics?name[]=invocations_total").get_data(as_text=True)
assert filtered.count('invocations_total{') == 2 and "in_progress" not in filtered, filtered
show(client.get("/metrics").get_data(as_text=True))
"""

DJANGO_PROMETHEUS = """
from django.conf import settings

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY="test",
    ALLOWED_HOSTS=["testserver"],
    INSTALLED_APPS=["django_prometheus"],
    DATABASES={"default": {"ENGINE": "django_prometheus.db.backends.sqlite3", "NAME": ":memory:"}},
    CACHES={"default": {"BACKEND": "django_prometheus.cache.backends.locmem.LocMemCache"}},
    MIDDLEWARE=["django_prometheus.middleware.PrometheusBeforeMiddleware", "django_prometheus.middleware.PrometheusAfterMiddleware"],
    LOGGING_CONFIG=None,
)
import logging
import django
logging.disable()
django.setup()
from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import include, path

def part(request, number):
    cache.get("absent")
    cache.set("known", 1)
    cache.get("known")
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    return HttpResponse("x" * number)

def broken(request):
    raise RuntimeError

urlpatterns = [path("parts/<int:number>", part), path("broken", broken), path("", include("django_prometheus.urls"))]
client = Client(raise_request_exception=False)
for where in ("/parts/1", "/parts/20", "/nowhere", "/broken"):
    client.get(where)
client.post("/parts/3", b"12345", content_type="text/plain")
show(client.get("/metrics").content.decode())
"""


@pytest.mark.parametrize(
    ("program", "counter"),
    [
        pytest.param(FASTAPI_INSTRUMENTATOR, "http_requests_total", id="prometheus-fastapi-instrumentator"),
        pytest.param(STARLETTE_EXPORTER, "shop_requests_total", id="starlette_exporter"),
        pytest.param(FLASK_EXPORTER, "flask_http_request_total", id="prometheus_flask_exporter"),
        pytest.param(DJANGO_PROMETHEUS, "django_http_requests_before_middlewares_total", id="django-prometheus"),
    ],
)
def test_a_package_shows_the_same_series_labels_and_counts(program: str, counter: str) -> None:
    real: list[Any] = answer(SHOW + program)
    installed: list[Any] = answer("from measurand.compat import install\ninstall()\n" + SHOW + program)
    assert installed == real
    assert sum(value for _, name, _, value in real if name == counter) >= 3
