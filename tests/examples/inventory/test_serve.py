"""The service as a process: its numbers are those of its database, a real Prometheus reads them, and what is wrong is said in a line."""

from __future__ import annotations

import re
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from examples.inventory import serve
from examples.inventory.settings import Settings
from tests.examples.inventory.running import ROOT, SOON, Busy, Command, direct, scrape
from tests.servers.process import until

pytestmark = pytest.mark.once

COUNTED = {
    'inventory_quantity_changes_total{operation="add"}': "SELECT count(*) FROM stock_changes WHERE delta > 0",
    'inventory_quantity_changes_total{operation="remove"}': "SELECT count(*) FROM stock_changes WHERE delta < 0",
    "inventory_total_parts": "SELECT count(*) FROM parts",
    "inventory_total_quantity": "SELECT coalesce(sum(delta), 0) FROM stock_changes",
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
    "pick_list_created_total": "SELECT count(*) FROM pick_lists",
    "pick_list_lines_per_creation_sum": "SELECT count(*) FROM pick_list_lines",
    "shopping_list_receive_quantity_total": "SELECT coalesce(sum(received), 0) FROM shopping_list_lines",
    'background_tasks_total{status="success",task="pick_list_pdf"}': """
        SELECT count(*) FROM background_tasks WHERE kind = 'pick_list_pdf' AND state = 'done'""",
}


def in_database(path: Path) -> dict[str, float]:
    with closing(sqlite3.connect(path)) as connection:
        return {name: float(connection.execute(query).fetchone()[0]) for name, query in COUNTED.items()}


def test_after_traffic_every_number_equals_the_database(busy: Busy):
    assert busy.status == 0, busy.traffic.err
    truth = in_database(busy.database)
    assert truth['inventory_quantity_changes_total{operation="remove"}'] > 0
    shown: dict[str, float] = {}

    def refreshed() -> bool:
        shown.update(scrape(busy.service.url))
        return {name: shown.get(name) for name in COUNTED} == truth

    until(refreshed, lambda: str({name: (shown.get(name), truth[name]) for name in COUNTED if shown.get(name) != truth[name]}))
    with closing(sqlite3.connect(busy.database)) as connection:
        lines = connection.execute("SELECT count(*) FROM kit_contents").fetchone()[0]
        picked = connection.execute("SELECT count(*) FROM pick_list_lines WHERE status = 'picked'").fetchone()[0]
        ordered = connection.execute("SELECT count(*) FROM shopping_list_lines WHERE status != 'new'").fetchone()[0]
    assert shown['kit_content_mutations_total{action="add"}'] - shown['kit_content_mutations_total{action="remove"}'] == lines
    assert shown["kits_archived_total"] - shown["kits_unarchived_total"] == truth["kits_archived_count"]
    assert shown["kit_content_update_duration_seconds_count"] >= shown['kit_content_mutations_total{action="update"}'] > 0
    assert shown["pick_list_line_picked_total"] - shown['pick_list_line_undo_total{outcome="success"}'] == picked > 0
    assert sum(shown[f'shopping_list_lines_marked_ordered_total{{mode="{mode}"}}'] for mode in ("single", "group")) == ordered > 0


def test_closed_sets_of_labels_show_zeros_before_any_traffic(idle: Command):
    shown = scrape(idle.url)
    labelled = {
        "inventory_quantity_changes_total": ("operation", ["add", "remove"]),
        "kits_overview_requests_total": ("status", ["active", "archived"]),
        "kit_content_mutations_total": ("action", ["add", "update", "remove"]),
        "part_kit_usage_requests_total": ("has_results", ["true", "false"]),
        "pick_list_line_undo_total": ("outcome", ["success", "refused", "failed"]),
        "shopping_list_lines_marked_ordered_total": ("mode", ["single", "group"]),
        "sse_gateway_connections_total": ("action", ["connect", "disconnect"]),
        "oidc_token_exchange_total": ("status", ["success", "refused", "error"]),
        "ai_duplicate_search_requests_total": ("outcome", ["found", "none", "error"]),
    }
    for name, (label, values) in labelled.items():
        assert {series: value for series, value in shown.items() if series.startswith(name)} == {
            f'{name}{{{label}="{value}"}}': 0 for value in values
        }


