"""Background tasks that are counted, and that a shutdown waits for.

::

    tasks = TaskRunner(coordinator)
    tasks.submit(send_receipt, order)            # in a thread of the runner's

    async with tasks.track("import"):            # anywhere else: only counted and waited for
        ...

A task that is queued or runs when the service is told to stop is finished if the budget allows; requests that are still served meanwhile
may submit more. When the waiting is over, what is still queued is cancelled, and what still runs is left behind: the threads are daemons,
so that a task that hangs does not keep the process from its end.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Self, TypeVar

from measurand import clock
from measurand.catalog.tasks import TaskMetrics, TaskRun, status_of
from measurand.errors import ConfigurationError
from measurand.lifecycle.background import renew_after_fork
from measurand.lifecycle.coordinator import Coordinator
from measurand.lifecycle.events import Event
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["TaskRunner", "Tracked"]

T = TypeVar("T")

NAME = "background tasks"
"""What the coordinator knows the tasks as."""


@dataclass(eq=False, slots=True)
class _Task:
    name: str
    call: Callable[[], Any]
    future: Future[Any]


class TaskRunner:
    """Runs and counts background tasks; see the module. Safe from any thread.

    Args:
        coordinator: Whose shutdown waits for the tasks.
        workers: How many tasks run at the same time at most; their threads are started as they are needed.
        registry: Where the metrics of tasks are exposed.

    Raises:
        ConfigurationError: ``workers`` is less than 1, or the coordinator has a task runner already.
    """

    def __init__(self, coordinator: Coordinator, *, workers: int = 4, registry: CollectorRegistry = REGISTRY) -> None:
        if workers < 1:
            raise ConfigurationError(f"a task runner needs at least 1 worker, not {workers!r}")
        self._workers = workers
        self._metrics = TaskMetrics(registry)
        self._active: Counter[str] = Counter()  # queued and running, by name
        self._queue: deque[_Task] = deque()
        self._threads = 0
        self._idle = 0
        self._is_closed = False
        self._changed = threading.Condition()
        coordinator.add_waiter(NAME, self.wait)
        coordinator.on(Event.STARTUP, self._open, name=NAME)
        coordinator.on(Event.PREPARE_SHUTDOWN, self._take_stock, name=NAME)
        coordinator.on(Event.SHUTDOWN, self._close, name=NAME)
        renew_after_fork(self)

    def submit(self, function: Callable[..., T], *args: Any, name: str | None = None, **kwargs: Any) -> Future[T]:
        """Run ``function(*args, **kwargs)`` in the background.

        Args:
            function: A plain function.
            *args: Its arguments.
            name: What the task is called in metrics, from a small set of names; the function's own name by default.
            **kwargs: Its keyword arguments.

        Returns:
            The future of its result. A task is counted before its future is done.

        Raises:
            TypeError: It is a coroutine function.
            RuntimeError: The service has shut down, or the system has no thread left.
        """
        if iscoroutinefunction(function):
            raise TypeError(f"{_name_of(function)} is a coroutine function; run it in its event loop, under track()")
        task = _Task(name or _name_of(function), partial(function, *args, **kwargs), Future())
        self._declare(task.name)
        with self._changed:
            if self._is_closed:
                raise RuntimeError(f"the service has shut down and takes no more background tasks, such as {task.name}")
            self._queue.append(task)
            if len(self._queue) > self._idle and self._threads < self._workers:
                self._start_thread(task)
            self._active[task.name] += 1
            self._changed.notify_all()
        return task.future

    def track(self, name: str) -> Tracked:
        """Count a task that runs elsewhere: a context manager, plain and asynchronous, for one use.

        Args:
            name: What the task is called in metrics, from a small set of names.
        """
        self._declare(name)
        return Tracked(self, name)

    @property
    def active(self) -> int:
        """How many tasks are queued or run."""
        return self._active.total()

    def wait(self, seconds: float) -> bool:
        """Wait until no task is queued or runs, at most some seconds, and return whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._active, seconds)

    # -- what the coordinator calls ------------------------------------------------------------------------------------------

    def _open(self) -> None:
        with self._changed:
            self._is_closed = False

    def _take_stock(self) -> None:
        self._metrics.active_at_shutdown.set(self.active)

    def _close(self) -> None:
        with self._changed:
            self._is_closed = True
            left, self._queue = self._queue, deque()
            self._changed.notify_all()
        for task in left:
            self._give_up(task)
            task.future.cancel()
            task.future.set_running_or_notify_cancel()

    # -- the threads ---------------------------------------------------------------------------------------------------------

    def _start_thread(self, task: _Task) -> None:
        try:
            threading.Thread(target=self._work, name="measurand-task", daemon=True).start()
        except RuntimeError:
            if not self._threads:
                self._queue.remove(task)
                raise
        else:
            self._threads += 1

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                self._changed.wait_for(lambda: self._queue or self._is_closed)
                self._idle -= 1
                if not self._queue:
                    self._threads -= 1
                    return
                task = self._queue.popleft()
            self._run(task)
            del task  # it holds what the function was given

    def _run(self, task: _Task) -> None:
        if not task.future.set_running_or_notify_cancel():
            self._give_up(task)
            return
        started = self.enter(task.name, is_counted=True)
        try:
            result = task.call()
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever holds the future
            self.leave(task.name, started, error)
            task.future.set_exception(error)
        else:
            self.leave(task.name, started, None)
            task.future.set_result(result)

    def _give_up(self, task: _Task) -> None:
        self._metrics.record(TaskRun(task.name, "cancelled"))
        with self._changed:
            self._forget(task.name)

    # -- counting ------------------------------------------------------------------------------------------------------------

    def _declare(self, name: str) -> None:
        """Show zeros before the first task ends, so that a rate over the first one is right."""
        self._metrics.in_progress.labels(name)
        self._metrics.tasks.labels(name, "success")
        self._metrics.tasks.labels(name, "failed")

    def enter(self, name: str, *, is_counted: bool = False) -> float:
        """Count that a task begins to run, and return when; what :meth:`track` does."""
        with self._changed:
            self._active[name] += not is_counted
            self._metrics.in_progress.labels(name).inc()
        return clock.monotonic()

    def leave(self, name: str, started: float, error: BaseException | None) -> None:
        """Count that a task has ended; what :meth:`track` does."""
        self._metrics.record(TaskRun(name, status_of(error), max(clock.monotonic() - started, 0.0)))
        with self._changed:
            if name in self._active:  # else it was begun in the parent of this process
                self._metrics.in_progress.labels(name).dec()
                self._forget(name)

    def _forget(self, name: str) -> None:
        self._active[name] -= 1
        if self._active[name] <= 0:
            del self._active[name]
        self._changed.notify_all()

    def renew(self) -> None:
        """In a new child process: the tasks and threads are the parent's."""
        self._changed = threading.Condition()
        self._queue, self._threads, self._idle = deque(), 0, 0
        for name in self._active:
            self._metrics.in_progress.labels(name).set(0)
        self._active.clear()


class Tracked:
    """What :meth:`TaskRunner.track` returns."""

    def __init__(self, runner: TaskRunner, name: str) -> None:
        self._runner = runner
        self._name = name
        self._started = 0.0

    def __enter__(self) -> Self:
        self._started = self._runner.enter(self._name)
        return self

    def __exit__(self, exc_type: object, exc: BaseException | None, traceback: object) -> None:
        self._runner.leave(self._name, self._started, exc)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, exc_type: object, exc: BaseException | None, traceback: object) -> None:
        self.__exit__(exc_type, exc, traceback)


def _name_of(function: Callable[..., Any]) -> str:
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__qualname__", type(function).__qualname__))
