"""Commands of the example as a person runs them: real processes, what they print, how they end; and what a scrape of them says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self, TypeVar
from urllib.request import ProxyHandler, Request, build_opener

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.servers.process import until

T = TypeVar("T")
ROOT = Path(__file__).parents[3]
direct = build_opener(ProxyHandler({}))  # loopback is never reached through a proxy

SOON = 60
"""Seconds within which a command has to end. It takes half a second on a machine at rest, and may take five; one that is as busy as can be
needed 23."""

PATIENCE = 120.0
"""Seconds within which a command has to come to what it is waited for, on a machine that is as busy as can be."""


class Command:
    """``python -m module ...`` from the root of the repository; ended at the end of the block if it is still there.

    Temporary files of the command go to ``folder / "temporary"``, so that a test sees what is left of them.
    """

    def __init__(self, module: str, *arguments: str, folder: Path, **environment: str) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir(exist_ok=True)
        name = f"{module}-{len(list(folder.iterdir()))}"
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._child = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                env=os.environ | self._private() | environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,  # so that its own children can be killed with it
            )

    def _private(self) -> dict[str, str]:
        state = {"TMPDIR": str(self.temporary), "MEASURAND_STATE_DIRECTORY": str(self.temporary.with_name("state"))}
        # Where the C core was not built the package says so; tests/core is about that.
        return state | {"PYTHONWARNINGS": "ignore::RuntimeWarning"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._child.terminate()
        try:
            self._child.wait(SOON)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it and its children now, without a word."""
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    @property
    def out(self) -> str:
        """What it has printed so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """What it has printed to standard error so far."""
        return self._err.read_text()

    def said(self, pattern: str, timeout: float = PATIENCE) -> str:
        """Wait until it has printed what matches; the first group, or all of it."""

        match = self.comes_to(lambda: re.search(pattern, self.out), f"saying {pattern!r}", timeout)
        assert match is not None
        return match[1] if match.re.groups else match[0]

    def comes_to(self, condition: Callable[[], T], what: str, timeout: float = PATIENCE) -> T:
        """Wait until a condition is true while the command runs, and return it; a command that ended before is an error."""

        def reached() -> T:
            ended = self._child.poll() is not None
            answer = condition()
            if ended and not answer:
                raise RuntimeError(f"ended with {self._child.returncode} before {what}:\n{self.out}\n{self.err}")
            return answer

        return until(reached, lambda: f"it has not come to {what}:\n{self.out}\n{self.err}", timeout)

    @property
    def url(self) -> str:
        """The address that it said first."""
        return self.said(r"(http://\S+/)")

    def interrupt(self, number: signal.Signals, *, as_a_terminal: bool = False) -> float:
        """Send a signal, to its children too as a terminal does, and wait for the end; returns the seconds that took."""
        begun = time.monotonic()
        if as_a_terminal:
            os.killpg(self._child.pid, number)
        else:
            self._child.send_signal(number)
        self.ended()
        return time.monotonic() - begun

    def ended(self, timeout: float = PATIENCE) -> int:
        """Wait for the end; the exit status."""
        return self._child.wait(timeout)


@contextmanager
def service(folder: Path, environment: Mapping[str, str], *options: str) -> Iterator[Command]:
    """The service in a process of its own; its database in ``folder / "served.db"``, gauges refreshed every 100 ms."""
    url = f"sqlite:///{folder / 'served.db'}"
    quick = ("--refresh-interval", "0.1", "--heartbeat", "0.2", "--drain-delay", "0.2")
    with Command("examples.inventory", "--port", "0", "--database-url", url, *quick, *options, folder=folder, **environment) as command:
        try:
            command.said(r"served at (\S+/) ")
            yield command
        finally:
            command.kill()


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def listening(application: Flask) -> Iterator[str]:
    """An application of this process behind a socket. Yields its URL."""
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(SOON)


class Busy(NamedTuple):
    """A service that has been under traffic."""

    service: Command
    traffic: Command
    status: int
    """With which the traffic ended."""
    database: Path


def fetch(url: str, **headers: str) -> tuple[str, str]:
    """Content type and text of a page."""
    with direct.open(Request(url, headers=headers), timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def samples(text: str) -> dict[str, float]:
    """The samples of an exposition, by name and labels as they stand in it."""
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))}


def complaints(promtool: Callable[..., subprocess.CompletedProcess[str]], text: str) -> set[str]:
    """What ``promtool check metrics`` says against an exposition; its status tells a matter of style (3) from a broken format (1)."""
    checked = promtool("check", "metrics", input=text)
    said = set((checked.stdout + checked.stderr).splitlines())
    assert checked.returncode == (3 if said else 0), said
    return said


# The requirements fix these two names; promtool would keep the suffix for histograms.
FIXED_NAMES = {
    f'{name} non-histogram and non-summary metrics should not have "_count" suffix' for name in ("kits_active_count", "kits_archived_count")
}


def scrape(url: str) -> dict[str, float]:
    """The samples that a service shows now."""
    return samples(fetch(f"{url}metrics")[1])
