"""The runtime of a process: made by :func:`start`, ended by :meth:`Runtime.stop`.

Starting puts together what the other layers provide; it is all or nothing, and everything is checked first. What has been started is
stopped in reverse order, once, whoever asks first: the server's shutdown, the program, or the end of the interpreter.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self, Unpack

from measurand.bootstrap.arrangement import arrange
from measurand.bootstrap.identity import identify, label
from measurand.bootstrap.likeness import called, place
from measurand.bootstrap.options import by_path, likeness, passed, refuse_unknown, several
from measurand.catalog.http import HttpMetrics
from measurand.catalog.service import ServiceCollector
from measurand.config import Config, Settings, unknown_variables
from measurand.endpoints.drain import Progress
from measurand.endpoints.management import ManagementServer
from measurand.endpoints.pages import Pages
from measurand.errors import AlreadyStarted, ConfigurationError
from measurand.exporters.protocol import Exporter
from measurand.health.check import Check
from measurand.health.monitor import HealthMonitor
from measurand.integrations.access_logs import leave_out
from measurand.lifecycle.background import renew_after_fork
from measurand.lifecycle.company import LOOK, Company, is_draining
from measurand.lifecycle.coordinator import Coordinator, Event, State
from measurand.lifecycle.exits import run_at_exit
from measurand.lifecycle.exporting import Exporting
from measurand.lifecycle.polling import Polling
from measurand.lifecycle.report import ShutdownReport
from measurand.lifecycle.signals import hook_sigterm
from measurand.metrics import shared
from measurand.metrics.domains import REGISTRY, Domain
from measurand.metrics.registry import CollectorRegistry

if TYPE_CHECKING:
    from measurand.lifecycle.tasks import TaskRunner

__all__ = ["Runtime", "current", "register_for_polling", "start"]

LOG = logging.getLogger("measurand")

WAIT_FOR_LOOP = 30.0
"""Seconds that asynchronous checks and callbacks wait for the application's event loop, in which the connections they use belong."""

ALL_KNOW = 2 * LOOK
"""Seconds within which all processes know that the service drains."""

Checkable = Check | Callable[[], Any]


