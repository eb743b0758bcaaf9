"""The list of metric sets, and the page that is made of it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from measurand import CollectorRegistry, catalog
from measurand.catalog.index import SETS, events, markdown, rows

pytestmark = pytest.mark.once

PAGE = Path(__file__).parents[2] / "docs" / "catalog.md"
HELPERS = {"__init__", "cgroup", "failure", "index", "limited", "sql", "steps", "timing"}


def test_every_module_with_metrics_is_listed() -> None:
    modules = {path.stem for path in Path(catalog.__path__[0]).glob("*.py")} - HELPERS
    assert {given.place.partition(":")[0] for given in SETS.values()} == modules


@pytest.mark.parametrize("title", SETS)
def test_each_metric_of_a_set_says_what_it_is(title: str) -> None:
    found = rows(SETS[title])
    assert found
    assert [row.name for row in found if not row.documentation] == []
    assert len({row.name for row in found}) == len(found)


@pytest.mark.parametrize("title", [title for title in SETS if events(SETS[title])])
def test_events_are_frozen_and_say_what_they_are(title: str) -> None:
    for event in events(SETS[title]):
        assert is_dataclass(event)
        assert event.__dataclass_params__.frozen  # type: ignore[attr-defined]
        described = event.__doc__ or ""
        assert [field.name for field in fields(event) if f"{field.name}:" not in described] == []


def test_what_happens_in_a_service_has_its_event() -> None:
    assert {
        "HttpRequest",
        "TelegramApiCall",
        "TelegramUpdate",
        "DatabaseQuery",
        "CeleryTask",
        "BusinessSnapshot",
        "SystemSnapshot",
        "HealthResult",
    } <= {event.__name__ for given in SETS.values() for event in events(given)}


def test_all_sets_fit_into_one_registry_twice() -> None:
    registry = CollectorRegistry()
    for given in SETS.values():
        given.make(registry)
        if not given.place.endswith("Collector"):
            given.make(registry)


def test_the_page_shows_the_sets_as_they_are() -> None:
    assert PAGE.read_text() == markdown(), "write it anew: python -m measurand catalog > docs/catalog.md"
