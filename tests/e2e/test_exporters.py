"""Every exporter that goes over a network, all together, in one service: destinations that are of no use harm nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest

from tests.e2e.exporters.peers import BlackHole, FullSocket, Nobody, Silence
from tests.support import wait_until

pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform != "linux", reason="other systems fill the queues of sockets otherwise")]

ROOT = Path(__file__).parents[2]
KINDS = ("statsd", "dogstatsd", "pushgateway", "remote_write", "otlp", "cloudwatch", "emf")
ASKED = ("statsd", "dogstatsd", "pushgateway", "remote_write", "otlp", "emf")
"""Those that find out at the start whether their destination is there; CloudWatch is not asked, as a request costs money."""

ANSWERED = ("pushgateway", "remote_write", "otlp", "cloudwatch")
"""Those whose destinations say that they have got something."""

BUDGET = 3.0
"""Seconds that the service has to stop."""

MARGIN = 2.5
"""Seconds that a busy machine may need besides; on an idle one it is 0.2 at most."""

EXIT = 15.0
"""Seconds that an interpreter with so many libraries may take on a busy machine to tidy up; nothing of ours is waited for."""

Told = list[tuple[str, str, str]]
"""Kind, name and address of each exporter."""


class Service:
    """The service in a process of its own; ended when the ``with`` block does if it still runs."""

    def __init__(self, folder: Path, exporters: Told, **settings: float) -> None:
        credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        path = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.exporters.service", json.dumps({"exporters": exporters, **settings})],
                cwd=folder,
                env=os.environ | credentials | path,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __enter__(self) -> Self:
        try:
            self.started = self.answer()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)

    def ask(self, what: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        print(what, file=self.process.stdin, flush=True)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the service has ended:\n{self.log}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def lines(self, *parts: str) -> list[str]:
        """The lines of the log that have all of these in them."""
        return [line for line in self.log.splitlines() if all(part in line for part in parts)]


@pytest.fixture
def useless(tmp_path: Path) -> Iterator[Told]:
    """Each exporter twice, to where connecting hangs and to where nobody answers; and one to a socket that is full."""
    with ExitStack() as stack:
        hole, silence = stack.enter_context(BlackHole()), stack.enter_context(Silence())
        full = stack.enter_context(FullSocket(tmp_path / "socket"))
        told = [(kind, f"{kind}_{name}", peer.address) for kind in KINDS for name, peer in (("hole", hole), ("silence", silence))]
        yield [*told, ("dogstatsd_unix", "dogstatsd_full", full.address)]


HANG = [*(f"{kind}_hole" for kind in KINDS), *(f"{kind}_silence" for kind in ANSWERED), "dogstatsd_full"]


@pytest.mark.parametrize("moment", ["idle", "in the midst of deliveries"])
def test_the_end_is_not_later_for_all_the_destinations_that_do_not_answer(tmp_path: Path, useless: Told, moment: str) -> None:
    interval = 3600.0 if moment == "idle" else 0.3
    with Service(tmp_path, useless, interval=interval, timeout=60.0) as service:
        if moment != "idle":
            wait_until(lambda: sum(len(service.lines(f"export_{name} has been running")) for name in HANG) > 5, what=lambda: service.log)
        report = service.ask(f"stop {BUDGET}")
        begun = time.monotonic()
        assert service.process.wait(30) == 0, service.log
        exit_took = time.monotonic() - begun
    print(f"{moment}: stopped in {report['seconds']:.2f} s, and the process was gone {exit_took:.2f} s later")
    assert report["seconds"] < BUDGET + MARGIN
    assert exit_took < EXIT
    assert set(report["lost"]) | set(report["flushed"]) == {name for _, name, _ in useless}
    assert set(HANG) <= set(report["lost"]), report
    (line,) = service.lines("shut down in")
    for name in HANG:
        assert f"{name} ({report['lost'][name]})" in line


def test_a_service_starts_without_its_destinations_and_says_so_in_a_line_each(tmp_path: Path) -> None:
    with Nobody() as nobody, Service(tmp_path, [(kind, kind, nobody.address) for kind in KINDS], interval=3600.0) as service:
        print(f"started in {service.started['started']:.2f} s")
        assert service.started["started"] < 10
        wait_until(lambda: len(service.lines("cannot deliver yet")) >= len(ASKED), what=lambda: service.log)
        assert set(service.ask("count 4")["counted"].values()) == {4, 7}
        for kind in ASKED:
            (line,) = service.lines(f"the exporter {kind} cannot deliver yet")
            assert nobody.address in line
            assert line.endswith("it is tried every 3600 s")
        assert not service.lines("Traceback")


def test_recording_does_nothing_but_record_whatever_the_destinations_do(tmp_path: Path, useless: Told) -> None:
    with Nobody() as nobody:
        dead = [*useless, *((kind, kind, nobody.address) for kind in KINDS)]
        with Service(tmp_path, dead, interval=0.3, timeout=1.0) as service:
            found = service.ask("record 20000")
            service.ask("stop 1")
    assert found["counted"] == {"web": found["times"] + 3, "shop": found["times"]}
    assert found["caused"] == []
    assert found["seen"] == ["open"], "the hook does not see what the thread does"
    assert "socket.connect" in found["elsewhere"], "no exporter has tried anything meanwhile"
