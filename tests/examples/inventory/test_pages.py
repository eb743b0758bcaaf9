"""What is served beside the API: the exposition in the format asked for, and a page for people."""

from __future__ import annotations

import gzip
import re

import pytest
from flask.testing import FlaskClient

from examples.inventory import dashboard
from examples.inventory.app import create_app
from examples.inventory.database import Database
from tests.examples.inventory.running import FIXED_NAMES, complaints
from tests.examples.inventory.workshop import Workshop

# Requirements, table A, the rows of this slice: type, and labels.
TABLE = {
    "inventory_quantity_changes_total": ("counter", "operation"),
    "inventory_total_parts": ("gauge", None),
    "inventory_total_quantity": ("gauge", None),
    "inventory_low_stock_parts": ("gauge", None),
    "inventory_parts_without_docs": ("gauge", None),
    "inventory_recent_changes_7d": ("gauge", None),
    "inventory_recent_changes_30d": ("gauge", None),
    "inventory_box_utilization_percent": ("gauge", "box_no"),
    "inventory_total_boxes": ("gauge", None),
    "inventory_parts_by_type": ("gauge", "type_name"),
    "kits_created_total": ("counter", None),
    "kits_archived_total": ("counter", None),
    "kits_unarchived_total": ("counter", None),
    "kits_overview_requests_total": ("counter", "status"),
    "kits_active_count": ("gauge", None),
    "kits_archived_count": ("gauge", None),
    "kit_detail_views_total": ("counter", None),
    "kit_content_mutations_total": ("counter", "action"),
    "kit_content_update_duration_seconds": ("histogram", "le"),
    "part_kit_usage_requests_total": ("counter", "has_results"),
}


@pytest.fixture
def page(client: FlaskClient, workshop: Workshop, database: Database) -> str:
    """The exposition of a workshop with a box and a type, so that every metric has a series."""
    workshop.box()
    workshop.part_type('Bolt 1/4"')
    dashboard.refresh(database)
    return client.get("/metrics").text


@pytest.mark.parametrize(("name", "kind", "label"), [(name, *row) for name, row in TABLE.items()])
def test_every_metric_of_the_table_is_published_with_its_type_and_label(page: str, name, kind, label):
    assert f"# TYPE {name} {kind}\n" in page
    series = re.findall(rf"^{name}(?:_bucket)?(?:{{(.*)}})? ", page, re.MULTILINE)
    assert series
    assert {tuple(re.findall(r'(\w+)="', labels)) for labels in series} == {(label,) if label else ()}


def test_the_exposition_is_text_0_0_4_unless_asked_otherwise(client: FlaskClient):
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# EOF" not in answer.text


def test_openmetrics_is_served_when_asked_for(client: FlaskClient):
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert answer.text.endswith("# EOF\n")
    assert "# TYPE kits_created counter\n" in answer.text


def test_the_exposition_is_compressed_when_asked_for(client: FlaskClient):
    answer = client.get("/metrics", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert b"# TYPE kits_created_total counter\n" in gzip.decompress(answer.data)


def test_one_name_can_be_asked_for(client: FlaskClient):
    answer = client.get("/metrics?name[]=kits_active_count")
    assert {line.split()[2] for line in answer.text.splitlines() if line.startswith("# TYPE")} == {"kits_active_count"}


def test_promtool_complains_only_about_the_names_that_are_fixed(page: str, promtool):
    assert complaints(promtool, page) == FIXED_NAMES


def test_an_application_made_twice_shares_the_metrics(client: FlaskClient, database: Database):
    def own(text: str) -> list[str]:
        """Without what the process as a whole goes on using between two scrapes."""
        return [line for line in text.splitlines() if not re.match(r"(# \w+ )?(process|python)_", line)]

    assert own(create_app(database).test_client().get("/metrics").text) == own(client.get("/metrics").text) != []


def test_the_page_for_people_says_what_this_is_and_links_to_everything(client: FlaskClient, workshop: Workshop):
    workshop.part()
    html = client.get("/").text
    assert "Keeps track of parts, the boxes they lie in, and the kits" in html
    for path in ("/metrics", "/api/dashboard", "/api/parts", "/api/part-types", "/api/boxes", "/api/kits", "/api/stock/changes"):
        assert f'href="{path}"' in html
        assert client.get(path).status_code == 200
    assert "<dt>parts</dt><dd>1</dd>" in html
    assert "/api/kits/&lt;kit_id&gt;/archive" in html


def test_the_page_for_people_needs_nothing_from_elsewhere(client: FlaskClient):
    html = client.get("/").text
    assert "<script" not in html
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', html)
