"""Workers of the application in celery_app.py, on a real broker; what they show, and what their tasks wrote into the journal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.request import urlopen
from uuid import uuid4

from prometheus_client.parser import text_string_to_metric_families

from tests.servers.process import Process, free_port, until

ROOT = Path(__file__).parents[2]
MODULE = "tests.integrations.celery_app"


class Worker:
    """A worker and its clients; a context manager.

    Args:
        broker: The broker's address.
        folder: An empty folder.
        options: Of ``celery worker``: the pool and so on.
        queue: The only queue that it consumes, ``first`` or ``second``; both by default.
        prefix: That of the queues, where another worker has the same ones.
    """

    def __init__(self, broker: str, folder: Path, *options: str, queue: str | None = None, prefix: str | None = None) -> None:
        self.folder = folder
        self.prefix = prefix or f"t{uuid4().hex[:8]}"
        self._journal = folder / "journal"
        self._port = free_port()
        self.variables = {
            **os.environ,
            "BROKER": broker,
            "JOURNAL": str(self._journal),
            "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT / "src"), str(ROOT)])),
            "QUEUES": self.prefix,
        }
        if queue is not None:
            options += ("--queues", f"{self.prefix}.{queue}")
        quiet = ("--loglevel", "warning", "--without-gossip", "--without-mingle", "--hostname", f"{uuid4().hex[:8]}@measured")
        command = ["-m", "celery", "--app", MODULE, "worker", *quiet, *options]
        self.process = Process(
            [sys.executable, *command], folder, env={**self.variables, "MANAGEMENT": str(self._port)}, start_new_session=True
        )

    def __enter__(self) -> Self:
        until(self._is_up, lambda: f"the worker does not come up: {self.process.log[-3000:]}")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Tell it to end, and see to it that its children do."""
        self.process.stop()
        with suppress(ProcessLookupError):  # children that a worker has left behind which did not end in time
            os.killpg(self.process.pid, signal.SIGKILL)

    def send(self, code: str, timeout: float = 120) -> str:
        """Run code in a client, with ``app``, its tasks, and ``FIRST`` and ``SECOND``; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", f"from {MODULE} import *\n{code}"],
            env=self.variables,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def page(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """What the worker shows."""
        with urlopen(f"http://127.0.0.1:{self._port}/v1/metrics", timeout=20) as answer:
            text = answer.read().decode()
        return {
            (
                sample.name,
                frozenset((name, value) for name, value in sample.labels.items() if name not in ("service", "environment")),
            ): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def shown(self, name: str, *by: str) -> Counter[tuple[str, ...]]:
        """The samples of a name that are not zero, added up by some of their labels; tasks and queues without their prefixes."""
        added: Counter[tuple[str, ...]] = Counter()
        for (found, labels), value in self.page().items():
            if found == name and value:
                given = dict(labels)
                added[tuple(given[label].rpartition(".")[2] for label in by)] += int(value)
        return added

    def journal(self) -> Counter[tuple[str, ...]]:
        """How often which task, through which queue, said that it would end in which state."""
        lines = self._journal.read_text().splitlines() if self._journal.exists() else []
        return Counter(tuple(part.rpartition(".")[2] for part in line.split()) for line in lines)

    def ended(self) -> Counter[tuple[str, ...]]:
        """The same as it is counted."""
        return self.shown("celery_tasks_total", "task", "queue", "state")

    def _is_up(self) -> bool:
        with suppress(OSError):
            return bool(self.shown("celery_workers", "queue"))
        return False
