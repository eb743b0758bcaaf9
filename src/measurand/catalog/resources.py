"""What a task takes: time, CPU time, memory.

::

    @resources("import")
    async def import_everything(): ...

    with resources("report") as report:
        ...
    print(report.use.cpu)

For tasks that take a while; looking at the memory twice costs some hundred microseconds at most. CPU time is that of the task itself: of a
function in its thread, of a coroutine or a generator in the steps that it makes itself, whatever else its thread does in between. Memory is
the whole process': what other tasks do at the same time shows in it.
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol, Self, TypeVar, cast, overload

from measurand import clock
from measurand.catalog import steps
from measurand.core import now, wrapping
from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Gauge, Histogram
from measurand.metrics.registry import CollectorRegistry

__all__ = ["Memory", "MemoryMonitor", "ProcessMemory", "ResourceMetrics", "ResourceUse", "Resources", "resources"]

LOG = logging.getLogger("measurand.resources")

BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """One run of a task; ``None`` is what is not known.

    Attributes:
        task: What the task is called.
        status: Whether it came to a good end.
        duration: Seconds that it took.
        cpu: Seconds of CPU time that it took.
        memory_growth: Bytes that the process' resident memory had more at the end than at the beginning; negative if less.
        memory_peak: The most bytes of resident memory that the process is known to have had meanwhile.
    """

    task: str
    status: Literal["success", "failed"]
    duration: float
    cpu: float | None = None
    memory_growth: float | None = None
    memory_peak: float | None = None


class Memory(NamedTuple):
    """The memory of this process; ``None`` is what the system does not tell.

    Attributes:
        resident: Bytes of resident memory.
        peak: The most that it has been since the process began.
    """

    resident: float | None
    peak: float | None


class MemoryMonitor(Protocol):
    """Where the memory is looked up: :class:`ProcessMemory`, or ``measurand.testing.resources.MemoryStub`` in tests."""

    def read(self) -> Memory:
        """The memory now. What it raises is logged, and the memory is unknown then."""
        ...


class ProcessMemory:
    """The memory of the calling process as Linux tells it (``proc_pid_status(5)``); unknown elsewhere. Takes some ten microseconds.

    Args:
        proc: Where the ``proc`` file system is.
    """

    def __init__(self, proc: str = "/proc") -> None:
        self._file = Path(proc) / "self" / "status"

    def read(self) -> Memory:
        """The memory now; nothing is raised."""
        try:
            lines = dict(line.split(":", 1) for line in self._file.read_text(errors="replace").splitlines() if ":" in line)
        except OSError:
            return Memory(None, None)
        return Memory(_bytes(lines.get("VmRSS")), _bytes(lines.get("VmHWM")))


def _bytes(field: str | None) -> float | None:
    try:
        return 1024.0 * int((field or "").split()[0])
    except (IndexError, ValueError):
        return None


class ResourceMetrics:
    """The metrics of tasks and what they take. The gauges are about the last run.

    ============================  =========  ============
    ``task_duration_seconds``     histogram  task, status
    ``task_cpu_seconds``          histogram  task
    ``task_memory_growth_bytes``  gauge      task
    ``task_memory_peak_bytes``    gauge      task
    ============================  =========  ============

    Safe from any thread.

    Args:
        registry: Where they are exposed.
        buckets: Upper bounds of durations and CPU times, in seconds.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, buckets: Sequence[float] = BUCKETS) -> None:
        how: dict[str, Any] = {"registry": registry, "buckets": buckets}
        self._duration = Histogram("task_duration_seconds", "Duration of tasks", ["task", "status"], **how)
        self._cpu = Histogram("task_cpu_seconds", "CPU time that runs of tasks took", ["task"], **how)
        self._growth = Gauge(
            "task_memory_growth_bytes", "By how much the process had grown at the end of the last run", ["task"], registry=registry
        )
        self._peak = Gauge("task_memory_peak_bytes", "The most memory that the process had in the last run", ["task"], registry=registry)

    def record(self, event: ResourceUse) -> None:
        """Record a run."""
        self._duration.labels(event.task, event.status).observe(event.duration)
        if event.cpu is not None:
            self._cpu.labels(event.task).observe(event.cpu)
        if event.memory_growth is not None:
            self._growth.labels(event.task).set(event.memory_growth)
        if event.memory_peak is not None:
            self._peak.labels(event.task).set(event.memory_peak)


