"""The dashboard gauges say what the database says; a scrape never sees half of them, and a failure leaves them alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from flask.testing import FlaskClient
from sqlalchemy import event, text, update

from examples.inventory import dashboard
from examples.inventory.database import Database
from examples.inventory.models import Box, PartType, StockChange, utc_now
from measurand import CollectorRegistry, generate_latest
from measurand.lifecycle.polling import Polling
from tests.examples.inventory.running import samples
from tests.examples.inventory.workshop import Workshop
from tests.support import eager_switching, in_background, wait_until

ALL = (
    "inventory_total_parts",
    "inventory_total_quantity",
    "inventory_low_stock_parts",
    "inventory_parts_without_docs",
    "inventory_recent_changes_7d",
    "inventory_recent_changes_30d",
    "inventory_total_boxes",
)


def refresh(database: Database) -> None:
    """What the polling does."""
    with database.reading() as session:
        dashboard.refresh(session)


@contextmanager
def polled(database: Database) -> Iterator[CollectorRegistry]:
    """The real polling as the service sets it up, at a quicker pace. Yields the registry with its own metrics."""
    registry = CollectorRegistry()
    polling = Polling(registry=registry)
    polling.register("dashboard", dashboard.refresh, interval=0.05, timeout=30, within=database.reading)
    polling.start()
    try:
        yield registry
    finally:
        assert polling.stop(10)


def shown() -> dict[str, float]:
    """The samples of a scrape."""
    return samples(generate_latest().decode())


def furnish(workshop: Workshop) -> None:
    """Two boxes, two types, three parts: one low, one documented; three changes."""
    big, small = workshop.box(capacity=10), workshop.box(capacity=3)
    resistor, sensor = workshop.part_type("Resistor"), workshop.part_type("Sensor")
    plenty, low = workshop.part(resistor, reorder_level=10), workshop.part(resistor, reorder_level=10)
    workshop.part(sensor)
    workshop.document(plenty)
    workshop.stock(plenty, big, 1, 10)
    workshop.stock(low, big, 2, 9)
    workshop.stock(plenty, small, 1, 1)


def test_every_gauge_says_what_the_database_says(workshop: Workshop, database: Database, metrics):
    furnish(workshop)
    refresh(database)
    assert {name: metrics.value(name) for name in ALL} == {
        "inventory_total_parts": 3,
        "inventory_total_quantity": 20,
        "inventory_low_stock_parts": 1,
        "inventory_parts_without_docs": 2,
        "inventory_recent_changes_7d": 3,
        "inventory_recent_changes_30d": 3,
        "inventory_total_boxes": 2,
    }
    assert metrics.value("inventory_box_utilization_percent", box_no="1") == 20
    assert metrics.value("inventory_box_utilization_percent", box_no="2") == 100 / 3
    assert metrics.value("inventory_parts_by_type", type_name="Resistor") == 2
    assert metrics.value("inventory_parts_by_type", type_name="Sensor") == 1


def test_the_api_gives_the_same_summary(client: FlaskClient, workshop: Workshop, database: Database, metrics):
    furnish(workshop)
    refresh(database)
    summary = client.get("/api/dashboard").get_json()
    assert {name: summary[name.removeprefix("inventory_")] for name in ALL} == {name: metrics.value(name) for name in ALL}
    assert summary["box_utilization_percent"] == {"1": 20, "2": 100 / 3}
    assert summary["parts_by_type"] == {"Resistor": 2, "Sensor": 1}


def test_an_empty_inventory_is_all_zeros(database: Database, metrics):
    refresh(database)
    assert {metrics.value(name) for name in ALL} == {0}


def test_changes_leave_their_windows(workshop: Workshop, database: Database, metrics):
    furnish(workshop)
    with database.writing() as session:
        for number, age in enumerate([timedelta(days=6, hours=23), timedelta(days=7, hours=1), timedelta(days=30, hours=1)], start=1):
            session.execute(update(StockChange).where(StockChange.id == number).values(at=utc_now() - age))
    refresh(database)
    assert metrics.value("inventory_recent_changes_7d") == 1
    assert metrics.value("inventory_recent_changes_30d") == 2


def test_boxes_and_types_that_are_gone_are_no_longer_shown(client: FlaskClient, workshop: Workshop, database: Database):
    workshop.box()
    gone = workshop.box()
    kind = workshop.part_type("Passing fashion")
    refresh(database)
    assert f'inventory_box_utilization_percent{{box_no="{gone}"}}' in shown()
    assert 'inventory_parts_by_type{type_name="Passing fashion"}' in shown()
    client.delete(f"/api/boxes/{gone}")
    client.delete(f"/api/part-types/{kind}")
    refresh(database)
    assert [name for name in shown() if name.startswith("inventory_box")] == ['inventory_box_utilization_percent{box_no="1"}']
    assert not [name for name in shown() if name.startswith("inventory_parts_by_type")]


def test_a_scrape_during_refreshes_always_sees_every_box_and_type(database: Database):
    with database.writing() as session:
        session.add_all(Box(description="Drawer", capacity=10) for _ in range(200))
        session.add_all(PartType(name=f"Type {number}") for number in range(200))
    refresh(database)
    with eager_switching(), in_background(lambda: refresh(database)):
        for _ in range(100):
            seen = shown()
            assert sum(name.startswith("inventory_box_utilization_percent{") for name in seen) == 200
            assert sum(name.startswith("inventory_parts_by_type{") for name in seen) == 200


def test_a_failing_refresh_rolls_back_is_logged_and_counted_keeps_every_value_and_releases_its_session(
    workshop: Workshop, database: Database, metrics, caplog
):
    furnish(workshop)
    refresh(database)
    before = {name: metrics.value(name) for name in ALL}
    workshop.part()  # read before the failure, and yet not to be shown
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE part_types RENAME TO hidden"))  # what is read last
    ends = []
    event.listen(database.engine, "rollback", lambda _connection: ends.append("rollback"))
    event.listen(database.engine, "commit", lambda _connection: ends.append("commit"))
    with caplog.at_level(logging.WARNING), polled(database) as registry:
        errors = "measurand_poll_errors_total"
        wait_until(lambda: (registry.get_sample_value(errors, {"name": "dashboard"}) or 0) >= 2)  # it failed, and was tried again
    assert set(ends) == {"rollback"}
    assert database.engine.pool.checkedout() == 0
    assert caplog.text.count("polling dashboard failed") == 1
    assert "no such table: part_types" in caplog.text
    assert {name: metrics.value(name) for name in ALL} == before
    assert metrics.value("inventory_box_utilization_percent", box_no="1") == 20


def test_a_refresh_after_a_failure_works_again(workshop: Workshop, database: Database, metrics):
    furnish(workshop)
    refresh(database)
    workshop.part()
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE part_types RENAME TO hidden"))
    with polled(database) as registry:
        wait_until(lambda: registry.get_sample_value("measurand_poll_errors_total", {"name": "dashboard"}))
        assert metrics.value("inventory_total_parts") == 3
        with database.engine.begin() as connection:
            connection.execute(text("ALTER TABLE hidden RENAME TO part_types"))
        wait_until(lambda: metrics.value("inventory_total_parts") == 4)


def test_a_refresh_commits_and_releases_its_session(database: Database):
    ends = []
    event.listen(database.engine, "commit", lambda _connection: ends.append("commit"))
    with polled(database):
        wait_until(lambda: ends)
    assert set(ends) == {"commit"}
    assert database.engine.pool.checkedout() == 0
