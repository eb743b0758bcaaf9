"""What the operating system knows of a process: from the real /proc, from one made for the test, and without one."""

from __future__ import annotations

import gc
import os
import resource
import sys
import time
from pathlib import Path

import prometheus_client
import pytest

from measurand import REGISTRY, CollectorRegistry, Domain, ProcessCollector, generate_latest
from measurand.catalog.process import PROCESS_COLLECTOR
from measurand.errors import DuplicateTimeseries, RefusedByDomain

NAMES = ["virtual_memory_bytes", "resident_memory_bytes", "start_time_seconds", "cpu_seconds_total", "open_fds", "max_fds"]
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has /proc as this collector reads it")


def values(collector: ProcessCollector) -> dict[str, float]:
    return {sample.name: sample.value for metric in collector.collect() for sample in metric.samples}


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A process file system with process 26231."""
    process = tmp_path / "26231"
    (process / "fd").mkdir(parents=True)
    for number in range(5):
        (process / "fd" / str(number)).touch()
    numbers = "26230 26231 5392 34835 26231 4218880 32533 309516 26 82 1677 44 158 99 20 0 1 0 82375 56274944 1981 18446744073709551615"
    (process / "stat").write_text(f"26231 (a (name) with) brackets) R {numbers} 4194304 6294284 140736914091744 0 0\n")
    (process / "limits").write_text(
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max cpu time              unlimited            unlimited            seconds   \n"
        "Max open files            2048                 4096                 files     \n"
    )
    (tmp_path / "stat").write_text("cpu  2 0 2 2\nbtime 1418183276\nprocesses 26442\n")
    return tmp_path


def test_every_field_is_read_as_it_is_meant(proc: Path) -> None:
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    assert values(ProcessCollector(proc=str(proc), pid=lambda: 26231, registry=None)) == {
        "process_virtual_memory_bytes": 56274944,
        "process_resident_memory_bytes": 1981 * page,
        "process_start_time_seconds": 1418183276 + 82375 / ticks,
        "process_cpu_seconds_total": (1677 + 44) / ticks,
        "process_open_fds": 5,
        "process_max_fds": 2048,
    }


def test_it_tells_the_same_as_prometheus_client(proc: Path, registry: CollectorRegistry) -> None:
    theirs = prometheus_client.CollectorRegistry()
    for namespace in ("", "shop"):
        ProcessCollector(namespace, proc=str(proc), pid=lambda: "26231\n", registry=registry)
        prometheus_client.ProcessCollector(namespace, proc=str(proc), pid=lambda: "26231\n", registry=theirs)
    assert generate_latest(registry) == prometheus_client.generate_latest(theirs)


def test_limits_may_be_unlimited(proc: Path) -> None:
    (proc / "26231" / "limits").write_text("Max open files            unlimited            unlimited            files     \n")
    assert values(ProcessCollector(proc=str(proc), pid=lambda: 26231, registry=None))["process_max_fds"] == float("inf")


def test_a_prefix_goes_before_every_name(proc: Path) -> None:
    collector = ProcessCollector("shop", proc=str(proc), pid=lambda: 26231, registry=None)
    assert list(values(collector)) == [f"shop_process_{name}" for name in NAMES]
    assert {metric.name for metric in collector.describe()} == {f"shop_process_{name}".removesuffix("_total") for name in NAMES}


@pytest.mark.parametrize("missing", ["limits", "fd"])
def test_what_another_users_process_hides_is_left_out(proc: Path, missing: str) -> None:
    hidden = proc / "26231" / missing
    hidden.rename(proc / "hidden")
    assert list(values(ProcessCollector(proc=str(proc), pid=lambda: 26231, registry=None))) == [f"process_{name}" for name in NAMES[:4]]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("26231/limits", "Max open files\n"),
        ("26231/limits", "Max open files            many                 many                 files     \n"),
        ("26231/limits", ""),
    ],
)
def test_damaged_limits_cost_only_the_file_descriptors(proc: Path, path: str, content: str) -> None:
    (proc / path).write_text(content)
    assert list(values(ProcessCollector(proc=str(proc), pid=lambda: 26231, registry=None))) == [f"process_{name}" for name in NAMES[:4]]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("26231/stat", ""),
        ("26231/stat", "26231 (cut) R 1 2 3"),
        ("26231/stat", "26231 (odd) R " + "x " * 50),
        ("stat", "cpu 1"),
        ("stat", "btime\n"),
    ],
)
def test_a_damaged_proc_shows_nothing_and_fails_nothing(proc: Path, registry: CollectorRegistry, path: str, content: str) -> None:
    (proc / path).write_text(content)
    ProcessCollector(proc=str(proc), pid=lambda: 26231, registry=registry)
    assert generate_latest(registry) == b""


def test_without_proc_there_is_nothing(tmp_path: Path, registry: CollectorRegistry) -> None:
    ProcessCollector(proc=str(tmp_path / "missing"), registry=registry)
    ProcessCollector("other", proc=str(tmp_path), pid=lambda: 1, registry=registry)
    assert list(registry.collect()) == []


@linux
def test_this_process_is_described_plausibly() -> None:
    gc.collect()  # what others forgot to close is closed now
    before = values(ProcessCollector(registry=None))
    used = time.process_time()
    while time.process_time() - used < 0.05:
        pass
    with open(os.devnull), open(os.devnull):
        after = values(ProcessCollector(registry=None))
    assert list(after) == [f"process_{name}" for name in [*NAMES, "threads"]]
    assert after["process_cpu_seconds_total"] > before["process_cpu_seconds_total"]
    assert after["process_cpu_seconds_total"] == pytest.approx(time.process_time(), abs=1)
    assert after["process_open_fds"] == before["process_open_fds"] + 2
    assert after["process_max_fds"] in (resource.getrlimit(resource.RLIMIT_NOFILE)[0], float("inf"))
    assert after["process_start_time_seconds"] == before["process_start_time_seconds"] < time.time()
    assert 1e6 < after["process_resident_memory_bytes"] < after["process_virtual_memory_bytes"]


@linux
def test_another_process_can_be_looked_at() -> None:
    parent = values(ProcessCollector(pid=os.getppid, registry=None))
    assert parent["process_start_time_seconds"] <= values(ProcessCollector(registry=None))["process_start_time_seconds"]


def test_its_names_are_taken_once_registered(registry: CollectorRegistry) -> None:
    ProcessCollector(registry=registry)
    with pytest.raises(DuplicateTimeseries):
        ProcessCollector(registry=registry)
    with pytest.raises(RefusedByDomain):
        ProcessCollector(registry=Domain("governance", refuse_names=["process_*"]))


def test_the_ready_made_one_is_opt_in_and_can_be_opted_out_of_anyway() -> None:
    assert PROCESS_COLLECTOR not in REGISTRY.collectors()
    REGISTRY.unregister(PROCESS_COLLECTOR)  # programs that opted out of it in prometheus_client still do
    REGISTRY.register(PROCESS_COLLECTOR)
    assert "process_max_fds" in {metric.name for metric in REGISTRY.collect()} or not sys.platform.startswith("linux")
    REGISTRY.unregister(PROCESS_COLLECTOR)
    assert PROCESS_COLLECTOR not in REGISTRY.collectors()
