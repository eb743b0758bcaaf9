"""Programs that end before anything could scrape them: record the run, and deliver before the end.

::

    with measurand.job("nightly-import", Pushgateway("gateway:9091", "nightly-import")):
        ROWS.inc(import_everything())

Records what :class:`~measurand.catalog.jobs.JobMetrics` says and delivers the whole registry, whether the block ends well or raises, within
a time limit. What the block raises passes through; a destination that fails is logged in one line and concerns nobody else. Runs that
overlap have to be told apart where a destination keeps one value for a series: by a grouping key of the Pushgateway, for example.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast
from weakref import WeakKeyDictionary

from measurand import clock
from measurand.bootstrap.runtime import current
from measurand.catalog.jobs import JobMetrics, JobRun
from measurand.config import Config
from measurand.errors import ConfigurationError
from measurand.exporters.addresses import from_address
from measurand.exporters.delivery import Delivery
from measurand.exporters.protocol import Exporter
from measurand.lifecycle.apart import Apart
from measurand.lifecycle.background import renew_after_fork
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["Job", "job"]

LOG = logging.getLogger("measurand")

P = ParamSpec("P")
R = TypeVar("R")


class Job:
    """A run of a batch job, from :func:`job`: a context manager, plain or asynchronous, and a decorator of functions of either kind.

    Each block, and each call of a decorated function, is a run. Runs at the same time are each a ``job(…)`` of their own, which calls of a
    decorated function are by themselves.
    """

    def __init__(self, name: str, exporters: Iterable[Exporter], registry: CollectorRegistry, timeout: float) -> None:
        self._name = name
        self._exporters = list(exporters)
        self._registry = registry
        self._timeout = timeout
        self._metrics = JobMetrics(registry)
        self._began = 0.0

    def __enter__(self) -> Self:
        self._began = clock.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._end(error)
        self._deliver()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._end(error)
        await asyncio.to_thread(self._deliver)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Make each call of a function a run."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with self._again():
                    return await function(*args, **kwargs)

            return cast(Callable[P, R], run_async)

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._again():
                return function(*args, **kwargs)

        return run

    def _again(self) -> Job:
        return Job(self._name, self._exporters, self._registry, self._timeout)

    def _end(self, error: BaseException | None) -> None:
        ends_well = error is None or (isinstance(error, SystemExit) and error.code in (None, 0))
        duration = max(clock.monotonic() - self._began, 0.0)
        try:
            self._metrics.record(JobRun(self._name, "success" if ends_well else "failed", duration, clock.wall()))
        except Exception:
            LOG.warning("the run of %s could not be recorded", self._name, exc_info=True)

    def _deliver(self) -> None:
        calls = [partial(_deliver, exporter, self._registry, self._timeout) for exporter in self._exporters]
        outcomes = Apart("measurand-job", calls).wait(self._timeout)
        for exporter, outcome in zip(self._exporters, outcomes, strict=True):
            if not outcome.is_done:
                LOG.warning("the numbers of %s did not arrive at %s within %g s", self._name, exporter.name, self._timeout)
            elif outcome.error is not None:
                LOG.warning("the numbers of %s did not arrive at %s: %s", self._name, exporter.name, outcome.error)


def job(name: str, *exporters: Exporter | str, registry: CollectorRegistry = REGISTRY, timeout: float = 10.0) -> Job:
    """Record a run of a batch job, and deliver the registry before it ends.

    Args:
        name: What the job is called: the label ``job_name``.
        exporters: Where to deliver: exporters or their addresses. Without any, those that ``MEASURAND_EXPORTERS`` names, or none where a
            runtime runs in this process, which delivers to its own.
        registry: What is delivered, and where the run is recorded.
        timeout: Seconds that the delivery may take, all destinations together.

    Raises:
        ConfigurationError: The name is empty, the timeout is not positive, or an address cannot be used.
        MissingExtra: A destination needs a library that is not installed.
    """
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(f"the name of a job must be text that is not empty, not {name!r}")
    if not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
        raise ConfigurationError(f"the timeout of the job {name!r} must be a number of seconds above 0, not {timeout!r}")
    renew_after_fork(_kept)
    chosen: Iterable[Exporter | str] = exporters
    if not exporters and current() is None:
        chosen = Config.read().exporters
    return Job(name, [_of_address(one) if isinstance(one, str) else one for one in chosen], registry, timeout)


# -- what is kept from run to run ----------------------------------------------------------------------------------------------


class _Kept:
    """Exporters by address, and what each has delivered: a program may run many jobs."""

    def __init__(self) -> None:
        self.by_address: dict[str, Exporter] = {}
        self.deliveries: WeakKeyDictionary[Any, dict[int, tuple[Delivery, threading.Lock]]] = WeakKeyDictionary()
        self.lock = threading.Lock()

    def renew(self) -> None:
        """In a new child process: have locks that nobody holds."""
        self.lock = threading.Lock()
        for known in self.deliveries.values():
            for registry, (delivery, _) in known.items():
                known[registry] = delivery, threading.Lock()


_kept = _Kept()


def _of_address(address: str) -> Exporter:
    with _kept.lock:
        known = _kept.by_address.get(address)
    if known is None:
        known = from_address(address)
        with _kept.lock:
            known = _kept.by_address.setdefault(address, known)
    return known


def _deliver(exporter: Exporter, registry: CollectorRegistry, timeout: float) -> None:
    with _kept.lock:
        known = _kept.deliveries.setdefault(exporter, {})
        delivery, turn = known.setdefault(id(registry), (Delivery(exporter, registry), threading.Lock()))
    if not turn.acquire(timeout=timeout):
        raise TimeoutError("another run is still delivering")
    try:
        delivery.deliver(timeout)
    finally:
        getattr(exporter, "close", list)()
        turn.release()
