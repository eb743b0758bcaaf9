"""The service under a real server, from its start to its exit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.drain.load import Client
from tests.servers.process import Missing, free_port, require
from tests.support import wait_until

__all__ = ["Running"]

ROOT = Path(__file__).parents[3]


class Running:
    """A server with the service, on a free loopback port; stopped at the end of the ``with`` block if it still runs.

    Args:
        command: The server's module and arguments; ``PORT`` stands for the port.
        folder: An empty folder for its log and its last numbers.
        drain_delay: Seconds.
        budget: Seconds.
    """

    def __init__(self, command: Sequence[str], folder: Path, *, drain_delay: float, budget: float) -> None:
        if find_spec(command[0]) is None:
            require(Missing(command[0], f"pip install {command[0]}"))
        self.port = free_port()
        self._folder = folder
        self._log = folder / "server.log"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "GUNICORN_CMD_ARGS": "--no-control-socket" if command[0] == "gunicorn" else "",
            "DRAIN_FOLDER": str(folder),
            "DRAIN_DELAY": str(drain_delay),
            "DRAIN_BUDGET": str(budget),
        }
        arguments = [argument.replace("PORT", str(self.port)) for argument in command]
        with self._log.open("wb") as output:
            self._child = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        self.until_ready()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait(30)

    @property
    def log(self) -> str:
        """What the server and the service have said so far."""
        return self._log.read_text(errors="replace")

    def until_ready(self, times: int = 10) -> None:
        """Wait until the service has said a few times in a row that it is ready, so that all workers have."""
        client = Client(self.port, keeps=False)

        def is_ready() -> bool:
            assert self._child.poll() is None, self.log
            return all(client.ask("/readyz").status == 200 for _ in range(times))

        wait_until(is_ready, 60, what=lambda: self.log, every=0.05)

    def terminate(self) -> float:
        """Send SIGTERM, and return when."""
        self._child.send_signal(signal.SIGTERM)
        return time.monotonic()

    def exit(self, timeout: float) -> tuple[int, float]:
        """Wait for the exit, and return its code and when it came."""
        try:
            return self._child.wait(timeout), time.monotonic()
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server still runs after {timeout:g} s:\n{self.log[-4000:]}") from None

    def last_numbers(self, name: str) -> float:
        """The sum of a series over the files of all processes."""
        total = 0.0
        for file in self._folder.glob("*.prom"):
            for family in text_string_to_metric_families(file.read_text()):
                total += sum(sample.value for sample in family.samples if sample.name == name)
        return total
