"""Each example's table, which its own tests hold against a real scrape, has what the requirements ask of it, row by row in their order."""

from __future__ import annotations

import pytest

from tests.examples.channelbot import table as channelbot
from tests.examples.governance import table as governance
from tests.examples.inventory import table as inventory
from tests.examples.tables import CHANNELBOT, GOVERNANCE, INVENTORY, Required

pytestmark = pytest.mark.once

TABLES = {
    "inventory": [Required(row.name, row.kind, frozenset(row.labels)) for row in inventory.TABLE],
    "governance": [Required(row.name, row.type, frozenset(row.labels.split())) for row in governance.OF_THE_LIBRARY],
    "channelbot": [Required(row.name, row.kind, frozenset(row.labels.split())) for row in channelbot.TABLE],
}
ROWS = [
    *(("inventory", row) for row in INVENTORY),
    *(("governance", row) for row in GOVERNANCE),
    *(("channelbot", row) for row in CHANNELBOT),
]


@pytest.mark.parametrize(("example", "row"), ROWS, ids=lambda value: value if isinstance(value, str) else value.name)
def test_a_metric_that_is_required_is_in_the_example_s_table_as_required(example: str, row: Required):
    assert [found for found in TABLES[example] if found.name == row.name] == [row]


def test_the_inventory_is_asked_for_all_that_it_publishes():
    assert len(INVENTORY) == 61
    assert set(TABLES["inventory"]) == set(INVENTORY)


def test_operational_metrics_of_the_platform_are_those_of_every_service_of_it():
    rows = {row.name: row for row in governance.OF_THE_LIBRARY}
    assert all(rows[row.name].services == governance.ALL for row in GOVERNANCE)


def test_what_is_written_is_read():
    assert [row.name for row in INVENTORY[:2]] == ["inventory_quantity_changes_total", "inventory_total_parts"]
    assert Required("kit_detail_views_total", "counter", frozenset()) in INVENTORY
    assert Required("kit_shopping_list_push_total", "counter", frozenset({"outcome", "honor_reserved"})) in INVENTORY
