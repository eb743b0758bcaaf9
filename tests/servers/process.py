"""What every real server needs: to be found, started, awaited and stopped."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import pytest

from tests.support import wait_until

__all__ = ["CACHE", "Missing", "Process", "environment_of", "free_port", "on_path", "require", "until"]

CACHE = Path(__file__).parents[2] / ".cache"
"""Where .ci/servers unpacks what the system does not have."""

T = TypeVar("T")


class Missing(NamedTuple):
    """A program that this machine does not have, and how to get it."""

    program: str
    remedy: str


def require(found: Path | Missing) -> str:
    """The program's path; where it is missing the test is skipped, or fails with ``MEASURAND_REQUIRE_SERVERS=1``."""
    if isinstance(found, Path):
        return str(found)
    reason = f"{found.program} is not there; run: {found.remedy}"
    if os.environ.get("MEASURAND_REQUIRE_SERVERS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def until(condition: Callable[[], T], what: Callable[[], str], timeout: float = 60.0) -> T:
    """Ask a server until ``condition`` is true, and return its answer; ``what`` says, when it is too late, what there was instead."""
    return cast(T, wait_until(condition, timeout, what=what, every=0.05))


def environment_of(program: Path) -> dict[str, str]:
    """The environment to run a program in: one that was only unpacked finds the shared libraries that came with it."""
    environment = dict(os.environ)
    root = next((folder.parent for folder in program.parents if folder.name == "usr"), Path("/"))
    found = [] if root == Path("/") else [*root.glob("usr/lib/*-linux-gnu*"), *root.glob("lib/*-linux-gnu*")]
    return environment | {"LD_LIBRARY_PATH": os.pathsep.join(map(str, found))} if found else environment


def on_path(*programs: Path | Missing) -> dict[str, str]:
    """The variables with which a command finds these programs on its path, wherever they are; those that are missing are left out."""
    found = [program for program in programs if isinstance(program, Path)]
    path = os.pathsep.join([*(str(program.parent) for program in found), os.environ.get("PATH", os.defpath)])
    libraries = list(filter(None, (environment_of(program).get("LD_LIBRARY_PATH") for program in found)))
    return {"PATH": path} | ({"LD_LIBRARY_PATH": os.pathsep.join(dict.fromkeys(libraries))} if libraries else {})


def free_port() -> int:
    """A loopback port that nobody listens on, for servers that cannot choose one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A server that logs to a file in its own folder, and is stopped by its process id when the ``with`` block ends.

    Args:
        command: What to run.
        folder: Its working directory, and where its log is.
        settings: More for ``subprocess.Popen``, such as ``user`` or ``env``.
    """

    def __init__(self, command: Sequence[str], folder: Path, **settings: Any) -> None:
        self.log_file = folder / "server.log"
        with self.log_file.open("wb") as output:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
            self._child = subprocess.Popen(command, cwd=folder, **streams, **settings)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def log(self) -> str:
        """What the server has said so far."""
        return self.log_file.read_text(errors="replace")

    def said(self, pattern: str, timeout: float = 60.0) -> re.Match[str]:
        """Wait for a line of the log and return what matched; a server that ends first is an error that shows its last words."""

        def heard() -> re.Match[str] | None:
            ended = self._child.poll() is not None
            match = re.search(pattern, self.log)
            if ended and not match:
                raise RuntimeError(f"the server ended with exit code {self._child.returncode}:\n{self.log[-2000:]}")
            return match

        match = until(heard, lambda: f"no {pattern!r} in the log:\n{self.log[-2000:]}", timeout)
        assert match is not None
        return match

    def stop(self) -> None:
        """End the process, politely at first."""
        self._child.terminate()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(10)
