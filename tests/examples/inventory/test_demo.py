"""The demo as a person runs it: it says what to open, what it says is true, and nothing is left of it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from urllib.error import URLError
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from examples.inventory.child import Ended, serving
from tests.examples.inventory.running import ROOT, SOON, Command, fetch, scrape
from tests.servers.process import on_path, require
from tests.servers.prometheus import binary

pytestmark = pytest.mark.once

TABLE = r"(?s)After [\d,]+ requests:.*part_kit_usage"


def nothing_is_left_of(demo: Command) -> None:
    assert demo.ended() == 0
    assert "everything is cleaned up" in demo.out
    said = [line for line in demo.err.splitlines() if "failed (timeout)" not in line]  # a busy machine is no failure
    assert said == []
    assert list(demo.temporary.iterdir()) == []
    for address in set(re.findall(r"http://[\d.:]+/", demo.out)):
        with pytest.raises(URLError):
            fetch(address)


def test_it_shows_live_numbers_to_people_and_to_a_prometheus_until_a_signal_ends_it(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = binary("prometheus", "2.42")
    with Command("examples.inventory.demo", "--rate", "80", "--port", str(port), folder=tmp_path, **on_path(program)) as demo:
        demo.said("Ctrl-C stops everything")
        url = demo.url
        assert url == f"http://127.0.0.1:{port}/"
        assert f"curl -s -H 'Accept: application/openmetrics-text' {url}metrics" in demo.out
        assert "Workshop inventory" in fetch(url)[1]
        added = 'inventory_quantity_changes_total{operation="add"}'
        before = scrape(url)[added]
        demo.comes_to(lambda: scrape(url)[added] > before, "more stock")
        demo.said(TABLE)
        table = {name: float(value.replace(",", "")) for name, value in re.findall(r"^  (\S+)  +([\d,.]+)$", demo.out, re.MULTILINE)}
        for name in ("kits_created_total", "pick_list_pdf_generated_total", 'auth_validation_total{status="success"}'):
            assert table[name] > 0
        assert before <= table[added] <= scrape(url)[added]
        answered = demo.said(r"10 scrapes just now were answered by \d worker processes: (.*)\.")
        assert sum(int(times) for times in re.findall(r"\((\d+) x\)", answered)) == 10
        assert "never fewer than before" in demo.said(r"Whoever answered showed what all of them had counted: .*")
        lanes = subprocess.run(demo.said(r"What each has recorded:  (.*)").split(), cwd=ROOT, capture_output=True, text=True, check=True)
        assert re.search(r"\d of \d lanes alive", lanes.stdout)
        require(program)
        address = demo.said(r"Prometheus +(http://\S+/)")
        graph = demo.said(r"as a graph +(\S+)")
        assert graph.startswith(f"{address}graph?")  # a page that only an installed Prometheus has; what it draws, every one knows
        (expression,) = parse_qs(urlsplit(graph).query)["g0.expr"]
        query = f"{address}api/v1/query?{urlencode({'query': expression})}"
        demo.comes_to(lambda: '"value":[' in fetch(query)[1], "a rate: two scrapes")
        assert demo.interrupt(signal.SIGINT) < SOON
    nothing_is_left_of(demo)


def test_a_signal_before_anything_was_printed_ends_it_too(tmp_path: Path):
    with Command("examples.inventory.demo", "--rate", "80", "--no-prometheus", folder=tmp_path) as demo:
        demo.comes_to(lambda: list(demo.temporary.glob("*/inventory.db")), "a database")
        assert demo.interrupt(signal.SIGTERM) < SOON
    nothing_is_left_of(demo)


def test_without_a_prometheus_it_says_how_to_get_one_and_ends_by_itself_after_its_duration(tmp_path: Path):
    with Command("examples.inventory.demo", "--rate", "80", "--duration", "6", folder=tmp_path, PATH=str(tmp_path)) as demo:
        assert "apt-get install prometheus" in demo.said(r"Prometheus +is not installed.*")
        assert demo.ended() == 0
    assert re.search(TABLE, demo.out)
    nothing_is_left_of(demo)


def test_a_service_that_cannot_start_says_why_and_with_which_status(tmp_path: Path, capfd):
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path / 'inventory.db'}", "PYTHONWARNINGS": "ignore::RuntimeWarning"}
    with socket.create_server(("127.0.0.1", 0)) as taken, ExitStack() as stack:
        port = taken.getsockname()[1]
        with pytest.raises(Ended) as caught:
            stack.enter_context(serving({"port": port}, environment))
    assert caught.value.status == 1
    assert f"cannot listen on 127.0.0.1:{port}" in capfd.readouterr().err
