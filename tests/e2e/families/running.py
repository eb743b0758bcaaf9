"""A server with several workers, its processes, and what they leave where they meet."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from tests.servers.process import Missing, Process, free_port, require, until

__all__ = ["Fleet", "Scrape"]

ROOT = Path(__file__).parents[3]


class Scrape:
    """What a metrics page says of the service in ``counting``."""

    def __init__(self, page: str) -> None:
        self.page = page
        self._samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the series with this name and these labels."""
        return sum(sample.value for sample in self._samples if sample.name == name and labels.items() <= sample.labels.items())

    @property
    def hits(self) -> float:
        return self.total("hits_total")

    @property
    def numbers(self) -> tuple[float, float, float]:
        """The counter, the histogram's count, and the gauge of what is going on."""
        return self.hits, self.total("hit_seconds_count"), self.total("busy")


class Fleet:
    """A server, started and answering from all its workers; stopped with all its processes when the ``with`` block ends.

    Args:
        command: The module to run, or the script, and its arguments; ``PORT`` stands for the port.
        folder: Where it runs, and keeps its journal.
        workers: How many processes answer; 0 if there is only the page.
        page: Where the metrics are.
        port: Where it listens, where it matters.
        **environment: Further variables for it.
    """

    def __init__(
        self, command: Iterable[str], folder: Path, *, workers: int = 4, page: str = "/metrics", port: int | None = None, **environment: str
    ) -> None:
        module, *arguments = command
        name = Path(module).name.partition(".")[0]
        if find_spec(name) is None:
            require(Missing(name, f"pip install {name}"))
        self.port, self.folder, self.page = port or free_port(), folder, page
        self.journal = folder / "journal"
        variables = {name: value for name, value in os.environ.items() if not name.startswith("MEASURAND_FAMILY")}
        variables |= {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "PORT": str(self.port), **environment}
        if name == "gunicorn":
            variables["GUNICORN_CMD_ARGS"] = "--no-control-socket"
        arguments = [argument.replace("PORT", str(self.port)) for argument in arguments]
        started = [module] if os.sep in module else ["-m", module]
        self.process = Process([sys.executable, *started, *arguments], folder, env=variables, start_new_session=True)
        self.master = self.process.pid
        self.places: set[Path] = set()
        try:
            if workers:
                self.until_all_answer(workers)
            else:
                until(lambda: self.try_to_ask(page), lambda: f"no answer:\n{self.process.log[-3000:]}", 60)
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- asking ------------------------------------------------------------------------------------------------------------

    def ask(self, path: str, timeout: float = 30.0) -> str:
        """The answer, over a connection of its own, so that any worker may be the one."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read().decode()
            assert response.status == 200, f"{response.status} {body[:1000]}\n{self.process.log[-3000:]}"
            return body

    def try_to_ask(self, path: str, timeout: float = 30.0) -> str | None:
        """The same, or ``None`` if there was no answer: the worker was killed, or none listens yet."""
        try:
            return self.ask(path, timeout)
        except (OSError, HTTPException):
            return None

    def hit(self, times: int, clients: int = 4) -> Counter[str]:
        """Count so many times, in several clients at once; how many each worker counted."""
        with ThreadPoolExecutor(clients) as pool:
            return Counter(pool.map(lambda _: self.ask("/hit"), range(times)))

    def scrape(self, page: str | None = None) -> Scrape:
        return Scrape(self.ask(page or self.page))

    def workers(self) -> set[str]:
        """Who answers just now."""
        found: set[str] = set()
        for _ in range(40):
            found |= {worker for worker in (self.try_to_ask("/who", 5),) if worker}
        return found

    def until_all_answer(self, workers: int = 4) -> None:
        """Wait until there are as many workers as there should be."""
        until(lambda: len(self.workers()) == workers, lambda: f"{self.workers()} answer:\n{self.process.log[-3000:]}", 60)

    @property
    def journalled(self) -> int:
        """How many hits were counted by the service's own account."""
        return self.journal.stat().st_size if self.journal.exists() else 0

    # -- processes and places ----------------------------------------------------------------------------------------------

    def pids(self) -> list[int]:
        """All processes of the server."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                state, *numbers = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(numbers[2]) == self.process.pid and state != "Z":
                    found.append(int(folder.name))
        return found

    def note_places(self) -> set[Path]:
        """Where its processes meet, as their memory shows."""
        for pid in self.pids():
            with suppress(OSError):
                maps = Path(f"/proc/{pid}/maps").read_text()
                self.places |= {Path(line.split()[5]).parent for line in maps.splitlines() if "/lane-" in line and "(deleted)" not in line}
        return self.places

    def lanes(self) -> list[Path]:
        """All lanes of all places."""
        return [lane for place in self.note_places() for lane in place.glob("lane-*")]

    def left(self) -> list[Path]:
        """What is left of the places where its processes met."""
        return [place for place in self.places if place.exists()]

    def stop(self, sign: int = signal.SIGTERM, timeout: float = 30.0) -> None:
        """End it as its user would, and wait for all its processes."""
        self.note_places()
        with suppress(ProcessLookupError):
            os.kill(self.master, sign)
        try:
            self._gone(timeout)
        finally:
            self.kill()

    def kill(self) -> None:
        """End all its processes at once."""
        self.note_places()
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._gone(30.0)
        self.process.stop()

    def _gone(self, timeout: float) -> None:
        until(lambda: not self.pids(), lambda: f"{self.pids()} are there:\n{self.process.log[-3000:]}", timeout)
