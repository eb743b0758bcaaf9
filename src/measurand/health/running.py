"""One run of a check: in a thread, in an event loop, or first here and then there.

A sync check runs in a :class:`Worker`, a daemon thread that belongs to it alone and is used again for the next run. A check that hangs
therefore holds up nobody else, and costs one thread, however long it hangs. An async one is a task, which is cancelled when it is given up.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, NamedTuple

from measurand import clock
from measurand.health.check import Check, allow_time
from measurand.health.reasons import Reason, reason_of

__all__ = ["Ending", "Run", "Worker"]

Job = Callable[[], None]


class Ending(NamedTuple):
    """What a run came to.

    Attributes:
        failure: Why it failed; ``None`` if it passed.
        error: The exception that says more, if there was one.
        is_void: Whether it says nothing of the check: the run was cancelled, or never began.
    """

    failure: Reason | None = None
    error: BaseException | None = None
    is_void: bool = False


VOID = Ending(is_void=True)


class Worker:
    """A daemon thread for the runs of one check; it starts with the first. Safe from any thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_retired = False
        self._lock = threading.Lock()

    def submit(self, job: Job) -> bool:
        """Run ``job`` as soon as those before it are done.

        Returns:
            Whether it will run; ``False`` after :meth:`retire`.

        Raises:
            RuntimeError: The system has no thread left.
        """
        with self._lock:
            if self._is_retired:
                return False
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._serve, args=(self._jobs,), name=f"measurand-health-{self._name}", daemon=True)
                thread.start()
                self._thread = thread
            self._jobs.put(job)
            return True

    def retire(self) -> None:
        """End the thread when it has done what was submitted."""
        with self._lock:
            self._is_retired = True
            self._jobs.put(None)

    @staticmethod
    def _serve(jobs: SimpleQueue[Job | None]) -> None:
        while (job := jobs.get()) is not None:
            try:
                job()
            except BaseException:  # noqa: BLE001 - a handler of the log may raise; a thread that ended would leave what is submitted just then
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
            del job  # not held while waiting for the next


class Run:
    """One run of a check, from its submission to its end.

    Args:
        check: What runs.
        on_end: Called once, from whichever thread the run ends in.

    Attributes:
        submitted: When it was to begin, on the monotonic clock.
        begun: When it began; ``None`` until then.
        is_given_up: Whether nobody waits for it any more.
        loop: The event loop that it is in; ``None`` if it is in a thread.
    """

    def __init__(self, check: Check, on_end: Callable[[Run, Ending], None]) -> None:
        self.check = check
        self.submitted = clock.monotonic()
        self.begun: float | None = None
        self.is_given_up = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._on_end = on_end

    def deadline(self, interval: float) -> float:
        """When it has taken too long; one that waits for its turn in a busy loop is given at least ``interval`` seconds to begin."""
        if self.begun is None:
            return self.submitted + max(self.check.timeout, interval)
        return self.begun + self.check.timeout

    def give_up(self) -> None:
        """Wait for it no longer; a task is cancelled, a thread runs on to its end."""
        self.is_given_up = True
        if self.loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(self._cancel)

    def in_thread(self, find_loop: Callable[[], asyncio.AbstractEventLoop | None]) -> None:
        """Run here; what turns out to be awaitable goes on in the loop that ``find_loop`` names."""
        allow_time(self.check.timeout)
        self.begun = clock.monotonic()
        try:
            value: Any = self.check.run()
            loop = find_loop() if inspect.isawaitable(value) else None
        except BaseException as error:  # noqa: BLE001 - whatever a check raises, it is a failure of that check
            self._fail(error)
            return
        if not inspect.isawaitable(value):
            self._judge(value)
        elif loop is None:
            _discard(value)
            self._on_end(self, VOID)
        else:
            self.in_loop(loop, value)

    def in_loop(self, loop: asyncio.AbstractEventLoop, awaitable: Any = None) -> None:
        """Run in an event loop: the check, or the awaitable that it returned."""
        self.loop = loop

        def start() -> None:
            if self.is_given_up:
                _discard(awaitable)
                self._on_end(self, VOID)
            else:
                self._task = loop.create_task(self._drive(awaitable))

        try:
            loop.call_soon_threadsafe(start)
        except RuntimeError:  # closed just now
            _discard(awaitable)
            self._on_end(self, VOID)

    async def _drive(self, awaitable: Any) -> None:
        allow_time(self.check.timeout)
        if self.begun is None:
            self.begun = clock.monotonic()
        try:
            value: Any = await (self.check.run() if awaitable is None else awaitable)  # type: ignore[misc]
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():  # given up, or the loop is about to end
                self._on_end(self, VOID)
                raise
            self._fail(error)
        except GeneratorExit:  # the loop ended without us
            self._on_end(self, VOID)
            raise
        except Exception as error:  # noqa: BLE001 - whatever a check raises, it is a failure of that check
            self._fail(error)
        except BaseException as error:  # a signal's handler raised it, while this code happened to run
            self._fail(error)
            raise
        else:
            self._judge(value)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _judge(self, value: object) -> None:
        if value is None or value is True:
            self._on_end(self, Ending())
        elif value is False:
            self._on_end(self, Ending(Reason.FAILED))
        elif isinstance(value, Reason):
            self._on_end(self, Ending(value))
        else:
            hint = TypeError(f"the check returned {type(value).__name__}; it must return None or True, False or a Reason, or raise")
            self._on_end(self, Ending(Reason.INVALID_RESULT, hint))

    def _fail(self, error: BaseException) -> None:
        self._on_end(self, Ending(reason_of(error), error))


def _discard(awaitable: Any) -> None:
    """Drop an awaitable without a warning that nobody awaited it."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()
