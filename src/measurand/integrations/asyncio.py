"""Event loops: a timer in each one that runs, which observes how late it is called.

The lag is what anything else that becomes due at that moment meets with. A timer is set again when it was called, after the interval with
up to a quarter more or less, at random, so that it does not keep in step with what the program does at intervals. It ends when its loop
stops, and begins anew when the loop runs again. The tasks are counted at a scrape, and not in the loop: with many of them that takes
milliseconds.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import threading
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, ref

from measurand.catalog.loop import LoopMetrics
from measurand.clock import system_monotonic
from measurand.errors import ConfigurationError
from measurand.integrations.handle import Handle, Installations
from measurand.integrations.imports import when_imported
from measurand.lifecycle.background import renew_after_fork
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["INTERVAL", "instrument"]

LOG = logging.getLogger("measurand.integrations")

INTERVAL = 0.5
"""Seconds between two looks at a loop."""

SPREAD = 0.25
"""By which part of the interval a look may come earlier or later."""

Loop = asyncio.AbstractEventLoop


_choices: WeakKeyDictionary[Any, WeakSet[_Choice]] = WeakKeyDictionary()
"""Whose tasks a gauge shows: sets of one registry share it."""


class _Choice:
    """What is recorded of a loop, or of every loop: where to, and how often. Counts the tasks of those that run."""

    def __init__(self, metrics: LoopMetrics, interval: float) -> None:
        self.metrics = metrics
        self.interval = interval
        self.is_on = True
        self.replaced: Callable[[], Any] | None = None
        self.probes: dict[int, _Probe] = {}
        choices = _choices.setdefault(metrics.tasks, WeakSet())
        choices.add(self)
        metrics.tasks.set_function(lambda: sum(choice.tasks() for choice in list(choices)))

    def tasks(self) -> int:
        loops = [loop for probe in list(self.probes.values()) if (loop := probe.loop()) is not None]
        return sum(len(asyncio.all_tasks(loop)) for loop in loops)


class _Probe:
    """The timer in one loop. Its methods are called in the loop's thread, or while the loop does not run."""

    def __init__(self, loop: Loop, choice: _Choice) -> None:
        self.loop = ref(loop)
        self.choice = choice
        self._observe = choice.metrics.observe
        self._context = contextvars.Context()  # that of the program would be kept alive
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def begin(self) -> None:
        """Set the timer, also where an earlier one was left behind by a loop that stopped."""
        self.end()
        if self.choice.is_on:
            self.choice.probes[id(self)] = self
            self._set()

    def end(self) -> None:
        """Take it out."""
        self.choice.probes.pop(id(self), None)
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _set(self) -> None:
        loop = self.loop()
        if loop is not None:
            delay = self.choice.interval * (1 + random.uniform(-SPREAD, SPREAD))
            self._due = system_monotonic() + delay
            self._timer = loop.call_later(delay, self._look, context=self._context)

    def _look(self) -> None:
        if self.choice.is_on:
            late = system_monotonic() - self._due
            self._observe(late if late > 0.0 else 0.0)
            self._set()
        else:
            self.end()


