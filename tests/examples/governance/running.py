"""The platform as four processes, what they say, and people who use it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from examples.governance.domains import GOVERNANCE_PATH
from examples.governance.fleet import Fleet
from examples.governance.settings import SERVICES
from examples.governance.traffic import Traffic
from tests.servers.process import until

T = TypeVar("T")
ROOT = Path(__file__).parents[3]
METRICS_PATH = "/v1/metrics"
COMMON = {"environment", "service"}


class Command:
    """``python -m module …`` from the root of the repository; killed at the end of the block if it is still there.

    Attributes:
        temporary: Where its temporary files go, so that a test sees what is left of them.
    """

    def __init__(self, module: str, *arguments: str, folder: Path, **environment: str) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._child = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                # Where the C core was not built the package says so; tests/core is about that.
                env=os.environ | {"TMPDIR": str(self.temporary), "PYTHONWARNINGS": "ignore::RuntimeWarning"} | environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._child.kill()
        self._child.wait()

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def comes_to(self, condition: Callable[[], T], what: str, timeout: float = 90) -> T:
        """Wait for a condition; the end of the command before it is an error."""

        def reached() -> T:
            ended = self._child.poll() is not None
            answer = condition()
            assert answer or not ended, f"it ended before {what}:\n{self.out}\n{self.err}"
            return answer

        return until(reached, lambda: f"it has not come to {what}:\n{self.out}\n{self.err}", timeout)

    def said(self, pattern: str) -> str:
        """Wait until it has printed something."""
        return str(self.comes_to(lambda: re.search(pattern, self.out), f"saying {pattern!r}")[0])  # type: ignore[index]

    def ended(self, timeout: float = 90) -> int:
        return self._child.wait(timeout)

    def interrupt(self, number: signal.Signals) -> int:
        """Send a signal; the exit status, which has to come soon."""
        self._child.send_signal(number)
        return self.ended(20)


class Answer(NamedTuple):
    """An answer; status 0 when there was none."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Metric(NamedTuple):
    """One family of an exposition."""

    type: str
    labels: set[str]
    values: list[tuple[str, dict[str, str], float]]


def parsed(page: str) -> dict[str, Metric]:
    """An exposition as somebody else's parser reads it, by the names that the definitions have."""
    found = {}
    for family in text_string_to_metric_families(page):
        values = [(sample.name, sample.labels, sample.value) for sample in family.samples]
        labels = {label for _, labels, _ in values for label in labels} - COMMON - {"le"}
        found[family.name + ("_total" if family.type == "counter" else "")] = Metric(family.type, labels, values)
    return found


class Platform(Fleet):
    """Four services in a folder, asked over real sockets, each time on a new connection."""

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.start_all()
            until(self.are_ready, self.what_is_wrong, 90)
            self.go_on()
        except BaseException:
            self.stop_all()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        for name in SERVICES:
            self.send(name, signal.SIGKILL)  # how they end in order is a test of its own
        super().__exit__(*exc_info)

    def are_ready(self, *names: str) -> bool:
        assert self.dead() == [], self.what_is_wrong()
        return all(self.is_ready(name) for name in names or SERVICES)

    def what_is_wrong(self) -> str:
        unready = [name for name in SERVICES if not self.is_ready(name)]
        return "\n".join(f"{name} says {self.get(name, '/v1/ready').text}\n{self.log_file(name).read_text()[-3000:]}" for name in unready)

    # -- asking ----------------------------------------------------------------------------------------------------------------

    def get(self, name: str, path: str) -> Answer:
        return self.ask(name, "GET", path)

    def post(self, name: str, path: str, **body: str) -> Answer:
        return self.ask(name, "POST", path, body)

    def ask(self, name: str, method: str, path: str, body: Mapping[str, str] | None = None) -> Answer:
        where = urlsplit(self.urls[name])
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=20)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode())
        return Answer(0, {}, "")

    def checks(self, name: str) -> dict[str, bool]:
        """What readiness found, by check."""
        return {check: found["healthy"] for check, found in self.get(name, "/v1/ready").json["checks"].items()}

    def page(self, name: str, path: str = METRICS_PATH) -> str:
        answer = self.get(name, path)
        assert answer.status == 200, answer
        return answer.text

    def families(self, name: str, path: str = METRICS_PATH) -> dict[str, Metric]:
        """The page of a service, parsed."""
        return parsed(self.page(name, path))

    def value(self, name: str, metric: str, path: str | None = None, **labels: str) -> float:
        """The sum over all series of a page that match."""
        path = path or (GOVERNANCE_PATH if metric.startswith("governance_") else METRICS_PATH)
        families = self.families(name, f"{path}?name[]={metric}")
        series = [value for family in families.values() for value in family.values if value[0] == metric]
        return sum(value for _, own, value in series if labels.items() <= own.items())

    # -- doing -----------------------------------------------------------------------------------------------------------------

    def go_on(self) -> None:
        """Lift a halt, should there be one: on a machine that is very busy the watchdog may have missed the observer."""
        if self.get("api", "/v1/state").json["halted"]:
            until(lambda: self.post("watchdog", "/v1/lift", actor="chair", reason="go on").status == 201, lambda: "the halt stays", 60)

    def traffic(self, seconds: float, *, seed: int = 1) -> Traffic:
        """People for some seconds."""
        people = Traffic(self.urls["api"], self.urls["watchdog"], rate=100, seed=seed)
        people.run(duration=seconds)
        return people

    def proposes(self) -> Answer:
        return self.post("api", "/v1/proposals", actor="ada", title="Tea")

    @contextlib.contextmanager
    def watching(self, path: str) -> Iterator[dict[str, list[int]]]:
        """Ask every service for a page again and again while the block runs; all the statuses, by service."""
        seen: dict[str, list[int]] = {name: [] for name in SERVICES}
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.2):
                for name, statuses in seen.items():
                    statuses.append(self.get(name, path).status)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            stop.set()
            thread.join(30)


def quick(folder: Path, *, patience: float = 2, **settings: Any) -> Platform:
    """A platform in a hurry: everything that is repeated is repeated often."""
    options = ["--interval=0.25", "--health-interval=0.3", "--drain-delay=1.5", f"--patience={patience}", "--environment=test"]
    return Platform(folder, options=[*options, "--witness-within=1", "--answer-within=1"], **settings)
