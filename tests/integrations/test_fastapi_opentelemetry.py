"""FastAPI emits OpenTelemetry metrics itself where there is a meter provider: ours are the same with and without."""

from __future__ import annotations

import json

import pytest

from tests.support import run_python

pytestmark = pytest.mark.once

PROGRAM = """
import json
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from measurand.integrations.fastapi import install
from measurand.testing.http import StandIn

reader = InMemoryMetricReader()

def use(**options):
    app, service = FastAPI(**options), StandIn()

    @app.get("/orders/{number}")
    def order(number: int):
        if number == 0:
            raise ValueError(number)
        return {}

    install(app, service)
    with TestClient(app, raise_server_exceptions=False) as client:
        for path in ("/orders/1", "/orders/2", "/orders/x", "/orders/0", "/nothing"):
            client.get(path)
    samples = [sample for family in service.registry.collect() for sample in family.samples]
    ours = {" ".join([one.name, *one.labels.values()]): one.value for one in samples if one.name.endswith(("_count", "_total"))}
    data = reader.get_metrics_data()
    points = {
        metric.name: sum(getattr(point, "count", 0) for point in metric.data.data_points)
        for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics for metric in scope.metrics
    }
    return {"ours": ours, "theirs": points.get("http.server.request.duration", 0)}

without = use()
metrics.set_meter_provider(MeterProvider([reader]))
print(json.dumps([without, use(), use(telemetry={"metrics": False})]))
"""


def test_ours_are_the_same_with_and_without_theirs() -> None:
    done = run_python(PROGRAM)
    assert done.returncode == 0, done.stderr
    without, both, refused = json.loads(done.stdout)
    assert without["ours"]["http_requests_total GET /orders/{number} 200"] == 2
    assert sum(value for name, value in without["ours"].items() if name.startswith("http_requests_total ")) == 5
    assert both["ours"] == without["ours"] == refused["ours"]
    assert (without["theirs"], both["theirs"], refused["theirs"]) == (0, 5, 5)
