"""The service as a child process of the demo: started as anybody would start it, stopped by its process id when its block ends."""

from __future__ import annotations

import contextlib
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping

STOP_SECONDS = 5


class Ended(Exception):
    """The service has ended by itself; it has said why on standard error.

    Args:
        status: Its exit status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the service has ended with status {status}")
        self.status = status


class Service:
    """The running service."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        said = re.search(r"served at (\S+/) ", process.stdout.readline())  # its first line, or nothing if it has ended
        if said is None:
            raise Ended(process.wait())
        self.url = said[1]

    def wait(self, seconds: float) -> None:
        """Wait until the time is over. Raises ``Ended`` when the service is before it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise Ended(self._process.wait(seconds if math.isfinite(seconds) else None))


@contextlib.contextmanager
def serving(options: Mapping[str, object], environment: Mapping[str, str]) -> Iterator[Service]:
    """Run the service while the block lasts. Raises ``Ended`` when it cannot start.

    Args:
        options: Of its command line, by name.
        environment: What it finds there besides what we find.
    """
    command = [sys.executable, "-m", __package__, *(f"--{name}={value}" for name, value in options.items())]
    # A session of its own: the terminal's Ctrl-C reaches the demo alone, which then stops what it started.
    process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield Service(process)
    finally:
        process.terminate()
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with its workers
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
