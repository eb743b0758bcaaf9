"""The system in the background: one look for the whole service, none of it in an event loop, and nothing left of it afterwards."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from measurand import CollectorRegistry
from measurand.catalog.cgroup import CgroupReader
from measurand.catalog.system import SystemMetrics
from measurand.errors import ConfigurationError, MissingExtra
from measurand.integrations.handle import Handle
from measurand.integrations.system import Monitor, instrument
from measurand.lifecycle.polling import Polling
from measurand.testing.system import SystemStub
from tests.metrics.company import Service
from tests.support import run_python, wait_until

pytestmark = pytest.mark.once


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def started() -> Iterator[list[Handle]]:
    """Handles to take back at the end."""
    handles: list[Handle] = []
    yield handles
    for handle in handles:
        handle.uninstrument()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("measurand-poll")]


def test_the_real_system_is_recorded_in_the_background(registry: CollectorRegistry, started: list[Handle]) -> None:
    started.append(instrument(registry=registry, interval=0.2))
    for name, labels in (("system_memory_percent", {}), ("system_disk_percent", {"path": "/"}), ("system_cpu_percent", {})):
        wait_until(lambda name=name, labels=labels: registry.get_sample_value(name, labels) is not None, timeout=30)
    assert 0 < registry.get_sample_value("system_memory_percent") <= 100  # type: ignore[operator]
    assert started[0].about.startswith("system: psutil")
    assert isinstance(started[0].metrics, SystemMetrics)


def test_it_is_refreshed_at_intervals_and_a_look_that_fails_is_counted(registry: CollectorRegistry, started: list[Handle]) -> None:
    stub = SystemStub(memory_percent=10.0)
    started.append(instrument(monitor=stub, registry=registry, interval=0.05))
    wait_until(lambda: registry.get_sample_value("system_memory_percent") == 10.0, timeout=30)
    stub.error = OSError("no such device")
    wait_until(lambda: (registry.get_sample_value("measurand_poll_errors_total", {"name": "system"}) or 0) >= 2, timeout=30)
    stub.error = None
    stub.set(memory_percent=20.0)
    wait_until(lambda: registry.get_sample_value("system_memory_percent") == 20.0, timeout=30)


def test_it_is_one_whoever_asks_and_can_be_taken_back(registry: CollectorRegistry) -> None:
    stub = SystemStub(memory_percent=10.0)
    handle = instrument(monitor=stub, registry=registry, interval=0.05)
    polling = Polling(registry=registry)
    assert instrument() is handle
    assert instrument(polling) is handle
    wait_until(lambda: stub.calls >= 2, timeout=30)
    handle.uninstrument()
    handle.uninstrument()
    assert threads() == []
    calls = stub.calls
    second = instrument(polling, monitor=stub, registry=registry)
    assert second is not handle
    assert stub.calls == calls, "this polling has not been started"
    polling.start()
    wait_until(lambda: stub.calls > calls, timeout=30)
    second.uninstrument()
    polling.register("system", int)  # its name is free again
    polling.stop()
    assert threads() == []


def test_what_cannot_be_used_is_refused_and_leaves_nothing_behind(registry: CollectorRegistry) -> None:
    for interval in (0, -1, float("inf"), float("nan"), "soon"):
        with pytest.raises(ConfigurationError, match="interval"):
            instrument(monitor=SystemStub(), registry=registry, interval=interval)  # type: ignore[arg-type]
    polling = Polling(registry=registry)
    polling.register("system", int)
    with pytest.raises(ConfigurationError, match="system"):
        instrument(polling, monitor=SystemStub(), registry=registry)
    assert threads() == []
    instrument(Polling(registry=registry), monitor=SystemStub(), registry=registry).uninstrument()


def test_without_psutil_the_limits_are_there_and_the_machine_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proc = tmp_path / "self"
    proc.mkdir()
    (proc / "cgroup").write_text("0::/\n")
    (proc / "mountinfo").write_text(f"31 23 0:28 / {tmp_path} rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "memory.max").write_text("4096\n")
    (tmp_path / "memory.current").write_text("1024\n")
    both = Monitor(cgroup=CgroupReader(str(tmp_path)))
    assert (both.snapshot().memory_limit_bytes, both.snapshot().memory_percent is None) == (4096, False)
    monkeypatch.setitem(sys.modules, "psutil", None)
    monitor = Monitor(cgroup=CgroupReader(str(tmp_path)))
    found = monitor.snapshot()
    assert (found.memory_limit_bytes, found.memory_usage_bytes) == (4096, 1024)
    assert (found.memory_percent, found.cpu_percent, found.disk_percent) == (None, None, {})
    assert monitor.about == "no psutil, control group of version 2"
    with pytest.raises(MissingExtra, match=r"measurand\[psutil\]"):
        Monitor(cgroup=CgroupReader(str(tmp_path / "nowhere")))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_one_process_of_a_service_looks_and_the_next_takes_over(tmp_path: Path) -> None:
    service = Service(4, False, tmp_path / "families")
    try:
        service.everywhere(
            """
            from measurand.integrations.system import instrument
            from measurand.testing.system import SystemStub
            stub = SystemStub(memory_percent=50.0)
            handle = instrument(monitor=stub, interval=0.2)
            """
        )
        wait_until(lambda: service.ask(0, "lines('system_')") == ["system_memory_percent 50.0"], timeout=60)
        assert service.ask(3, "lines('system_')") == ["system_memory_percent 50.0"]
        others = [place for place in range(1, 4) if service.ask(place, "stub.calls") == 0]
        assert len(others) >= 2
        service.at(0, "handle.uninstrument()")
        for place in set(range(1, 4)) - set(others):
            service.kill(place)
            service.start(place)
        wait_until(lambda: any(service.ask(place, "stub.calls") for place in others), timeout=60)
        for place in others:
            service.at(place, "handle.uninstrument()")
    finally:
        service.close()


LOOP = """
import asyncio, sys, threading
import measurand
from measurand.integrations.system import instrument

read, loop_thread = [], None

def audit(event, args):
    if event in ("open", "os.listdir", "os.scandir") and threading.get_ident() == loop_thread:
        read.append((event, str(args[0])))

async def main():
    global loop_thread
    handle = instrument(interval=0.05)
    page = measurand.make_asgi_app()
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    body = b""
    async def send(message):
        nonlocal body
        body += message.get("body", b"")
    async def receive():
        return {"type": "http.request"}
    await page(scope, receive, send)  # whatever is imported at the first time
    sys.addaudithook(audit)
    loop_thread = threading.get_ident()
    open("planted", "w").close()
    begun, looks = asyncio.get_running_loop().time(), 0
    while looks < 5 or b"system_cpu_percent" not in body:
        assert asyncio.get_running_loop().time() < begun + 30
        await asyncio.sleep(0)
        body = b""
        await page(scope, receive, send)
        looks = measurand.REGISTRY.get_sample_value("measurand_poll_duration_seconds_count", {"name": "system"}) or 0
    loop_thread = None
    handle.uninstrument()
    print(read)

asyncio.run(main())
"""


def test_nothing_is_read_in_an_event_loop(tmp_path: Path) -> None:
    ran = run_python(f"import os; os.chdir({str(tmp_path)!r})\n{LOOP}")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "[('open', 'planted')]\n"