class _Run:
    """A run that is under way. CPU time adds up in steps, each of which begins and ends in one thread."""

    def __init__(self, memory: MemoryMonitor, cpu_clock: Callable[[], float]) -> None:
        self.cpu: float | None = 0.0
        self.cpu_clock = cpu_clock
        self._monitor = memory
        self.memory = self._look()
        self.began = now()
        self.step_began, self._thread = cpu_clock(), threading.get_ident()

    def begin_step(self) -> None:
        self.step_began, self._thread = self.cpu_clock(), threading.get_ident()

    def end_step(self) -> None:
        if self.cpu_clock is clock.thread_cpu and threading.get_ident() != self._thread:
            self.cpu = None  # it began in another thread, whose time this one cannot tell
        elif self.cpu is not None:
            self.cpu += max(self.cpu_clock() - self.step_began, 0.0)

    def use(self, task: str, error: BaseException | None) -> ResourceUse:
        duration = max(now() - self.began, 0.0)
        before, after = self.memory, self._look()
        growth = after.resident - before.resident if after.resident is not None and before.resident is not None else None
        known = [size for size in (before.resident, after.resident) if size is not None]
        if after.peak is not None and before.peak is not None and after.peak > before.peak:
            known.append(after.peak)
        return ResourceUse(task, "success" if error is None else "failed", duration, self.cpu, growth, max(known, default=None))

    def _look(self) -> Memory:
        try:
            return self._monitor.read()
        except Exception:
            LOG.warning("the memory could not be looked at", exc_info=True)
            return Memory(None, None)


class Resources:
    """Measures what a task takes; from :func:`resources`. A decorator of functions of every kind, and a context manager.

    Each call of a decorated function is a run of its own. So is a block; blocks at the same time are each a ``resources(…)`` of their own.

    Attributes:
        use: What the last block took; ``None`` before the end of the first.
    """

    def __init__(self, task: str | None, metrics: ResourceMetrics, memory: MemoryMonitor, cpu_clock: Callable[[], float]) -> None:
        self._task = task
        self._metrics = metrics
        self._memory = memory
        self._cpu_clock = cpu_clock
        self._run: _Run | None = None
        self.use: ResourceUse | None = None

    # -- blocks --------------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._task is None:
            raise TypeError("a block has no name of its own; resources() needs one: with resources('import'): …")
        self._run = self._begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.end_step()
            self.use = self._end(run, error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._run is not None and self._cpu_clock is clock.thread_cpu:
            self._run.cpu = None  # what was the block's own cannot be told from what other tasks did
        self.__exit__(kind, error, traceback)

    # -- functions -----------------------------------------------------------------------------------------------------------

    def __call__(self, f: F) -> F:
        """Decorate a function, coroutine function, generator, asynchronous generator, method, ``staticmethod`` or ``classmethod``."""
        if isinstance(f, staticmethod | classmethod):
            return cast(F, type(f)(self(f.__func__)))
        if self._task is None:
            name = f"{getattr(f, '__module__', '')}.{getattr(f, '__qualname__', type(f).__qualname__)}"
            return Resources(name, self._metrics, self._memory, self._cpu_clock)(f)
        of: Any = f
        while isinstance(of, functools.partial):
            of = of.func
        kind = of if inspect.isroutine(of) or inspect.isclass(of) else type(of).__call__
        wrap = steps.wrapper_for(kind) if self._cpu_clock is clock.thread_cpu else None
        if wrap is None:
            return wrapping.around(f, self._begin, self._leave)
        return cast(F, functools.update_wrapper(wrap(f, self._begin, self._end), f))

    def _begin(self) -> _Run:
        return _Run(self._memory, self._cpu_clock)

    def _leave(self, run: _Run, error: BaseException | None) -> None:
        run.end_step()
        self._end(run, error)

    def _end(self, run: _Run, error: BaseException | None) -> ResourceUse:
        use = run.use(self._task or "", error)
        try:
            self._metrics.record(use)
        except Exception:
            LOG.warning("what the task %s took could not be recorded", self._task, exc_info=True)
        return use


_PROCESS_MEMORY = ProcessMemory()


@overload
def resources(task: F) -> F: ...
@overload
def resources(
    task: str | None = None,
    *,
    metrics: ResourceMetrics | None = ...,
    registry: CollectorRegistry = ...,
    memory: MemoryMonitor | None = ...,
    process_cpu: bool = ...,
) -> Resources: ...
def resources(
    task: Any = None,
    *,
    metrics: ResourceMetrics | None = None,
    registry: CollectorRegistry = REGISTRY,
    memory: MemoryMonitor | None = None,
    process_cpu: bool = False,
) -> Any:
    """Measure what a task takes: seconds, seconds of CPU time, growth and peak of the process' memory in bytes.

    As a decorator it fits functions of every kind, and measures each call to its end. As a context manager it measures a block:
    ``async with`` leaves out CPU time, and plain ``with`` has that of the thread: in a coroutine, that of other tasks meanwhile too.
    Threads that a task starts count as its own only with ``process_cpu``. Safe from any thread.

    Args:
        task: What the task is called; by default as the function that is decorated.
        metrics: The set to record to.
        registry: Where the metrics are exposed, if no set is given.
        memory: Where the memory is looked up, in place of the real process.
        process_cpu: Take the CPU time of the whole process, for tasks that have threads of their own.

    Returns:
        A :class:`Resources`, or the decorated function if used as ``@resources``.
    """
    if task is not None and not isinstance(task, str):
        if callable(task) or isinstance(task, staticmethod | classmethod):
            return resources()(task)
        raise TypeError(f"resources() takes the name of a task, not {type(task).__name__}")
    cpu_clock = clock.process_cpu if process_cpu else clock.thread_cpu
    return Resources(task, metrics or ResourceMetrics(registry), memory or _PROCESS_MEMORY, cpu_clock)
