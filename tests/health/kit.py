"""What the suites of this layer share: checks that do as they are told, and a monitor whose time the test moves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from measurand import CollectorRegistry
from measurand.health.monitor import HealthMonitor
from measurand.health.report import CheckResult
from tests.support import StillClock, wait_until

INTERVAL = 5.0


class Switch:
    """A check that passes, fails or hangs as it is told; sync.

    Attributes:
        outcome: What a run returns, or raises if it is an exception.
        threads: The thread of each run so far.
    """

    def __init__(self, name: str, outcome: Any = None) -> None:
        self.name = name
        self.outcome = outcome
        self.threads: list[int] = []
        self._open = threading.Event()
        self._open.set()

    @property
    def runs(self) -> int:
        return len(self.threads)

    def hang(self) -> None:
        """Let runs hang until :meth:`release`."""
        self._open.clear()

    def release(self) -> None:
        """Let those that hang go on."""
        self._open.set()

    def run(self) -> Any:
        self.threads.append(threading.get_ident())
        assert self._open.wait(60), "nobody released this check"
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


class AsyncSwitch:
    """The same as a coroutine; it also notes in which loop it ran, and how often it was cancelled."""

    def __init__(self, name: str, outcome: Any = None) -> None:
        self.name = name
        self.outcome = outcome
        self.hangs = False
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.cancelled = 0

    @property
    def runs(self) -> int:
        return len(self.loops)

    async def run(self) -> Any:
        self.loops.append(asyncio.get_running_loop())
        try:
            if self.hangs:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


class Bench:
    """A monitor without a background thread: the test says when it acts, and what time it is."""

    def __init__(self, still_clock: StillClock, **settings: Any) -> None:
        self.clock = still_clock
        self.registry = CollectorRegistry()
        self.monitor = HealthMonitor(**{"interval": INTERVAL, "registry": self.registry, **settings})

    def result(self, name: str) -> CheckResult:
        return self.monitor.results()[name]

    def settle(self, name: str) -> CheckResult:
        """Start what is due, and wait until this check has a result of this moment."""
        self.monitor.tick()
        wait_until(lambda: self.result(name).date == self.clock.date, what=lambda: f"{name} is still {self.result(name)}")
        return self.result(name)

    def next(self, name: str, interval: float = INTERVAL) -> CheckResult:
        """Let an interval pass, and wait for this check's result."""
        self.clock.advance(interval)
        return self.settle(name)

    def begin(self, check: Switch | AsyncSwitch) -> None:
        """Start what is due, and wait until this check runs."""
        before = check.runs
        self.monitor.tick()
        wait_until(lambda: check.runs > before)

    def failures(self, name: str, reason: str) -> float:
        return self.registry.get_sample_value("health_check_failures_total", {"check": name, "reason": reason}) or 0.0

    def status(self, name: str) -> float | None:
        return self.registry.get_sample_value("health_check_status", {"check": name})


@contextmanager
def loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """An application's event loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="application-loop", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        call_in(loop, lambda: [task.cancel() for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()])
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


def call_in(loop: asyncio.AbstractEventLoop, function: Callable[[], Any]) -> Any:
    """Call a function in a loop's thread and return what it returns."""

    async def call() -> Any:
        return function()

    return asyncio.run_coroutine_threadsafe(call(), loop).result(30)


@contextmanager
def no_thread_left() -> Iterator[None]:
    """No thread can be started: each would need more memory than there is addresses for."""
    before = threading.stack_size(1 << 47)
    try:
        yield
    finally:
        threading.stack_size(before)


class Threads:
    """The threads of this layer that have been started since this was made."""

    def __init__(self) -> None:
        self._before = set(threading.enumerate())

    @property
    def names(self) -> list[str]:
        """The names of those that run now."""
        return sorted(thread.name for thread in set(threading.enumerate()) - self._before if thread.name.startswith("measurand-health"))


class Running:
    """A monitor that evaluates in the background, as in an application, only more often."""

    def __init__(self, monitor: HealthMonitor, registry: CollectorRegistry) -> None:
        self.monitor = monitor
        self.registry = registry
        monitor.start()

    def result(self, name: str) -> CheckResult:
        return self.monitor.results()[name]

    def wait_for(self, name: str, *reasons: str | None) -> CheckResult:
        """Wait until the check fails for one of these reasons; ``None`` is: until it passes."""
        wait_until(
            lambda: self.result(name).reason in reasons and self.result(name).healthy == (self.result(name).reason is None),
            what=lambda: f"{name} is still {self.result(name)}",
        )
        return self.result(name)