class _Loops:
    """Which loops are looked at; and what is replaced for that: ``run_forever``, which all ways to run a loop come through."""

    def __init__(self) -> None:
        self._targets: WeakKeyDictionary[Loop, _Choice] = WeakKeyDictionary()
        self._everything: _Choice | None = None
        self._probes: WeakKeyDictionary[Loop, _Probe] = WeakKeyDictionary()
        self._replaced: dict[type, tuple[Any, Any]] = {}
        self._waits = False
        self._guard = threading.RLock()

    def renew(self) -> None:
        """In a new child process: have a lock that nobody holds, and know that no loop runs but those that are run here."""
        self._guard = threading.RLock()
        self._probes = WeakKeyDictionary()
        for choice in filter(None, [self._everything, *self._targets.values()]):
            choice.probes.clear()

    def add(self, loop: Loop | None, choice: _Choice) -> None:
        renew_after_fork(self)
        with self._guard:
            if loop is not None:
                self._targets[loop] = choice
                choice.replaced = _replace_here(loop, self._around)
            else:
                self._everything = choice
                self._replace(asyncio.BaseEventLoop)
                if not self._waits:
                    self._waits = True
                    when_imported("uvloop", self._uvloop)
        if loop is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return
        self._look_again(loop)

    def drop(self, loop: Loop | None, choice: _Choice) -> None:
        choice.is_on = False
        with self._guard:
            if loop is not None and self._targets.get(loop) is choice:
                del self._targets[loop]
                if choice.replaced is not None and vars(loop).get("run_forever") is choice.replaced:
                    del vars(loop)["run_forever"]
            elif self._everything is choice:
                self._everything = None
                self._put_back()
        for probe in list(choice.probes.values()):
            choice.probes.pop(id(probe), None)
            self._look_again(probe.loop())

    def _look_again(self, loop: Loop | None) -> None:
        """Have a loop that runs see what is chosen now."""
        if loop is not None and loop.is_running():
            try:
                loop.call_soon_threadsafe(self._join, loop)
            except RuntimeError as reason:  # closed just now
                LOG.debug("%s", reason)

    def _choice(self, loop: Loop) -> _Choice | None:
        return self._targets.get(loop) or self._everything

    def _join(self, loop: Loop) -> _Probe | None:
        """Have a loop that is about to run, or runs, looked at as is chosen now."""
        choice, probe = self._choice(loop), self._probes.pop(loop, None)
        if probe is not None:
            probe.end()
        if choice is None:
            return None
        probe = self._probes[loop] = _Probe(loop, choice)
        probe.begin()
        return probe

    def _leave(self, loop: Loop) -> None:
        probe = self._probes.pop(loop, None)
        if probe is not None:
            probe.end()

    def _uvloop(self, module: ModuleType) -> None:
        with self._guard:
            self._waits = False
            if self._everything is not None:
                self._replace(module.Loop)

    def _replace(self, cls: Any) -> None:
        if cls not in self._replaced:
            own, ours = vars(cls).get("run_forever"), self._around(cls.run_forever)
            cls.run_forever = ours
            self._replaced[cls] = own, ours

    def _put_back(self) -> None:
        for cls, (own, ours) in list(self._replaced.items()):
            if vars(cls).get("run_forever") is not ours:
                continue  # somebody has replaced it since, and calls ours, which from now on only passes on
            del self._replaced[cls]
            if own is None:
                del cls.run_forever  # type: ignore[attr-defined]
            else:
                cls.run_forever = own  # type: ignore[attr-defined]

    def _around(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        @wraps(original)
        def run_forever(loop: Any) -> Any:
            can_run = not loop.is_running() and not loop.is_closed()
            if can_run:
                self._guarded(self._join, loop)
            try:
                return original(loop)
            finally:
                if can_run:
                    self._guarded(self._leave, loop)

        return run_forever

    def _guarded(self, function: Callable[[Loop], object], loop: Loop) -> None:
        try:
            function(loop)
        except Exception:
            LOG.warning("the lag of %r is not recorded", loop, exc_info=True)


def _replace_here(loop: Loop, around: Callable[[Callable[[Any], Any]], Callable[[Any], Any]]) -> Callable[[], Any] | None:
    """Replace the method of one loop, which goes with it. A loop that cannot have attributes is looked at in the run that is under way."""
    if not hasattr(loop, "__dict__"):
        return None
    cls, kept = type(loop), ref(loop)
    replaced = around(lambda loop: cls.run_forever(loop))  # noqa: PLW0108 - as it is then
    ours = vars(loop)["run_forever"] = lambda: replaced(kept())
    return ours


class _Everything:
    """All loops of this process."""


_everything = _Everything()
_installations = Installations()
_loops = _Loops()


def instrument(
    target: Loop | None = None,
    *,
    metrics: LoopMetrics | None = None,
    registry: CollectorRegistry = REGISTRY,
    interval: float = INTERVAL,
) -> Handle:
    """Record the lag and the tasks of event loops. Safe from any thread.

    Args:
        target: A loop, whether it runs or not. By default every loop: the one that runs in this thread, and all that are run later, those
            of uvloop included.
        metrics: The set to record to.
        registry: Where the metrics are exposed, if no set is given.
        interval: Seconds between two looks at a loop.

    Raises:
        ConfigurationError: The interval is not positive.
    """

    def make() -> Handle:
        if not isinstance(interval, int | float) or not 0 < interval < float("inf"):
            raise ConfigurationError(f"interval must be a number of seconds above 0, not {interval!r}")
        choice = _Choice(metrics or LoopMetrics(registry), interval)
        _loops.add(target, choice)
        what = "every event loop" if target is None else type(target).__name__
        undo = lambda loop: _loops.drop(None if loop is _everything else loop, choice)  # noqa: E731
        return Handle(f"asyncio, {what}", choice.metrics, target or _everything, undo)

    return _installations.once(target or _everything, metrics, make)
