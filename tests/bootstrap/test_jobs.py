"""Batch jobs: recorded, and delivered before they end (P-34)."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from measurand import CollectorRegistry, Counter, Runtime, clock, job
from measurand.errors import ConfigurationError
from measurand.exporters.memory import Memory
from measurand.exporters.pushgateway import Pushgateway
from measurand.exporters.statsd import StatsD
from measurand.exporters.textfile import Textfile
from tests.servers import Pushgateway as Gateway
from tests.servers import StatsdServer
from tests.support import StillClock, run_python, wait_until

pytestmark = pytest.mark.once

NAME = {"job_name": "import"}


@pytest.fixture
def still() -> Iterator[StillClock]:
    made = StillClock()
    before = clock.use(made)
    yield made
    clock.use(before)


def test_a_run_is_recorded_and_everything_delivered_before_it_ends(registry: CollectorRegistry, still: StillClock) -> None:
    memory, rows = Memory(), Counter("rows", "Rows", registry=registry)
    with job("import", memory, registry=registry):
        rows.inc(3)
        still.advance(12.5)
    assert memory.value("rows_total") == 3
    assert memory.value("job_runs_total", **NAME, outcome="success") == 1
    assert memory.value("job_last_duration_seconds", **NAME) == 12.5
    assert memory.value("job_last_success_timestamp_seconds", **NAME) == still.wall()
    assert memory.value("job_last_failure_timestamp_seconds", **NAME) is None


@pytest.mark.parametrize("error", [KeyError("k"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_a_run_that_fails_is_delivered_too_and_its_error_is_not_touched(registry: CollectorRegistry, error: BaseException) -> None:
    memory = Memory()
    with pytest.raises(type(error)) as caught, job("import", memory, registry=registry):
        raise error
    assert caught.value is error
    assert memory.value("job_runs_total", **NAME, outcome="failed") == 1
    assert memory.value("job_last_success_timestamp_seconds", **NAME) is None


def test_a_program_that_exits_in_good_order_has_not_failed(registry: CollectorRegistry) -> None:
    memory = Memory()
    with pytest.raises(SystemExit), job("import", memory, registry=registry):
        raise SystemExit(0)
    assert memory.value("job_runs_total", **NAME, outcome="success") == 1


def test_it_works_in_coroutines_and_as_a_decorator_of_either_kind(registry: CollectorRegistry) -> None:
    memory = Memory()

    @job("import", memory, registry=registry)
    def plain(number: int) -> int:
        return number + 1

    @job("import", memory, registry=registry)
    async def asynchronous(number: int) -> int:
        await asyncio.sleep(0)
        return number + 2

    async def main() -> list[int]:
        async with job("import", memory, registry=registry):
            pass
        return await asyncio.gather(asynchronous(1), asynchronous(2))

    assert plain(1) == 2
    assert asyncio.run(main()) == [3, 4]
    assert memory.value("job_runs_total", **NAME, outcome="success") == 4


def test_runs_one_after_the_other_add_up_where_differences_are_sent(registry: CollectorRegistry) -> None:
    memory, rows = Memory("delta"), Counter("rows", "Rows", registry=registry)
    for _ in range(3):
        with job("import", memory, registry=registry):
            rows.inc(2)
    assert memory.value("rows_total") == 6
    assert memory.value("job_runs_total", **NAME, outcome="success") == 3


def test_a_destination_that_fails_or_hangs_is_said_in_a_line_and_harms_nobody(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()

    class Hanging(Memory):
        def export(self, snapshot: Any) -> None:
            release.wait(60)

    memory, dead = Memory(), Pushgateway("127.0.0.1:1", "import")
    with caplog.at_level(logging.WARNING, "measurand"):
        before = clock.system_monotonic()
        with job("import", dead, Hanging(name="hanging"), memory, registry=registry, timeout=0.3):
            pass
        assert clock.system_monotonic() - before < 10
    release.set()
    assert memory.value("job_runs_total", **NAME, outcome="success") == 1
    assert "the numbers of import did not arrive at hanging within 0.3 s" in caplog.text
    assert "the numbers of import did not arrive at pushgateway: " in caplog.text
    assert "Traceback" not in caplog.text


def test_two_runs_at_a_time_do_not_overwrite_each_other(registry: CollectorRegistry, pushgateway: Gateway) -> None:
    def run(part: str) -> None:
        own = CollectorRegistry()
        rows = Counter("rows", "Rows", registry=own)
        with job("import", Pushgateway(pushgateway.address, "import", grouping_key={"part": part}), registry=own):
            rows.inc(len(part))

    threads = [threading.Thread(target=run, args=(part,)) for part in ("a", "bb")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    shown = [line for line in pushgateway.metrics() if line.startswith("rows_total")]
    assert sorted(shown) == ['rows_total{instance="",job="import",part="a"} 1', 'rows_total{instance="",job="import",part="bb"} 2']
    assert sum("job_last_success_timestamp_seconds" in line and 'job_name="import"' in line for line in pushgateway.metrics()) == 2


def test_a_short_program_delivers_to_where_the_environment_says(pushgateway: Gateway, statsd_server: StatsdServer, tmp_path: Path) -> None:
    addresses = f"pushgateway+http://{pushgateway.address}?job=nightly statsd+tcp://127.0.0.1:{statsd_server.tcp} textfile://{tmp_path}/n.prom"
    code = "import measurand\nwith measurand.job('import'): measurand.Counter('rows', 'd').inc(5)"
    ran = run_python(code, MEASURAND_EXPORTERS=addresses)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert 'rows_total{instance="",job="nightly"} 5' in pushgateway.metrics()
    assert "rows_total 5.0" in (tmp_path / "n.prom").read_text()
    wait_until(lambda: statsd_server.counters().get("rows_total") == 5, what=lambda: str(statsd_server.counters()))
    assert statsd_server.counters()["job_runs_total.import.success"] == 1


def test_beside_a_runtime_its_exporters_deliver(runtime: Runtime, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEASURAND_EXPORTERS", "nonsense://")
    memory = Memory(interval=3600)
    runtime.exporters.add(memory)
    with job("import", registry=registry):
        pass
    assert len(memory.delivered) == 0
    runtime.stop()
    assert memory.value("job_runs_total", job_name="import", outcome="success", service="shop", environment="test") == 1


def test_a_textfile_and_statsd_get_it_within_the_same_limit(registry: CollectorRegistry, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        where = f"127.0.0.1:{server.getsockname()[1]}"
        with job("import", StatsD(where), Textfile(tmp_path / "job.prom"), registry=registry):
            pass
        assert b"job_runs_total.import.success:1|c" in server.recv(2000)
    assert 'job_runs_total{job_name="import",outcome="success"} 1.0' in (tmp_path / "job.prom").read_text()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: job(" "), "the name of a job must be text that is not empty, not ' '"),
        (lambda: job("a", timeout=0), "the timeout of the job 'a' must be a number of seconds above 0, not 0"),
        (lambda: job("a", "nowhere://x"), "no exporter has the scheme 'nowhere'"),
    ],
)
def test_what_cannot_be_used_is_said_at_once(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make()
