"""The list of metric sets, and the page that is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from measurand import CollectorRegistry, catalog
from measurand.catalog.index import SETS, markdown, rows

pytestmark = pytest.mark.once

PAGE = Path(__file__).parents[2] / "docs" / "catalog.md"
HELPERS = {"__init__", "index", "limited", "cgroup", "failure"}


def test_every_module_with_metrics_is_listed() -> None:
    modules = {path.stem for path in Path(catalog.__path__[0]).glob("*.py")} - HELPERS
    assert {given.place.partition(":")[0] for given in SETS.values()} == modules


@pytest.mark.parametrize("title", SETS)
def test_each_metric_of_a_set_says_what_it_is(title: str) -> None:
    found = rows(SETS[title])
    assert found
    assert [row.name for row in found if not row.documentation] == []
    assert len({row.name for row in found}) == len(found)


def test_all_sets_fit_into_one_registry_twice() -> None:
    registry = CollectorRegistry()
    for given in SETS.values():
        given.make(registry)
        if not given.place.endswith("Collector"):
            given.make(registry)


def test_the_page_shows_the_sets_as_they_are() -> None:
    assert PAGE.read_text() == markdown(), "write it anew: python -m measurand catalog > docs/catalog.md"
