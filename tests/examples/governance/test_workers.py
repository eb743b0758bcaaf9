"""Several processes on one socket: told to stop, killed, giving up; and an api of four that is one service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from examples.governance import settings
from examples.governance.settings import WORKERS
from tests.examples.governance.running import ROOT, Platform, quick
from tests.servers.process import until

pytestmark = pytest.mark.once

TEAM = """
import os, signal, sys, threading
from examples.governance import workers

def say(*what):
    os.write(1, (" ".join(map(str, what)) + "\\n").encode())  # in one piece, whoever else speaks

def work():
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    signal.signal(signal.SIGINT, lambda *_: say("hurries"))
    say("at work", os.getpid())
    told.wait()
    say("leaves")
    return int(sys.argv[2])

sys.exit(workers.run(int(sys.argv[1]), work, until=0, service="team"))
"""


class Team:
    """Workers that only wait; what they have said."""

    def __init__(self, folder: Path, count: int, status: int) -> None:
        self._said, self._log = folder / "said", folder / "log"
        with self._said.open("wb") as said, self._log.open("wb") as log:
            command = [sys.executable, "-c", TEAM, str(count), str(status)]
            self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=said, stderr=log, start_new_session=True)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def said(self, what: str) -> list[str]:
        """The lines that begin like this, without that."""
        return [line.removeprefix(what).strip() for line in self._said.read_text().splitlines() if line.startswith(what)]

    def comes_to(self, what: str, count: int) -> list[str]:
        return until(lambda: self.said(what)[count - 1 :] and self.said(what), lambda: f"{what}: {self._said.read_text()}\n{self.log}")


@contextmanager
def team(folder: Path, count: int = 3, status: int = 0) -> Iterator[Team]:
    made = Team(folder, count, status)
    try:
        made.comes_to("at work", count)
        yield made
    finally:
        with suppress(ProcessLookupError):
            os.killpg(made.process.pid, signal.SIGKILL)
        made.process.communicate()


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_all_leave_when_told_to_and_hear_of_every_signal(tmp_path: Path):
    with team(tmp_path) as running:
        running.process.send_signal(signal.SIGINT)
        running.comes_to("hurries", 3)
        running.process.terminate()
        running.comes_to("leaves", 3)
        assert running.process.wait(30) == 0


def test_all_leave_with_whoever_holds_the_other_end_of_standard_input(tmp_path: Path):
    with team(tmp_path) as running:
        assert running.process.stdin
        running.process.stdin.close()
        running.comes_to("leaves", 3)
        assert running.process.wait(30) == 0


def test_a_worker_that_was_killed_is_replaced_and_the_log_says_so(tmp_path: Path):
    with team(tmp_path) as running:
        os.kill(int(running.said("at work")[1]), signal.SIGKILL)
        running.comes_to("at work", 4)
        until(lambda: '"message": "a worker was killed; another takes its place"' in running.log, lambda: running.log)
        assert running.said("leaves") == []


def test_a_worker_that_gives_up_ends_the_service_with_its_status(tmp_path: Path):
    with team(tmp_path, status=3) as running:
        os.kill(int(running.said("at work")[0]), signal.SIGTERM)
        running.comes_to("leaves", 3)
        assert running.process.wait(30) == 3


def test_workers_do_not_outlive_the_process_that_started_them(tmp_path: Path):
    with team(tmp_path) as running:
        running.process.kill()
        running.comes_to("leaves", 3)
        pids = [int(pid) for pid in running.said("at work")]
        until(lambda: not any(map(is_there, pids)), lambda: f"some of {pids} are still there")


@pytest.mark.parametrize("arguments", [["observer", "--workers", "2"], ["api", "--workers", "0"]])
def test_who_can_only_be_one_is_not_made_several(arguments: list[str], capsys):
    with pytest.raises(SystemExit):
        settings.read(arguments)
    assert "is served by one process" in capsys.readouterr().err


def test_whichever_worker_is_asked_knows_what_all_have_done_and_a_killed_one_takes_nothing_with_it(tmp_path: Path):
    with quick(tmp_path) as platform:
        workers = children_of(platform)
        assert len(workers) == WORKERS["api"]
        for _ in range(12):
            assert platform.proposes().status == 201
        assert {recorded(platform) for _ in range(12)} == {12}
        assert {proposals(platform) for _ in range(4)} == {12}
        os.kill(workers[0], signal.SIGKILL)
        assert {recorded(platform) for _ in range(12)} == {12}
        until(lambda: len(set(children_of(platform)) - {workers[0]}) == WORKERS["api"], lambda: str(children_of(platform)))
        assert platform.proposes().status == 201
        assert {recorded(platform) for _ in range(12)} == {13}


def recorded(platform: Platform) -> float:
    return platform.value("api", "event_handovers_total", outcome="recorded")


def proposals(platform: Platform) -> int:
    """As the page of latencies counts them."""
    rows = platform.get("api", "/v1/latency").json["endpoints"]
    return int(next(row["requests"] for row in rows if row["endpoint"] == "/v1/proposals" and row["method"] == "POST"))


def children_of(platform: Platform) -> list[int]:
    """The processes that serve the api."""
    pid = platform.pid("api")
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