def test_real_servers_old_and_new_count_what_the_service_counted_in_either_format(served: Command, tmp_path: Path, prometheus):
    new, old = prometheus("3.5"), prometheus("2.42")
    with ExitStack() as stack:
        targets = [
            (server, stack.enter_context(server.scraping(f"{served.url}metrics", **accepted)))
            for server, accepted in (
                (new, {"scrape_protocols": ["PrometheusText0.0.4"]}),
                (new, {"scrape_protocols": ["OpenMetricsText1.0.0"]}),
                (old, {}),
            )
        ]
        assert [(target.health, target.error) for _, target in targets] == [("up", "")] * 3
        with Command("examples.inventory.traffic", "--url", served.url, "--rate", "500", "--requests", "150", folder=tmp_path) as traffic:
            assert traffic.ended() == 0, traffic.err
        truth = in_database(tmp_path / "served.db")['inventory_quantity_changes_total{operation="add"}']
        for server, target in targets:
            query = f'inventory_quantity_changes_total{{operation="add", job="{target.job}"}}'
            server.wait_for(query, lambda answer: answer and answer[0].value == truth, timeout=30)
            # From the zero that was there before traffic, every event is seen to happen.
            server.wait_for(f"increase({query}[5m]) > 0", timeout=30)


@pytest.mark.parametrize("as_a_terminal", [True, False])
def test_ctrl_c_ends_it_and_its_streams_soon_and_without_a_word_of_trouble(served: Command, as_a_terminal):
    with direct.open(f"{served.url}api/events", timeout=30) as stream:
        assert stream.readline()
        assert served.interrupt(signal.SIGINT, as_a_terminal=as_a_terminal) < SOON
    assert served.ended() == 0
    assert "Traceback" not in served.err
    assert re.findall(r".*\b(?:ERROR|CRITICAL)\b.*", served.err) == []


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert serve.main(["--port", port, "--database-url", f"sqlite:///{tmp_path / 'served.db'}"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert line.endswith("choose another one with --port")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "name a file: sqlite:///inventory.db"),
        ("sqlite:////nowhere/at/all.db", "unable to open database file"),
        ("nonsense", "Could not parse SQLAlchemy URL"),
        ("sqlite+nodriver:///x.db", "sqlite"),
    ],
)
def test_a_database_that_cannot_be_opened_is_said_without_a_traceback(capsys, url, says):
    assert serve.main(["--port", "0", "--database-url", url]) == 1
    said = capsys.readouterr().err
    assert said.startswith("cannot start: ")
    assert says in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("AI_URL", "api.example.org", "is not the address of the AI provider"),
        ("AI_MODEL", "huge", "there is no price for the model 'huge'"),
        ("DISTRIBUTOR_URL", "api.example.org", "is not the address of the distributor"),
        ("OIDC_ISSUER", "login.example.org", "is not the address of the issuer"),
    ],
)
def test_a_setting_that_cannot_be_used_is_said_before_anything_is_served(tmp_path: Path, monkeypatch, capsys, variable, value, says):
    monkeypatch.setenv("AI_URL", "http://127.0.0.1:1")
    monkeypatch.setenv(variable, value)
    assert serve.main(["--port", "0", "--database-url", f"sqlite:///{tmp_path / 'served.db'}"]) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--refresh-interval=0", "--heartbeat=-1", "--drain-delay=3600", "--log-level=loud"])
def test_an_option_that_makes_no_sense_is_refused(option, capsys):
    with pytest.raises(SystemExit) as caught:
        serve.main([option])
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_settings_come_from_the_command_line_else_from_the_environment_else_are_the_default():
    environment = {"DATABASE_URL": "sqlite:///there.db", "AI_MODEL": "", "REFRESH_INTERVAL": "7"}
    settings = Settings.read(environment, database_url=None, heartbeat=2.5)
    assert (settings.database_url, settings.heartbeat) == ("sqlite:///there.db", 2.5)
    assert (settings.ai_model, settings.refresh_interval) == (Settings().ai_model, Settings().refresh_interval)
    assert Settings.read(environment, database_url="sqlite:///here.db").database_url == "sqlite:///here.db"


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
