"""The service as a process: its numbers equal what its database holds, a real Prometheus reads them, and it ends in order."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.examples.inventory.running import FIXED_NAMES, ROOT, SOON, Command, complaints, fetch, scrape
from tests.servers.process import until

COUNTED = {
    'inventory_quantity_changes_total{operation="add"}': "SELECT count(*) FROM stock_changes WHERE delta > 0",
    'inventory_quantity_changes_total{operation="remove"}': "SELECT count(*) FROM stock_changes WHERE delta < 0",
    "inventory_total_parts": "SELECT count(*) FROM parts",
    "inventory_total_quantity": "SELECT sum(delta) FROM stock_changes",
    "inventory_low_stock_parts": """
        SELECT count(*) FROM parts p WHERE p.reorder_level > (SELECT coalesce(sum(quantity), 0) FROM stock s WHERE s.part_id = p.id)""",
    "inventory_parts_without_docs": "SELECT count(*) FROM parts WHERE id NOT IN (SELECT part_id FROM documents)",
    "inventory_recent_changes_7d": "SELECT count(*) FROM stock_changes",
    "inventory_recent_changes_30d": "SELECT count(*) FROM stock_changes",
    "inventory_total_boxes": "SELECT count(*) FROM boxes",
    'inventory_parts_by_type{type_name="Bolt 1/4\\""}': """
        SELECT count(*) FROM parts JOIN part_types t ON t.id = type_id WHERE t.name = 'Bolt 1/4"'""",
    'inventory_box_utilization_percent{box_no="1"}': """
        SELECT 100.0 * (SELECT count(*) FROM stock WHERE box_no = 1) / capacity FROM boxes WHERE box_no = 1""",
    "kits_created_total": "SELECT count(*) FROM kits",
    "kits_active_count": "SELECT count(*) FROM kits WHERE status = 'active'",
    "kits_archived_count": "SELECT count(*) FROM kits WHERE status = 'archived'",
}


def in_database(path: Path) -> dict[str, float]:
    with closing(sqlite3.connect(path)) as connection:
        return {name: float(connection.execute(query).fetchone()[0]) for name, query in COUNTED.items()}


def test_after_traffic_every_number_equals_the_database(served: Command, tmp_path: Path, promtool):
    with Command("examples.inventory.traffic", "--url", served.url, "--rate", "200", "--duration", "4", folder=tmp_path) as traffic:
        assert traffic.ended() == 0, traffic.err
    truth = in_database(tmp_path / "served.db")
    assert truth['inventory_quantity_changes_total{operation="remove"}'] > 0
    shown: dict[str, float] = {}

    def refreshed() -> bool:
        shown.update(scrape(served.url))
        return {name: shown[name] for name in COUNTED} == truth

    until(refreshed, lambda: str({name: (shown.get(name), truth[name]) for name in COUNTED if shown.get(name) != truth[name]}))
    with closing(sqlite3.connect(tmp_path / "served.db")) as connection:
        lines = connection.execute("SELECT count(*) FROM kit_contents").fetchone()[0]
    assert shown['kit_content_mutations_total{action="add"}'] - shown['kit_content_mutations_total{action="remove"}'] == lines
    assert shown["kits_archived_total"] - shown["kits_unarchived_total"] == truth["kits_archived_count"]
    assert shown["kit_content_update_duration_seconds_count"] >= shown['kit_content_mutations_total{action="update"}'] > 0
    assert complaints(promtool, fetch(f"{served.url}metrics")[1]) == FIXED_NAMES


def test_closed_sets_of_labels_show_zeros_before_any_traffic(served: Command):
    shown = scrape(served.url)
    labelled = {
        "inventory_quantity_changes_total": ("operation", ["add", "remove"]),
        "kits_overview_requests_total": ("status", ["active", "archived"]),
        "kit_content_mutations_total": ("action", ["add", "update", "remove"]),
        "part_kit_usage_requests_total": ("has_results", ["true", "false"]),
    }
    for name, (label, values) in labelled.items():
        assert {series: value for series, value in shown.items() if series.startswith(name)} == {
            f'{name}{{{label}="{value}"}}': 0 for value in values
        }


@pytest.mark.parametrize("protocol", ["text", "openmetrics"])
def test_a_real_prometheus_counts_what_the_service_counted(served: Command, tmp_path: Path, prometheus, protocol):
    accepted = {"text": ["PrometheusText0.0.4"], "openmetrics": ["OpenMetricsText1.0.0"]}[protocol]
    server = prometheus("3.5")
    with server.scraping(f"{served.url}metrics", scrape_protocols=accepted) as target:
        assert (target.health, target.error) == ("up", "")
        with Command("examples.inventory.traffic", "--url", served.url, "--rate", "200", "--duration", "2", folder=tmp_path) as traffic:
            assert traffic.ended() == 0, traffic.err
        truth = in_database(tmp_path / "served.db")['inventory_quantity_changes_total{operation="add"}']
        query = f'inventory_quantity_changes_total{{operation="add", job="{target.job}"}}'
        server.wait_for(query, lambda answer: answer and answer[0].value == truth)
        # From the zero that was there before traffic, every event is seen to happen.
        server.wait_for(f"increase({query}[5m]) > 0")


def test_an_older_prometheus_scrapes_it_too(served: Command, prometheus):
    server = prometheus("2.42")
    with server.scraping(f"{served.url}metrics") as target:
        assert (target.health, target.error) == ("up", "")
        server.wait_for(f'kits_created_total{{job="{target.job}"}} == 0')


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_five_seconds(served: Command, number):
    assert served.interrupt(number) < SOON
    assert served.ended() == 0
    assert "Traceback" not in served.err


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        url = f"sqlite:///{tmp_path / 'served.db'}"
        with Command("examples.inventory", "--port", port, "--database-url", url, folder=tmp_path) as command:
            assert command.ended() == 1
        assert f"cannot listen on 127.0.0.1:{port}" in command.err
        assert "choose another one with --port" in command.err
        assert "Traceback" not in command.err


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "name a file: sqlite:///inventory.db"),
        ("sqlite:////nowhere/at/all.db", "unable to open database file"),
        ("nonsense", "Could not parse SQLAlchemy URL"),
    ],
)
def test_a_database_that_cannot_be_opened_is_said_without_a_traceback(tmp_path: Path, url, says):
    with Command("examples.inventory", "--port", "0", "--database-url", url, folder=tmp_path) as command:
        assert command.ended() == 1
    assert command.err.startswith("cannot open the database: ")
    assert says in command.err
    assert "Traceback" not in command.err


def test_the_database_comes_from_the_environment(tmp_path: Path):
    path = tmp_path / "elsewhere.db"
    with Command("examples.inventory", "--port", "0", folder=tmp_path, DATABASE_URL=f"sqlite:///{path}") as command:
        command.said("served at")
        command.comes_to(path.exists, "making the database")
        assert command.interrupt(signal.SIGTERM) < SOON


def test_importing_every_module_starts_and_reads_nothing():
    program = """
import importlib, os, pkgutil, threading
import examples.inventory as package
class Watched(dict):
    asked = []
    def get(self, key, default=None): self.asked.append(key); return super().get(key, default)
os.environ = Watched(os.environ)
for module in pkgutil.walk_packages(package.__path__, "examples.inventory."):
    importlib.import_module(module.name)
print(threading.active_count(), "DATABASE_URL" in Watched.asked)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]
