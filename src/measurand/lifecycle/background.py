"""Threads that live as long as the process, and survive a fork.

A fork copies one thread only: whatever else ran in the parent does not run in the child, and a lock that another thread held at that
moment stays locked there for ever. :class:`BackgroundThread` runs again in the child; :func:`renew_after_fork` lets an object replace its
locks before that. One hook is registered with the interpreter, when the first of them is needed; objects are held weakly.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from typing import Protocol
from weakref import WeakSet

from measurand.metrics import shared

__all__ = ["BackgroundThread", "Renewable", "renew_after_fork"]

log = logging.getLogger("measurand")

PAUSE = 1.0
"""Seconds before a function that failed is run again; doubled at each failure in a row."""

LONGEST_PAUSE = 60.0
"""Seconds that this pause grows to."""


class Renewable(Protocol):
    """What :func:`renew_after_fork` takes."""

    def renew(self) -> None:
        """Replace locks, and forget threads: called in a new child process while it has one thread."""
        ...


class BackgroundThread:
    """A daemon thread that runs ``run(stop)`` until it is told to stop.

    ``run`` gets an event and returns soon after that is set. A ``run`` that raises is logged and run again after a pause; one that returns
    by itself has ended. In a child process it runs again, with a new event, if it was running in the parent. Safe from any thread.

    Args:
        name: The thread's name.
        run: What to run.
    """

    def __init__(self, name: str, run: Callable[[threading.Event], None]) -> None:
        self._name = name
        self._run = run
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_to_resume = False

    def start(self) -> None:
        """Run, unless it runs already. Where the system has no thread left this is logged and does nothing."""
        with self._lock:
            if self.is_alive and not self._stop.is_set():
                return
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._keep_running, args=(self._stop,), name=self._name, daemon=True)
            _forks.threads.add(self)
            _forks.watch()
            try:
                self._thread.start()
            except RuntimeError as reason:
                self._thread = None
                log.warning("the thread %s could not be started: %s", self._name, reason)

    def tell_to_stop(self) -> None:
        """Tell it to stop, and do not wait for that."""
        with self._lock:
            self._stop.set()

    def stop(self, timeout: float) -> bool:
        """Tell it to stop, and wait for its end.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether it has ended; ``False`` if called by the thread itself.
        """
        self.tell_to_stop()
        thread = self._thread
        if thread is None:
            return True
        if thread is threading.current_thread():
            return False
        thread.join(max(timeout, 0.0))
        return not thread.is_alive()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs, be it that it has been told to stop and has not done so yet."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def renew(self) -> None:
        """In a new child process: know that it does not run here, and whether it has to."""
        self._lock = threading.Lock()
        thread, self._thread = self._thread, None
        if thread is threading.current_thread():  # it is the one that forked, and goes on here
            self._thread = thread
        self._is_to_resume = self._thread is None and thread is not None and not self._stop.is_set()

    def resume(self) -> None:
        """In a new child process, once every thread has been renewed: run again if it ran in the parent."""
        if self._is_to_resume:
            self._is_to_resume = False
            self.start()

    def _keep_running(self, stop: threading.Event) -> None:
        pause = PAUSE
        while not stop.is_set():
            try:
                self._run(stop)
            except BaseException:  # a thread that ends unnoticed would be worse
                log.warning("the thread %s failed; it goes on in %g s", self._name, pause, exc_info=True)
                stop.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                break
        stop.set()  # not running any more, for a child process too

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"


def renew_after_fork(renewable: Renewable) -> None:
    """Call ``renewable.renew()`` in every child process, before any background thread runs there; held weakly."""
    _forks.renewable.add(renewable)
    _forks.watch()


class _Forks:
    """What has to be told of a fork."""

    def __init__(self) -> None:
        self.renewable: WeakSet[Renewable] = WeakSet()
        self.threads: WeakSet[BackgroundThread] = WeakSet()
        self._is_registered = False

    def watch(self) -> None:
        if not self._is_registered and hasattr(os, "register_at_fork"):
            self._is_registered = True
            shared.begin()  # its hook is to be the earlier one: no thread may run in a child whose numbers are not yet its own
            os.register_at_fork(after_in_child=self._in_child)

    def _in_child(self) -> None:
        threads = list(self.threads)
        _tell(one.renew for one in self.renewable)
        _tell(one.renew for one in threads)
        _tell(one.resume for one in threads)  # only now: a thread that runs again may start another


def _tell(calls: Iterable[Callable[[], None]]) -> None:
    for call in list(calls):
        try:
            call()
        except Exception:
            log.warning("%r could not be set up in the new process %d", call, os.getpid(), exc_info=True)


_forks = _Forks()
