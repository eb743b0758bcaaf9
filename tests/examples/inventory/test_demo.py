"""The demo as a person runs it: it says what to open, what it says is true, and nothing is left of it."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.examples.inventory.running import SOON, Command, fetch, scrape
from tests.servers.process import require
from tests.servers.prometheus import binary

TABLE = r"(?s)After [\d,]+ requests:.*part_kit_usage"


def test_it_shows_live_numbers_of_a_service_under_traffic(tmp_path: Path):
    with Command("examples.inventory.demo", "--rate", "200", "--no-prometheus", folder=tmp_path) as demo:
        demo.said("Ctrl-C stops everything")
        url = demo.url
        assert f"curl -s -H 'Accept: application/openmetrics-text' {url}metrics" in demo.out
        assert "Workshop inventory" in fetch(url)[1]
        assert fetch(f"{url}metrics", Accept="application/openmetrics-text")[0].startswith("application/openmetrics-text; version=1.0.0")
        added = 'inventory_quantity_changes_total{operation="add"}'
        before = scrape(url)[added]
        demo.comes_to(lambda: scrape(url)[added] > before, "more stock")
        demo.said(TABLE)
        table = dict(re.findall(r"^  (\S+)  +([\d,.]+)$", demo.out, re.MULTILINE))
        assert float(table["kits_created_total"]) > 0
        assert before <= float(table[added]) <= scrape(url)[added]
        assert demo.interrupt(signal.SIGINT) < SOON


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_soon_and_leaves_nothing(tmp_path: Path, number):
    with Command("examples.inventory.demo", "--rate", "200", folder=tmp_path) as demo:
        demo.said("Ctrl-C stops everything")
        addresses = set(re.findall(r"http://[\d.:]+/", demo.out))
        assert demo.interrupt(number) < SOON
        assert demo.ended() == 0
        assert "everything is cleaned up" in demo.out
        assert demo.err == ""
        assert list(demo.temporary.iterdir()) == []
    for address in addresses:
        with pytest.raises(URLError):
            fetch(address)


def test_a_signal_before_anything_was_printed_ends_it_too(tmp_path: Path):
    with Command("examples.inventory.demo", "--rate", "200", "--no-prometheus", folder=tmp_path) as demo:
        demo.comes_to(lambda: list(demo.temporary.glob("*/inventory.db")), "a database")
        assert demo.interrupt(signal.SIGTERM) < SOON
        assert demo.ended() == 0
        assert list(demo.temporary.iterdir()) == []


def test_it_ends_by_itself_after_its_duration(tmp_path: Path):
    with Command("examples.inventory.demo", "--no-prometheus", "--duration", "3", "--rate", "100", folder=tmp_path) as demo:
        assert demo.ended(30) == 0
    assert re.search(TABLE, demo.out)
    assert demo.err == ""


def test_it_starts_a_private_prometheus_that_has_the_numbers(tmp_path: Path):
    require(binary("prometheus", "2.42"))
    with Command("examples.inventory.demo", "--rate", "200", folder=tmp_path) as demo:
        address = demo.said(r"Prometheus +(http://\S+/)")
        query = f"{address}api/v1/query?query=sum(inventory_quantity_changes_total)"
        demo.comes_to(lambda: '"value":[' in fetch(query)[1], "a scrape")
        graph = demo.said(r"as a graph +(\S+)")
        assert graph.startswith(f"{address}graph?g0.expr=sum+by")
        assert "Prometheus" in fetch(graph)[1]
        assert demo.interrupt(signal.SIGTERM) < SOON


def test_without_a_prometheus_it_says_how_to_get_one(tmp_path: Path):
    with Command("examples.inventory.demo", "--rate", "200", folder=tmp_path, PATH=str(tmp_path)) as demo:
        assert "apt-get install prometheus" in demo.said(r"Prometheus +is not installed.*")
        assert demo.interrupt(signal.SIGTERM) < SOON


def test_it_takes_the_port_that_it_is_told(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Command("examples.inventory.demo", "--rate", "200", "--no-prometheus", "--port", str(port), folder=tmp_path) as demo:
        assert demo.url == f"http://127.0.0.1:{port}/"
        assert demo.interrupt(signal.SIGTERM) < SOON
