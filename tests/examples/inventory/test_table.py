"""Table A against a real scrape of the service after some traffic: nothing is missing or different, everything has a value."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from tests.examples.inventory.running import FIXED_NAMES, ROOT, Busy, complaints, fetch
from tests.examples.inventory.table import TABLE, Row

pytestmark = pytest.mark.once

# Labels whose values no series of a table row may go without after traffic; of the others any value will do.
ENDINGS = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_count")}
# What only the end of a process sets off; tests/examples/inventory/test_shutdown.py is about it.
AT_THE_END = {"active_tasks_at_shutdown", "application_shutting_down", "graceful_shutdown_duration_seconds"}
OF_OURS = re.compile(r"(inventory|kits?|pick_list|shopping_list|sse_gateway|auth|jwks|oidc|ai|mouser|part)_")


class Page(NamedTuple):
    """A scrape, taken apart."""

    text: str
    types: dict[str, str]
    series: dict[str, list[tuple[dict[str, str], float]]]


def taken_apart(text: str) -> Page:
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    series: dict[str, list[tuple[dict[str, str], float]]] = {}
    for name, labels, value in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE):
        series.setdefault(name, []).append((dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)), float(value)))
    return Page(text, types, series)


@pytest.fixture(scope="module")
def page(busy: Busy) -> Page:
    """The scrape of a service that has been under traffic for a while."""
    assert busy.status == 0, busy.traffic.err
    return taken_apart(fetch(f"{busy.service.url}metrics")[1])


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_metric_of_the_table_is_there_with_its_type_its_labels_and_a_value(page: Page, row: Row):
    assert page.types.get(row.name) == row.kind
    for ending in ENDINGS[row.kind]:
        found = page.series.get(row.name + ending, [])
        assert found, f"{row.name}{ending} has no series"
        expected = {*row.labels, "le"} if ending == "_bucket" else set(row.labels)
        assert [labels for labels, _ in found if labels.keys() != expected] == []
    moved = page.series[row.name + ("_count" if row.kind == "histogram" else "")]
    if row.name not in AT_THE_END and row.kind != "gauge":
        assert any(value > 0 for _, value in moved), "the traffic does not exercise it"


def test_no_metric_of_the_service_is_missing_from_the_table(page: Page):
    known = {row.name for row in TABLE}
    assert {name for name in page.types if OF_OURS.match(name)} - known == set()


def test_the_table_is_complete():
    assert len({row.name for row in TABLE}) == len(TABLE) == 61


def test_each_metric_is_defined_in_the_module_that_causes_it_and_nowhere_else():
    root = ROOT / "examples" / "inventory"
    sources = {".".join(path.relative_to(root).with_suffix("").parts): path.read_text() for path in root.rglob("*.py")}
    defined = re.compile(r"\b(?:Counter|Gauge|Histogram)\(\s*\"(\w+)\"")
    publishers = {name: module for module, source in sources.items() for name in defined.findall(source)}
    assert publishers == {row.name: row.publisher for row in TABLE if row.name not in AT_THE_END}


def test_gauges_say_what_was_read(page: Page):
    def total(name: str) -> float:
        return sum(value for _, value in page.series[name])

    assert total("inventory_parts_by_type") == total("inventory_total_parts") > 0
    assert len(page.series["inventory_box_utilization_percent"]) == total("inventory_total_boxes") == 8
    assert total("ai_duplicate_search_parts_dump_size") > 0
    assert total("kits_active_count") + total("kits_archived_count") == total("kits_created_total")


def test_requests_and_probes_are_there_too(page: Page):
    endpoints = {labels["endpoint"] for labels, _ in page.series["http_requests_total"]}
    assert "/api/pick-lists/<key:list_id>/lines/<key:line_id>/pick" in endpoints
    assert not {"/metrics", "/v1/ready", "/v1/health"} & endpoints
    assert ({"check": "database"}, 1.0) in page.series["health_check_status"]
    assert {labels["task"] for labels, _ in page.series["background_tasks_total"]} == {"pick_list_pdf", "ai_analysis"}
    assert {labels["name"] for labels, _ in page.series["measurand_poll_errors_total"]} == {"dashboard", "kits"}


def test_promtool_complains_only_about_the_names_that_are_fixed(page: Page, promtool):
    assert complaints(promtool, page.text) == FIXED_NAMES


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("# TYPE kits_created_total counter", "# TYPE kits_created_total gauge"),
        ("kits_created_total ", "kits_made_total "),
        ('kits_overview_requests_total{status="', 'kits_overview_requests_total{state="'),
        ('mouser_api_duration_seconds_bucket{endpoint="', 'mouser_api_duration_seconds_bucket{host="a",endpoint="'),
    ],
)
def test_a_difference_would_be_noticed(page: Page, was: str, becomes: str):
    """The fault is planted in the page."""
    assert was in page.text
    wrong = taken_apart(page.text.replace(was, becomes))
    noticed = 0
    for row in TABLE:
        try:
            test_a_metric_of_the_table_is_there_with_its_type_its_labels_and_a_value(wrong, row)
        except (AssertionError, KeyError):
            noticed += 1
    assert noticed == 1
