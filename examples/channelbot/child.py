"""The service as child processes, for the demo and the tests: started as anybody would start it, gone when the block ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from .settings import ALL

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 30


class Ended(Exception):
    """A process has ended by itself.

    Args:
        log: The end of what it said.
    """

    def __init__(self, log: str) -> None:
        super().__init__(f"it does not work; the end of its log:\n{log}")


class Child:
    """A running process.

    Attributes:
        process: The process.
        log: The file that it logs to.
    """

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log

    @cached_property
    def url(self) -> str:
        """Where its pages are, with a slash at the end; waits for them. Raises ``Ended`` when it cannot start."""
        assert self.process.stdout is not None
        said = re.search(r"http://\S+/", self.process.stdout.readline())  # its first line, or nothing if it has ended
        if said is None:
            self.process.wait()
            raise Ended(_end_of(self.log))
        return said[0]

    def check(self) -> None:
        """Raises ``Ended`` when it is not there any more."""
        if self.process.poll() is not None:
            raise Ended(_end_of(self.log))


@contextlib.contextmanager
def running(folder: Path, options: Mapping[str, object], environment: Mapping[str, str], role: str = ALL) -> Iterator[Child]:
    """Run a process while the block lasts; at its end it is told to stop, and given time to.

    Args:
        folder: For its log.
        options: Of its command line, by name.
        environment: What it finds there besides what we find.
        role: What it does; see ``settings``.
    """
    log = folder / f"{role}.log"
    command = [sys.executable, "-m", "examples.channelbot", role, *(f"--{name}={value}" for name, value in options.items())]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "--until-stdin-ends"],  # it ends with this process, however that ends
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            start_new_session=True,  # the terminal's Ctrl-C reaches the demo alone, which then stops what it started
        )
    try:
        yield Child(process, log)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with its own children, if there are any left
        process.communicate()


def _end_of(log: Path) -> str:
    return "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-20:])
