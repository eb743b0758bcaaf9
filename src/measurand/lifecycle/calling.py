"""Calling functions of an application, plain or asynchronous, each inside its session.

A plain function runs in the calling thread. A coroutine runs in the application's event loop if one is attached and runs, else in a loop
of our own, while the calling thread waits for it. ``within`` makes a context manager around each call, plain or asynchronous, whose value
the function is given: the application's own way to open, commit or roll back, and release.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Awaitable, Callable
from inspect import isawaitable, iscoroutine, iscoroutinefunction
from typing import TYPE_CHECKING, Any

from measurand import clock
from measurand.errors import ConfigurationError
from measurand.lifecycle.background import BackgroundThread, renew_after_fork

if TYPE_CHECKING:
    import asyncio

__all__ = ["Call", "Loops", "is_asynchronous"]

LOOK_AGAIN = 1.0
"""Seconds between two looks at a loop that may have been closed under a coroutine."""


class Loops:
    """Where coroutines run.

    Args:
        name: Of the thread of our own loop.
    """

    def __init__(self, name: str) -> None:
        self._attached: tuple[int, asyncio.AbstractEventLoop] | None = None
        self._is_settled = threading.Event()  # nobody waits for an attachment, or no longer
        self._is_settled.set()
        self._patience_ends = 0.0
        self._own: asyncio.AbstractEventLoop | None = None
        self._is_there = threading.Event()
        self._thread = BackgroundThread(name, self._run)
        renew_after_fork(self)

    def expect(self, seconds: float) -> None:
        """Expect :meth:`attach` within ``seconds`` from now, and use no loop of our own before.

        What a coroutine opens, such as the connections of a pool, belongs to the loop in which it ran first.
        """
        if seconds > 0:
            self._patience_ends = clock.system_monotonic() + seconds
            self._is_settled.clear()

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Use the application's loop from now on, as long as it runs, in this process; ``None``: it has none."""
        if loop is not None:
            self._attached = os.getpid(), loop
        self._is_settled.set()

    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop to use now; waits for one that is expected."""
        self._is_settled.wait(max(self._patience_ends - clock.system_monotonic(), 0.0))
        if self._attached is not None:
            process, loop = self._attached
            if process == os.getpid() and loop.is_running():
                return loop
        self._thread.start()
        self._is_there.wait(LOOK_AGAIN)
        own = self._own
        if own is None:
            raise RuntimeError("no event loop could be started")
        return own

    def stop(self, timeout: float) -> bool:
        """Stop the loop of our own, if there is one, and return whether it has ended within ``timeout`` seconds."""
        self._is_settled.set()
        self._thread.tell_to_stop()  # before the look at the loop: one that is only being made sees it
        own = self._own
        if own is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                own.call_soon_threadsafe(own.stop)
        return self._thread.stop(timeout)

    def renew(self) -> None:
        """In a new child process: its loop does not run here."""
        self._own, self._is_there = None, threading.Event()
        was_settled, self._is_settled = self._is_settled.is_set(), threading.Event()
        if was_settled:
            self._is_settled.set()

    def _run(self, stop: threading.Event) -> None:
        import asyncio  # noqa: PLC0415 - for programs that have coroutines

        with asyncio.Runner() as runner:
            self._own = runner.get_loop()
            self._is_there.set()
            try:
                if not stop.is_set():
                    self._own.run_forever()
            finally:
                self._is_there.clear()
                self._own = None


class Call:
    """One call of a function; :meth:`run` it once."""

    def __init__(self, function: Callable[..., Any], within: Callable[[], Any] | None = None) -> None:
        self._function = function
        self._within = within
        self._coroutine: _InLoop | None = None
        self._is_cancelled = False

    def run(self, loops: Loops) -> None:
        """Call the function and wait until it is done; what it raises passes through."""
        if is_asynchronous(self._function):
            self._wait_for(self._asynchronously(), loops)
            return
        if self._within is None:
            result = self._function()
            if isawaitable(result):
                self._wait_for(result, loops)
            return
        manager = self._within()
        if not hasattr(type(manager), "__enter__"):
            raise ConfigurationError(f"the context manager {manager!r} is asynchronous, so the function has to be a coroutine function")
        with manager as value:
            result = self._function(value)
            if isawaitable(result):
                self._wait_for(result, loops)

    def cancel(self) -> None:
        """Cancel the coroutine, if it is one; a plain function cannot be interrupted. From any thread."""
        self._is_cancelled = True
        if self._coroutine is not None:
            self._coroutine.cancel()

    def _wait_for(self, awaitable: Awaitable[Any], loops: Loops) -> None:
        try:
            self._coroutine = _InLoop(awaitable, loops.loop())
        except RuntimeError:  # there is no loop, or not any longer
            if iscoroutine(awaitable):
                awaitable.close()
            raise
        if self._is_cancelled:
            self._coroutine.cancel()
        self._coroutine.wait()

    async def _asynchronously(self) -> None:
        if self._within is None:
            await self._function()
            return
        manager = self._within()
        if hasattr(type(manager), "__aenter__"):
            async with manager as value:
                await self._function(value)
        else:
            with manager as value:
                await self._function(value)


class _InLoop:
    """A coroutine in a loop of another thread.

    ``asyncio.run_coroutine_threadsafe()`` reports a cancelled coroutine as done although it may go on for a long time. Here it is done when
    it has ended, so that nothing is started again on top of what hangs.
    """

    def __init__(self, awaitable: Awaitable[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._awaitable = awaitable
        self._loop = loop
        self._task: asyncio.Task[Any] | None = None
        self._is_done = threading.Event()
        loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        # A task that is cancelled before its first step ends its coroutine, but not one inside that.
        self._task = self._loop.create_task(self._awaitable if iscoroutine(self._awaitable) else _await(self._awaitable))
        self._task.add_done_callback(lambda _: self._is_done.set())

    def wait(self) -> Any:
        """Wait for the end, and return or raise what comes of it."""
        while not self._is_done.wait(LOOK_AGAIN):
            if not self._loop.is_running() and not self._is_done.is_set():
                if self._task is None and iscoroutine(self._awaitable):
                    self._awaitable.close()
                raise RuntimeError("the event loop was stopped before the coroutine had ended")
        assert self._task is not None
        return self._task.result()

    def cancel(self) -> None:
        """Ask the coroutine to end."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the coroutine with it
            self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def is_asynchronous(function: Callable[..., Any]) -> bool:
    """Whether a call of the function gives a coroutine, as far as that can be known beforehand."""
    return iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
