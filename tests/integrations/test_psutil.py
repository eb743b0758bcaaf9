"""The machine by psutil: the real one, and its absence."""

from __future__ import annotations

import logging
import shutil
import sys
import threading
import tomllib
from pathlib import Path

import psutil
import pytest

from measurand.errors import MissingExtra
from measurand.integrations import handle
from measurand.integrations.psutil import FLOOR, PsutilMonitor
from tests.support import run_threads, wait_until

pytestmark = pytest.mark.once


def test_memory_and_disks_are_what_psutil_says() -> None:
    found = PsutilMonitor(["/"]).snapshot()
    assert found.memory_percent == pytest.approx(psutil.virtual_memory().percent, abs=20)
    usage = shutil.disk_usage("/")
    assert found.disk_percent.keys() == {"/"}
    assert found.disk_percent["/"] == pytest.approx(100 * usage.used / (usage.used + usage.free), abs=5)
    assert found.memory_limit_bytes is None


def test_cpu_is_unknown_until_enough_time_has_passed_to_tell_and_needs_no_waiting() -> None:
    monitor = PsutilMonitor()
    assert monitor.snapshot().cpu_percent is None
    percent = wait_until(lambda: monitor.snapshot().cpu_percent, timeout=30)  # this loop is work, so it is not 0 for ever
    assert 0 < percent <= 100


def test_cpu_is_compared_with_the_last_snapshot_whichever_thread_took_it() -> None:
    monitor = PsutilMonitor()
    found: list[float | None] = []

    def look() -> None:
        found.append(monitor.snapshot().cpu_percent)

    stop = threading.Event()
    work = threading.Thread(target=lambda: all(not stop.is_set() for _ in iter(int, 1)), daemon=True)
    work.start()
    try:
        wait_until(lambda: run_threads(look) or (found[-1] or 0) > 0, timeout=30)  # a new thread each time
    finally:
        stop.set()
        work.join(30)


def test_cpu_is_unknown_after_a_long_time_and_known_again_after_that(monkeypatch: pytest.MonkeyPatch) -> None:
    real, cores = psutil.cpu_times(), psutil.cpu_count()
    spent = {"user": 0.0, "idle": 0.0}

    def cpu_times() -> object:
        return real._replace(user=real.user + spent["user"] * cores, idle=real.idle + spent["idle"] * cores)

    monkeypatch.setattr(psutil, "cpu_times", cpu_times)
    monitor = PsutilMonitor(longest=60.0)
    for user, idle, percent in ((1.0, 3.0, 25.0), (0.0, 0.0, None), (31.0, 31.0, None), (6.0, 2.0, 75.0)):
        spent["user"] += user
        spent["idle"] += idle
        assert monitor.snapshot().cpu_percent == (None if percent is None else pytest.approx(percent))


def test_a_path_that_cannot_be_looked_at_is_left_out_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone = str(tmp_path / "gone")
    monitor = PsutilMonitor(["/", gone])
    with caplog.at_level(logging.WARNING, "measurand.integrations"):
        for _ in range(3):
            assert monitor.snapshot().disk_percent.keys() == {"/"}
        (tmp_path / "gone").mkdir()
        assert monitor.snapshot().disk_percent.keys() == {"/", gone}
        (tmp_path / "gone").rmdir()
        monitor.snapshot()
    assert len(caplog.messages) == 2
    assert gone in caplog.text


def test_without_psutil_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(MissingExtra, match=r"measurand\[psutil\]"):
        PsutilMonitor()


def test_an_old_psutil_is_refused_and_the_extra_asks_for_one_that_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle, "version_of", lambda package: "5.8.0")
    with pytest.raises(MissingExtra, match=rf"psutil 5\.8\.0 is installed, and {FLOOR} or newer"):
        PsutilMonitor()
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["psutil"] == [f"psutil>={FLOOR}"]
