"""The event loop that async checks run in: the application's, or one of our own.

What an async check uses, a connection pool for example, belongs to the loop that it was first used in. So checks run in the application's
loop and nowhere else, once there is one: when it has been closed they wait for the next. Only where there is none do they run in a private
loop, in one daemon thread.

The application's loop is also asked for a sign of life regularly. A loop that runs and does not answer is stuck in somebody's code.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

from measurand import clock

__all__ = ["Loops", "PrivateLoop"]

_inherited: list[asyncio.AbstractEventLoop] = []
"""Loops of the parent process: never closed here, as their selectors are shared with it, and so never collected either."""


class PrivateLoop:
    """An event loop in a daemon thread of its own, which starts with it.

    Raises:
        RuntimeError: The system has no thread left.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="measurand-health-loop", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self.loop.close()
            raise

    def stop(self, timeout: float) -> bool:
        """Cancel what runs in it and end it.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether it has ended.
        """
        with suppress(RuntimeError):  # it has ended already
            self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.loop.run_forever()
            if tasks := asyncio.all_tasks(self.loop):
                for task in tasks:
                    task.cancel()
                self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()


class Loops:
    """Knows which loop to use; safe from any thread."""

    def __init__(self) -> None:
        self._attached: asyncio.AbstractEventLoop | None = None
        self._is_settled = False  # attach() was called: the application has said what there is
        self._patience = 0.0
        self._private_from: float | None = None
        self._private: PrivateLoop | None = None
        self._asked: list[float] = []  # when the application's loop was asked for a sign of life that it has not given; at most one
        self._lock = threading.Lock()

    def wait(self, seconds: float) -> None:
        """Expect an :meth:`attach` within ``seconds`` from now, and use no private loop before that time is over."""
        self._patience = seconds
        self._private_from = clock.monotonic() + seconds

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Use the application's loop from now on; ``None``: it has none."""
        self._attached, self._is_settled, self._asked = loop, True, []

    def find(self) -> asyncio.AbstractEventLoop | None:
        """The loop to run a check in, or ``None`` while there is none.

        Raises:
            RuntimeError: A private loop is needed, and the system has no thread left.
        """
        if (attached := self._attached) is not None:
            return None if attached.is_closed() else attached
        if not self._is_settled and self._private_from is not None and clock.monotonic() < self._private_from:
            return None
        with self._lock:
            if self._private is None or self._private.loop.is_closed():
                self._private = PrivateLoop()
            return self._private.loop

    def has_left(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether what was begun in ``loop`` will never end there, as the loop has."""
        if loop.is_closed():
            return True
        private = self._private
        return loop is not self._attached and (private is None or loop is not private.loop) and not loop.is_running()

    def ask(self) -> None:
        """Ask the application's loop for a sign of life, unless an answer is awaited."""
        loop = self._attached
        if loop is None or not loop.is_running():
            self._asked = []
        elif not self._asked:
            self._asked = asked = [clock.monotonic()]
            try:
                loop.call_soon_threadsafe(asked.clear)
            except RuntimeError:  # closed just now
                self._asked = []

    @property
    def silence(self) -> float:
        """Seconds for which the application's loop has owed an answer; 0 if it owes none, does not run or is not there."""
        loop, asked = self._attached, tuple(self._asked)
        if not asked or loop is None or not loop.is_running():
            return 0.0
        return max(clock.monotonic() - asked[0], 0.0)

    def stop(self, timeout: float) -> bool:
        """End the private loop, if there is one; returns whether it has ended within ``timeout`` seconds."""
        with self._lock:
            private, self._private = self._private, None
        return private is None or private.stop(timeout)

    def renew(self) -> None:
        """In a new child process: there is no loop here yet; wait for one as long as the parent did."""
        if self._private is not None:
            _inherited.append(self._private.loop)
        if self._attached is not None:
            _inherited.append(self._attached)
        expecting = self._private_from is not None
        self._lock = threading.Lock()
        self._attached, self._private, self._asked = None, None, []
        self._is_settled = False
        if expecting:
            self.wait(self._patience)
