"""The servers do what the tests that use them rely on."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from subprocess import CompletedProcess
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from kombu import Connection

from tests.servers import CloudWatchEmulator, Prometheus, Rotel, StatsdServer, VictoriaMetrics
from tests.servers.process import Missing, Process, on_path, require, until
from tests.servers.rabbitmq import RabbitMQ, binary

pytestmark = pytest.mark.once

GOOD = b"# HELP visits_total Visits\n# TYPE visits_total counter\nvisits_total 3.0\n"


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = {"/metrics": GOOD, "/broken": b"visits_total three\n"}[self.path.partition("?")[0]]
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("version", ["2.42", "3.5"])
class TestPrometheus:
    def test_is_the_version_that_was_asked_for(self, prometheus: Callable[..., Prometheus], version: str) -> None:
        assert prometheus(version).version.startswith(version[:2])

    def test_is_shared_when_nothing_of_its_own_is_asked_for(self, prometheus: Callable[..., Prometheus], version: str) -> None:
        assert prometheus(version) is prometheus(version)

    def test_scrapes_what_it_is_told_to_while_it_runs(self, prometheus: Callable[..., Prometheus], version: str, page: str) -> None:
        server = prometheus(version)
        with server.scraping(f"{page}/metrics") as target:
            assert (target.health, target.error) == ("up", "")
            assert server.value(f'visits_total{{job="{target.job}"}}') == 3
            assert server.wait_for(f'count_over_time(visits_total{{job="{target.job}"}}[1m])', lambda samples: samples[0].value >= 2)
        until(lambda: target.job not in [each.job for each in server.targets()], lambda: f"still scraped: {server.targets()}")

    def test_says_why_a_scrape_failed(self, prometheus: Callable[..., Prometheus], version: str, page: str) -> None:
        with prometheus(version).scraping(f"{page}/broken?why=test") as target:
            assert target.health == "down"
            assert "three" in target.error
            assert target.url.endswith("/broken?why=test")

    def test_takes_a_whole_configuration_and_refuses_a_wrong_one(self, prometheus: Callable[..., Prometheus], version: str) -> None:
        own = prometheus(version, config="global: {scrape_interval: 7s}", flags=["--query.timeout=5s"])
        assert own is not prometheus(version)
        assert "scrape_interval: 7s" in own.api("status/config")["yaml"]
        with pytest.raises(RuntimeError, match="no such section"):
            prometheus(version, config="no such section: 1")
        with pytest.raises(HTTPError) as refused, own.scraping("http://127.0.0.1:1/metrics", scrape_interval="never"):
            pytest.fail("a job that the server refuses is not scraped")
        refused.value.close()


@pytest.mark.parametrize("version", ["2.42", "3.5"])
def test_promtool_judges_an_exposition(promtool: Callable[..., CompletedProcess[str]], version: str) -> None:
    assert promtool("check", "metrics", input=GOOD.decode(), version=version).returncode == 0
    complaint = promtool("check", "metrics", input="visits three\n", version=version)
    assert complaint.returncode != 0
    assert "three" in complaint.stderr


def test_victoriametrics_says_what_it_has_got(victoriametrics: VictoriaMetrics) -> None:
    page = b'servers_test_total{who="a \\"b\\""} 3 1700000000000\nservers_test_total{who="a \\"b\\""} 4.5 1700000001000\n'
    urlopen(Request(f"{victoriametrics.url}/api/v1/import/prometheus", data=page, method="POST"), timeout=20).close()
    (series,) = until(lambda: victoriametrics.export('{__name__="servers_test_total"}'), lambda: "nothing is stored")
    assert series.labels == {"__name__": "servers_test_total", "who": 'a "b"'}
    assert (series.values, series.timestamps) == ([3, 4.5], [1_700_000_000_000, 1_700_000_001_000])
    assert victoriametrics.last("servers_test_total", who='a "b"') == 4.5
    assert victoriametrics.last("servers_test_total", who="nobody") is None


def test_statsd_says_what_it_has_added_up(statsd_server: StatsdServer) -> None:
    with socket.create_connection(("127.0.0.1", statsd_server.tcp), timeout=20) as connection:
        connection.sendall(b"a.b:3|c\na.b:0.5|c\nc-d:-2|g\nnonsense\n")
        until(lambda: statsd_server.bad_lines() == 1, lambda: statsd_server.process.log)
    assert statsd_server.counters()["a.b"] == 3.5
    assert statsd_server.gauges() == {"c-d": -2}


def test_the_collector_shows_what_it_gets(rotel: Rotel) -> None:
    metric = {"name": "shown", "gauge": {"dataPoints": [{"asDouble": 2.5, "timeUnixNano": "1700000000000000000"}]}}
    body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()
    urlopen(Request(f"{rotel.url}/v1/metrics", data=body, headers={"Content-Type": "application/json"}), timeout=20).close()
    until(lambda: "2.5" in rotel.log and "shown" in rotel.log, lambda: rotel.log)


def test_rabbitmq_hands_on_what_it_was_given_and_is_gone_when_it_is_stopped(tmp_path) -> None:
    with RabbitMQ(binary(), tmp_path) as broker:
        with Connection(broker.url) as connection, connection.SimpleQueue("orders") as queue:
            queue.put({"order": 7})
            message = queue.get(timeout=20)
            message.ack()
            assert message.payload == {"order": 7}
        listening = broker.ports
        assert listening.isdisjoint({4369, 5672, 25672})
    for port in listening:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_the_emulator_of_cloudwatch_adds_up_and_forgets(cloudwatch: CloudWatchEmulator) -> None:
    client = cloudwatch.client()
    client.put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "Orders", "Values": [1.0, 2.0], "Counts": [3.0, 1.0]}])
    assert {metric["MetricName"] for metric in client.list_metrics(Namespace="Shop")["Metrics"]} == {"Orders"}
    cloudwatch.reset()
    assert client.list_metrics(Namespace="Shop")["Metrics"] == []


def test_a_missing_server_skips_unless_servers_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEASURAND_REQUIRE_SERVERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="make servers"):
        require(Missing("prometheus 9", "make servers"))
    monkeypatch.setenv("MEASURAND_REQUIRE_SERVERS", "1")
    with pytest.raises(pytest.fail.Exception, match="make servers"):
        require(Missing("prometheus 9", "make servers"))


def test_programs_that_were_only_unpacked_are_found_on_the_path(tmp_path) -> None:
    program, library = tmp_path / "usr" / "bin" / "unpacked", tmp_path / "usr" / "lib" / "any-linux-gnu"
    program.parent.mkdir(parents=True)
    library.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho here\n")
    program.chmod(0o755)
    variables = on_path(program, Missing("nobody", "make servers"))
    assert subprocess.run(["unpacked"], env=variables, capture_output=True, check=True).stdout == b"here\n"
    assert variables["LD_LIBRARY_PATH"] == str(library)
    assert "LD_LIBRARY_PATH" not in on_path(Missing("nobody", "make servers"))


def test_a_server_that_ends_early_shows_its_last_words(tmp_path) -> None:
    process = Process(["sh", "-c", "echo cannot bind; exit 3"], tmp_path)
    with pytest.raises(RuntimeError, match="exit code 3:\ncannot bind"):
        process.said("ready")
    process.stop()


def test_waiting_ends_with_what_was_waited_for() -> None:
    with pytest.raises(AssertionError, match=r"within 0\.1 s: nothing came"):
        until(lambda: False, lambda: "nothing came", timeout=0.1)
