"""One management server for a service of several processes: P-11."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.endpoints.test_management import free_port, get
from tests.support import wait_until

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

CHILDREN = 8
SERVICE = """
import os, signal, sys, warnings
import measurand
from measurand import Counter

warnings.simplefilter("error")
warnings.simplefilter("ignore", DeprecationWarning)  # that a process with threads forks
THINGS = Counter("things", "Things")
SETTINGS = dict(service="shop", environment="test", state_directory="state", drain_delay=0, management=int(sys.argv[1]), common_labels={})
WHO = measurand.Gauge("who", "The process that answers", multiprocess_mode="livemostrecent")
WHO.set_function(os.getpid)


def run():
    runtime = measurand.start(**SETTINGS)
    runtime.server_started(None)
    THINGS.inc(10)
    print("started", os.getpid(), flush=True)
    signal.sigwait({signal.SIGTERM})
    runtime.stop()
    sys.exit()


if __name__ == "__main__":
    if sys.argv[2] == "shell":
        with measurand.start(**SETTINGS):
            THINGS.inc()
            print("started", flush=True)
            sys.stdin.read()
        sys.exit()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    children = []
    for _ in range(int(sys.argv[3])):
        pid = os.fork()
        if not pid:
            run()
        children.append(pid)
    signal.sigwait({signal.SIGTERM})
    for pid in children:
        os.kill(pid, signal.SIGTERM)
    for pid in children:
        os.waitpid(pid, 0)
"""


class Running:
    """The service, or a shell with its settings."""

    def __init__(self, folder: Path, port: int, kind: str, children: int, directory: Path | None) -> None:
        (folder / "service.py").write_text(SERVICE)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MEASURAND")}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        if directory is not None:
            environment["MEASURAND_FAMILY_DIR"] = str(directory)
        self.log = folder / f"{kind}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "service.py", str(port), kind, str(children)],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )

    def said(self) -> str:
        return self.log.read_text()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self.process.wait()


@contextmanager
def running(folder: Path, port: int, kind: str, children: int = 1, directory: Path | None = None) -> Iterator[Running]:
    started = Running(folder, port, kind, children, directory)
    try:
        wait_until(lambda: started.said().count("started") == children, 60, what=started.said)
        yield started
    finally:
        started.end()
    assert "Traceback" not in started.said()


def page(port: int) -> str:
    try:
        status, body = get(f"http://127.0.0.1:{port}", "/v1/metrics")
    except OSError:
        return ""
    return body if status == 200 else ""


def things(port: int) -> float:
    found = re.search(r"^things_total (\S+)$", page(port), re.MULTILINE)
    return float(found[1]) if found else 0.0


def server(port: int) -> int:
    found = re.search(r"^who (\S+)$", page(port), re.MULTILINE)
    return int(float(found[1])) if found else 0


def test_p11_of_eight_children_and_a_shell_one_serves_the_full_sum_and_another_within_five_seconds_when_it_is_killed(
    tmp_path: Path,
) -> None:
    port, families = free_port(), tmp_path / "families"
    with running(tmp_path, port, "service", CHILDREN, families), running(tmp_path, port, "shell", 1, families):
        wait_until(lambda: things(port) == 10 * CHILDREN + 1, what=lambda: page(port)[:2000])
        for _ in range(2):
            owner = server(port)
            os.kill(owner, signal.SIGKILL)
            killed = time.monotonic()
            wait_until(lambda owner=owner: server(port) not in {0, owner})
            print(f"another one serves after {time.monotonic() - killed:.2f} s")
            assert things(port) == 10 * CHILDREN + 1
    assert not families.exists() or list(families.iterdir()) == []


def test_a_shell_of_its_own_family_starts_without_an_error_and_leaves_the_port_to_the_next_start(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, port, "service", 2) as service, running(tmp_path, port, "shell") as shell:
        assert "another start of this service serves the pages" in shell.said()
        assert things(port) == 20
        service.end()
        wait_until(lambda: page(port) == "")
        (tmp_path / "again").mkdir()
        with running(tmp_path / "again", port, "service", 2):
            wait_until(lambda: things(port) == 20)
