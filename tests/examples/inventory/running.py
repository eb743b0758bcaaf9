"""Commands of the example as a person runs them: real processes, what they print, how they end; and what a scrape of them says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar
from urllib.request import ProxyHandler, Request, build_opener

from tests.servers.process import until

T = TypeVar("T")
ROOT = Path(__file__).parents[3]
_direct = build_opener(ProxyHandler({}))  # loopback is never reached through a proxy


SOON = 20
"""Seconds within which a command has to end. It takes half a second on a machine at rest, and may take five; a busy one holds up
every step."""


class Command:
    """``python -m module ...`` from the root of the repository; killed at the end of the block if it is still there.

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
        """What it has printed so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """What it has printed to standard error so far."""
        return self._err.read_text()

    def said(self, pattern: str, timeout: float = 30) -> str:
        """Wait until it has printed what matches; the first group, or all of it."""

        match = self.comes_to(lambda: re.search(pattern, self.out), f"saying {pattern!r}", timeout)
        assert match is not None
        return match[1] if match.re.groups else match[0]

    def comes_to(self, condition: Callable[[], T], what: str, timeout: float = 30) -> T:
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

    def interrupt(self, number: signal.Signals) -> float:
        """Send a signal and wait for the end; returns the seconds that took."""
        begun = time.monotonic()
        self._child.send_signal(number)
        self.ended(30)
        return time.monotonic() - begun

    def ended(self, timeout: float = 60) -> int:
        """Wait for the end; the exit status."""
        return self._child.wait(timeout)


def fetch(url: str, **headers: str) -> tuple[str, str]:
    """Content type and text of a page."""
    with _direct.open(Request(url, headers=headers), timeout=10) as answer:
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
