"""The demo as a person runs it: it says what to open, what it says is true, and nothing is left of it."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest

from examples.governance.settings import SERVICES, WORKERS
from tests.examples.governance.running import Command
from tests.servers.process import Missing, on_path
from tests.servers.prometheus import binary
from tests.servers.redis import binary as redis_binary

pytestmark = pytest.mark.once

_direct = build_opener(ProxyHandler({}))  # loopback is never reached through a proxy


def fetch(url: str) -> str:
    with _direct.open(url, timeout=10) as answer:
        return str(answer.read().decode())


def assert_all_gone(command: Command) -> None:
    """The services, the servers beside them, and every file."""
    assert command.err == ""
    assert "everything is cleaned up" in command.out or "Open:" not in command.out
    assert list(command.temporary.iterdir()) == []
    for address in set(re.findall(r"http://[\d.:]+/", command.out)):
        with pytest.raises(URLError):
            fetch(address)


def test_it_shows_four_services_under_traffic_and_a_signal_ends_it(tmp_path: Path):
    prometheus, redis = binary("prometheus", "2.42"), redis_binary()
    with Command("examples.governance.demo", "--rate", "100", folder=tmp_path, **on_path(prometheus, redis)) as command:
        command.said("Ctrl-C stops everything")
        assert ("acts go through a queue in Redis" in command.out) is not isinstance(redis, Missing)
        opened = dict(re.findall(r"^  (\S.*\S)  +(http://\S+)", command.out, re.MULTILINE))
        assert '"event_store":' in fetch(opened["why it is ready"]).replace(" ", "")
        assert '"p99":' in fetch(opened["p50, p95, p99"])
        assert '"observer":{"alive":' in fetch(opened["what is watched"])
        pages = re.findall(r"metrics  +(http://\S+)  \((\S+)\)", command.out)
        assert sorted(name for _, name in pages) == sorted(SERVICES * 2)
        assert all(f'service="{name}"' in page for url, name in pages if (page := fetch(url)))
        if not isinstance(prometheus, Missing):
            query = f"{opened['Prometheus']}api/v1/query?query=sum(governance_chain_length)"
            command.comes_to(lambda: '"value":[' in fetch(query), "a scrape")
        command.said(r"(?s)After [\d,]+ requests:.*watchdog_probes_total +[\d,.]+\n")
        shown = dict(re.findall(r"^  \S+ +(\S+)  +([\d,.]+)$", command.out, re.MULTILINE))
        assert float(shown["governance_chain_length"]) > 0
        assert shown["governance_chain_intact"] == "1"
        assert float(shown["measurand_processes"]) >= WORKERS["api"]
        assert float(shown["http_requests_total"]) >= float(shown["event_handovers_total"]) > 0
        assert command.interrupt(signal.SIGTERM) == 0
        assert_all_gone(command)


def test_ctrl_c_before_anything_is_up_ends_it_too(tmp_path: Path):
    with Command("examples.governance.demo", "--no-prometheus", folder=tmp_path) as command:
        command.comes_to(lambda: list(command.temporary.glob("*/api.log")), "starting a service")
        assert command.interrupt(signal.SIGINT) == 0
        assert_all_gone(command)