class Runtime:
    """Everything that runs beside the application. Made by :func:`start`; a context manager that stops it at the end of the block.

    Safe from any thread. After a fork it runs in the child too.

    Attributes:
        config: The settings, each with its origin.
        registry: The registry that the service's own metrics are in.
        lifecycle: Events, waiters and the budget of the shutdown.
        polling: The callbacks that are called again and again.
        health: The health checks.
        http: Where the integrations record requests.
        pages: What the application's own port answers besides the application.
        exporters: The destinations that the metrics are sent to; they can be added and removed at any time.
        options: What was passed to :func:`start`.
        is_stopping: Whether the shutdown has begun.
        gives_way: Whether it ends when another one is started, rather than that being an error.
    """

    def __init__(
        self,
        config: Config,
        registry: CollectorRegistry,
        checks: Iterable[Checkable],
        domains: Mapping[str, Domain],
        exporters: Iterable[Exporter | str],
    ) -> None:
        self.config = config
        self.registry = registry
        self.options: Mapping[str, Any] = {}
        self._likeness: Mapping[str, Any] = {}
        self.lifecycle = Coordinator(budget=config.shutdown_budget, drain_delay=config.drain_delay, registry=registry, is_told=is_draining)
        self._company = Company(self.lifecycle.begin_shutdown, self._is_ours_to_stop)
        self.polling = Polling(interval=config.poll_interval, registry=registry)
        self.health = HealthMonitor(interval=config.health_interval, registry=registry, state=lambda: self.lifecycle.state)
        for check in checks:
            self.health.add(check)
        self.http = HttpMetrics(
            registry,
            buckets=config.request_buckets,
            max_endpoints=config.max_endpoints,
            body_sizes=config.body_sizes,
            first_byte=config.first_byte,
            background=config.background,
        )
        self._registries = list(dict.fromkeys([registry, *domains.values()]))
        arrangement = arrange(
            config, registry, domains, self.health, self.lifecycle, self._drain_progress, lambda: self.uptime, self._company.drain_all
        )
        self.pages: Pages = arrangement.application
        self._server = None
        if config.management is not None:
            name = f"{config.service}\n{config.environment}"
            is_up = lambda: self.lifecycle.state is not State.STARTING  # noqa: E731 - nothing to name
            self._server = ManagementServer(arrangement.management, *config.management, service=name, is_up=is_up)
        self._service: ServiceCollector | None = None
        self._tasks: TaskRunner | None = None
        self._guard = threading.Lock()
        self._begun_in = self._served_in = 0  # the process that called start(), and the one whose server has been announced
        self._undo: ExitStack | None = None  # ends what has begun; None when nothing has
        self.is_stopping = self.gives_way = False
        self.lifecycle.on(Event.STARTUP, self.health.announce, name="health checks")
        self.lifecycle.on(Event.PREPARE_SHUTDOWN, self._note_the_end, name="runtime")
        self.lifecycle.on(Event.SHUTDOWN, lambda: self.health.stop(1.0), name="health checks")
        self.lifecycle.on(Event.SHUTDOWN, lambda: self.polling.stop(5.0), name="polling")
        self.lifecycle.add_waiter("requests", self.http.wait_until_idle)
        identity = {"service": config.service, "environment": config.environment, "version": config.version}
        self.exporters = Exporting(self.polling, self.lifecycle, registry, identity)
        self.exporters.add(*config.exporters, *exporters)
        renew_after_fork(self)

    # -- what an integration needs (integrations.service.Service) --------------------------------------------------------------

    @property
    def excluded(self) -> frozenset[str]:
        """Paths whose requests are not recorded, besides the pages."""
        return self.config.excluded_paths

    def server_started(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """The server of this process is up: readiness begins, the signal to stop is hooked. Does nothing when called again.

        Args:
            loop: The application's event loop; asynchronous checks and callbacks run there from now on.
        """
        if self._served_in == os.getpid() and self._undo is not None:
            return
        if self._undo is None:  # stopped before, and served again, as test clients do
            _process.enter(self)
        self._served_in = os.getpid()
        if self._begun_in != self._served_in:  # a process of multiprocessing forgets what it inherits
            run_at_exit(self._stop_at_exit)
            self.exporters.take_part()
        self.health.attach(loop)
        self.polling.attach(loop)
        hook_sigterm(self.lifecycle)
        self.lifecycle.started()
        self._company.look()  # the service may have been told to stop before this process was there
        self._company.publish_soon()

    def server_stopping(self) -> None:
        """The server of this process is about to end; blocks for what remains of the shutdown."""
        self.stop()

    # -- for programs ----------------------------------------------------------------------------------------------------------

    @property
    def management(self) -> str | None:
        """The address of the management server's pages, whichever process serves them; ``None`` if there is none."""
        return self._server.url if self._server is not None else None

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return self._service.uptime if self._service is not None else 0.0

    @property
    def tasks(self) -> TaskRunner:
        """A runner of background tasks that the shutdown waits for; made when it is first asked for."""
        from measurand.lifecycle.tasks import TaskRunner  # noqa: PLC0415 - thread pools are for those who ask for one

        with self._guard:
            if self._tasks is None:
                self._tasks = TaskRunner(self.lifecycle, registry=self.registry)
            return self._tasks

    def has_options(self, options: Mapping[str, Any]) -> bool:
        """Whether :func:`start` was called with these options, or with the same ones made anew; see :mod:`measurand.bootstrap.options`."""
        return likeness(options) == self._likeness

    def register_for_polling(self, name: str, callback: Callable[..., Any], **settings: Any) -> None:
        """Call a function again and again; see :meth:`measurand.lifecycle.polling.Polling.register`."""
        self.polling.register(name, callback, **settings)

    def stop(self, timeout: float | None = None) -> ShutdownReport:
        """Shut down: events, waiters, hooks, the last flush, and then everything that :func:`start` began.

        Whoever calls again, or at the same time, waits for the first call and gets its report.

        Args:
            timeout: Seconds to take at most; by default what is left of the budget.
        """
        report = self.lifecycle.shutdown(timeout)
        self._end()
        return report

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    # -- wiring ----------------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Start everything, or nothing."""
        with ExitStack() as undo:
            label(self._registries, self.config.labels, undo)
            self._service = identify(self.config, self.registry, undo)
            if self._server is not None:
                self._server.start()
                undo.callback(self._server.stop)
            undo.callback(leave_out(self.pages.paths))
            self.health.start(wait_for_loop=WAIT_FOR_LOOP)
            self.polling.start(wait_for_loop=WAIT_FOR_LOOP)
            self._company.start()
            undo.callback(self._company.stop)
            self.exporters.take_part()
            undo.callback(run_at_exit(self._stop_at_exit))
            self._begun_in = os.getpid()
            self.is_stopping = False
            self._undo = undo.pop_all()

    def _note_the_end(self) -> None:
        self.is_stopping = True
        self._company.publish_soon()

    def _drain_progress(self) -> Progress:
        in_flight = self.http.in_progress_in_all()
        state = self.lifecycle.state
        elapsed = self.lifecycle.budget - self.lifecycle.remaining()
        delay = max(self.lifecycle.drain_delay, ALL_KNOW if shared.meeting_place() is not None else 0.0)
        noticed = state is not State.PREPARING or elapsed >= delay
        return Progress(str(state), self.is_stopping and noticed and in_flight == 0, in_flight)

    def _stop_at_exit(self) -> None:
        """At the end of the interpreter: not in a child that neither started nor serves, whose hooks and flushes are its parent's."""
        if self._is_ours_to_stop():
            self.stop()

    def _is_ours_to_stop(self) -> bool:
        return os.getpid() in {self._begun_in, self._served_in}

    def renew(self) -> None:
        """In a new child process: have a lock that nobody holds."""
        self._guard = threading.Lock()

    def _end(self) -> None:
        with self._guard:
            undo, self._undo = self._undo, None
        if undo is not None:
            undo.close()
        _process.leave(self)


class _Process:
    """What a process has at most one of."""

    def __init__(self) -> None:
        self.guard = threading.RLock()
        self.runtime: Runtime | None = None
        self.polled: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {}
        self._trial: Polling | None = None

    def renew(self) -> None:
        """In a new child process: have a lock that nobody holds."""
        self.guard = threading.RLock()

    def enter(self, runtime: Runtime) -> None:
        """Begin a runtime, for the first time or again."""
        renew_after_fork(self)
        with self.guard:
            if self.runtime is not None:
                raise AlreadyStarted(
                    f"measurand has been started in this process, for the service {self.runtime.config.service!r}; "
                    "call measurand.start() once, or stop() the runtime that it returned before starting again"
                )
            runtime.lifecycle.restart()
            runtime._begin()
            self.runtime = runtime

    def try_polling(self, name: str, callback: Callable[..., Any], settings: dict[str, Any]) -> None:
        """Register where nothing is ever called: there may be no runtime yet, and what is replaced has to stay if this fails."""
        self._trial = self._trial or Polling(registry=CollectorRegistry())
        self._trial.register(name, callback, **settings)
        self._trial.unregister(name)

    def leave(self, runtime: Runtime) -> None:
        """The runtime has ended."""
        with self.guard:
            if self.runtime is runtime:
                self.runtime = None


_process = _Process()


def start(
    service: str | None = None,
    environment: str | None = None,
    version: str | None = None,
    *,
    checks: Iterable[Checkable] = (),
    domains: Mapping[str, Domain] | None = None,
    exporters: Iterable[Exporter | str] = (),
    registry: CollectorRegistry = REGISTRY,
    **settings: Unpack[Settings],
) -> Runtime:
    """Start what runs beside the application: identity, pollers, health checks, pages, lifecycle.

    Every setting that is not passed is read from the environment (``MEASURAND_…``, ``SERVICE_NAME``, ``ENVIRONMENT``); see
    :class:`measurand.config.Config` for all of them.

    Args:
        service: The service's name.
        environment: Where it runs, such as ``production``.
        version: The service's version.
        checks: Health checks: :class:`~measurand.health.check.Check`, or functions, whose names they take.
        domains: Further domains, each by the path of its metrics page.
        exporters: Where the metrics go besides being scraped: exporters of :mod:`measurand.exporters`, one's own, or addresses such as
            ``statsd://127.0.0.1:8125``. Those of ``MEASURAND_EXPORTERS`` come besides.
        registry: The registry that the service's metrics are in.
        **settings: The other settings by name.

    Returns:
        The runtime, running.

    Raises:
        AlreadyStarted: There is one in this process; it has to be stopped first.
        ConfigurationError: A setting cannot be used; nothing has been started.
        TypeError: There is no setting of that name.
    """
    refuse_unknown(settings)
    checks, exporters, domains = several("checks", checks), several("exporters", exporters), by_path(domains)
    options: dict[str, Any] = {"service": service, "environment": environment, "version": version, **settings}
    options = {name: tuple(value) if isinstance(value, Iterator) else value for name, value in options.items()}  # it is read twice
    with _process.guard:
        if _process.runtime is not None and _process.runtime.gives_way:
            _process.runtime.stop(timeout=0.0)
        if _process.runtime is not None:
            _process.enter(_process.runtime)
        config = Config.read(options)
        for line in unknown_variables():
            LOG.warning("%s", line)
        options = passed({**options, "checks": checks, "domains": domains, "exporters": exporters, "registry": registry})
        alike = likeness(options)  # before the runtime changes an exporter
        runtime = Runtime(config, registry, checks, domains, exporters)
        runtime.options, runtime._likeness = options, alike
        for name, (callback, polling) in _process.polled.items():
            runtime.polling.register(name, callback, **polling)
        _process.enter(runtime)
    return runtime


def current() -> Runtime | None:
    """The runtime of this process, or ``None`` if none has been started."""
    return _process.runtime


def register_for_polling(name: str, callback: Callable[..., Any], **settings: Any) -> None:
    """Call a function again and again, from when the runtime starts, or from now on if it has started.

    For module level: the registration belongs to the process and outlives a runtime. The same function registered again, as a reload does,
    takes the place of the first.

    Args:
        name: What it is called in logs and metrics.
        callback: The function; synchronous or not.
        **settings: As for :meth:`measurand.lifecycle.polling.Polling.register`: ``interval``, ``timeout``, ``first``, ``within``,
            ``per_process``.

    Raises:
        ConfigurationError: The name belongs to another function, or a setting cannot be used; all stays as it was.
        TypeError: There is no setting of that name.
    """
    renew_after_fork(_process)
    with _process.guard:
        known = _process.polled.get(name)
        if known is not None and place(known[0]) != place(callback):
            raise ConfigurationError(f"{name!r} is polled already, by {called(known[0])}; choose another name for {called(callback)}")
        _process.try_polling(name, callback, settings)
        runtime = _process.runtime
        if runtime is not None:
            if known is not None:
                runtime.polling.unregister(name)
            runtime.polling.register(name, callback, **settings)
        _process.polled[name] = (callback, settings)
