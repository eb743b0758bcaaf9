"""A job of fifty milliseconds, and every destination that is sent to: its numbers are there when it has ended (P-34)."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.servers.emulators import CloudWatchEmulator
from tests.servers.pushgateway import Pushgateway
from tests.servers.statsd import StatsdServer
from tests.servers.victoriametrics import VictoriaMetrics
from tests.support import run_python, wait_until

pytestmark = pytest.mark.once

JOB = """
import threading
import measurand
ROWS = measurand.Counter("rows", "Rows imported", ["kind"])
with measurand.job("import", timeout=60):
    ROWS.labels("new").inc(5)
    threading.Event().wait(0.05)
"""

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "eu-west-1"}


@pytest.fixture
def datadog(tmp_path: Path) -> Iterator[tuple[str, Callable[[], list[str]]]]:
    """The path of a datagram socket as Datadog's agent has it, and what has come there."""
    path = str(tmp_path / "dsd.socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as agent:
        agent.bind(path)
        agent.settimeout(30)
        yield path, lambda: agent.recv(65536).decode().split("\n")


def of_cloudwatch(server: CloudWatchEmulator, name: str, **dimensions: str) -> list[float]:
    """The sums that it has."""
    now, hour = datetime.now(UTC), timedelta(hours=1)
    found = server.client().get_metric_statistics(
        Namespace="Jobs",
        MetricName=name,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - hour,
        EndTime=now + hour,
        Period=7200,
        Statistics=["Sum"],
    )
    return [point["Sum"] for point in found["Datapoints"]]


def test_all_of_them_have_it_and_nobody_waits_for_one_that_is_not_there(
    pushgateway: Pushgateway,
    victoriametrics: VictoriaMetrics,
    statsd_server: StatsdServer,
    cloudwatch: CloudWatchEmulator,
    datadog: tuple[str, Callable[[], list[str]]],
    tmp_path: Path,
) -> None:
    path, come = datadog
    addresses = [
        f"pushgateway+http://{pushgateway.address}?job=nightly",
        "pushgateway+http://127.0.0.1:1?job=nightly&name=missing",
        f"remotewrite+http://{victoriametrics.address}/api/v1/write?label.way=written",
        f"otlp+http://{victoriametrics.address}/opentelemetry?resource.way=otlp",
        f"statsd+tcp://127.0.0.1:{statsd_server.tcp}",
        f"dogstatsd+unix://{path}",
        f"cloudwatch://Jobs?endpoint_url={cloudwatch.url}",
        "emf://stdout?namespace=Jobs",
        "console://stdout",
        f"textfile://{tmp_path}/nightly.prom",
    ]
    ran = run_python(JOB, MEASURAND_EXPORTERS=" ".join(addresses), **CREDENTIALS)
    assert ran.returncode == 0, ran.stderr
    (line,) = ran.stderr.splitlines()
    assert line.startswith("the numbers of import did not arrive at missing: http://127.0.0.1:1 cannot be reached: ")

    found = pushgateway.metrics()
    assert 'rows_total{instance="",job="nightly",kind="new"} 5' in found
    assert 'job_runs_total{instance="",job="nightly",job_name="import",outcome="success"} 1' in found
    for way in ("written", "otlp"):
        assert victoriametrics.last("rows_total", kind="new", way=way) == 5
        assert victoriametrics.last("job_runs_total", job_name="import", outcome="success", way=way) == 1
        assert (victoriametrics.last("job_last_duration_seconds", job_name="import", way=way) or 0) >= 0.05
    wait_until(lambda: statsd_server.counters().get("rows_total.new") == 5, what=lambda: str(statsd_server.counters()))
    assert statsd_server.counters()["job_runs_total.import.success"] == 1
    lines = come()
    assert "rows_total:5|c|#kind:new" in lines
    assert "job_runs_total:1|c|#job_name:import,outcome:success" in lines
    assert of_cloudwatch(cloudwatch, "rows_total", kind="new") == [5.0]
    assert of_cloudwatch(cloudwatch, "job_runs_total", job_name="import", outcome="success") == [1.0]
    document = next(json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{") and '"rows_total"' in line)
    assert (document["rows_total"], document["kind"]) == (5, "new")
    assert any(line.split() == ["rows_total", "kind=new", "5"] for line in ran.stdout.splitlines())
    assert 'rows_total{kind="new"} 5.0' in (tmp_path / "nightly.prom").read_text()


def test_a_job_that_fails_delivers_all_the_same(pushgateway: Pushgateway) -> None:
    code = JOB + '\n    raise SystemExit("the file is empty")'
    ran = run_python(code, MEASURAND_EXPORTERS=f"pushgateway+http://{pushgateway.address}?job=nightly")
    assert (ran.returncode, ran.stderr) == (1, "the file is empty\n")
    found = pushgateway.metrics()
    assert 'rows_total{instance="",job="nightly",kind="new"} 5' in found
    assert 'job_runs_total{instance="",job="nightly",job_name="import",outcome="failed"} 1' in found
