"""What is served beside the API: the exposition in the format asked for, probes, and a page for people."""

from __future__ import annotations

import gzip
import json
import re
from urllib.request import Request

import pytest
from flask.testing import FlaskClient

from examples.inventory.app import create_app
from examples.inventory.services import Services
from tests.examples.inventory.running import Command, direct, fetch
from tests.examples.inventory.workshop import Workshop


def test_the_exposition_is_text_0_0_4_unless_asked_otherwise(idle: Command):
    kind, text = fetch(f"{idle.url}metrics")
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    assert "# EOF" not in text


def test_openmetrics_is_served_when_asked_for(idle: Command):
    kind, text = fetch(f"{idle.url}metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert text.endswith("# EOF\n")
    assert "# TYPE kits_created counter\n" in text


def test_the_exposition_is_compressed_when_asked_for(idle: Command):
    with direct.open(Request(f"{idle.url}metrics", headers={"Accept-Encoding": "gzip"}), timeout=10) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert b"# TYPE kits_created_total counter\n" in gzip.decompress(answer.read())


def test_one_name_can_be_asked_for(idle: Command):
    _, text = fetch(f"{idle.url}metrics?name[]=kits_active_count")
    assert {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")} == {"kits_active_count"}


def test_series_carry_no_labels_but_their_own(idle: Command):
    _, text = fetch(f"{idle.url}metrics?name[]=kits_created_total&name[]=sse_gateway_events_sent_total")
    assert "kits_created_total 0.0\n" in text
    assert 'sse_gateway_events_sent_total{service="stock",status="error"} 0.0\n' in text


@pytest.mark.parametrize("path", ["v1/ready", "readyz", "v1/health", "livez", "v1/startup", "startupz"])
def test_probes_are_answered_and_say_nothing_about_the_inside(idle: Command, path: str):
    idle.comes_to(lambda: is_ready(idle), "being ready")
    kind, text = fetch(f"{idle.url}{path}")
    assert kind.startswith("application/json")
    assert json.loads(text)["status"]
    assert "inventory.db" not in text


def is_ready(idle: Command) -> bool:
    return "service_ready 1.0" in fetch(f"{idle.url}metrics?name[]=service_ready")[1]


def test_it_says_what_it_is_and_how_often_it_was_started(idle: Command):
    _, text = fetch(f"{idle.url}metrics")
    assert re.search(r'^app_info\{.*environment="development".*\} 1\.0$', text, re.MULTILINE)
    assert "service_starts_total 1.0\n" in text


def test_the_page_for_people_says_what_this_is_and_links_to_everything(client: FlaskClient, workshop: Workshop):
    workshop.part()
    html = client.get("/").text
    assert "Keeps track of parts, the boxes they lie in, and the kits" in html
    pages = ("dashboard", "parts", "part-types", "boxes", "kits", "stock/changes", "pick-lists", "shopping-lists", "tasks", "features")
    for path in (f"/api/{page}" for page in pages):
        assert f'href="{path}"' in html
        assert client.get(path).status_code == 200
    assert 'href="/metrics"' in html
    assert "<dt>parts</dt><dd>1</dd>" in html
    assert "/api/kits/&lt;kit_id&gt;/archive" in html


def test_the_page_for_people_needs_nothing_from_elsewhere(client: FlaskClient):
    html = client.get("/").text
    assert "<script" not in html
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', html)


def test_applications_can_be_made_as_often_as_one_likes(services: Services):
    assert [create_app(services).test_client().get("/api/kits").status_code for _ in range(2)] == [200, 200]
