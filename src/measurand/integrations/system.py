"""The machine and the container, looked at again and again in the background: what psutil and the control group tell, where they are.

::

    runtime = measurand.start(...)
    instrument(runtime.polling, paths=["/", "/var/lib/data"])

Nothing is looked at in a scrape or in an event loop: one process of the service at a time looks, in a thread of polling, and every
process shows what it found. Without psutil there are no ``system_…`` metrics, and without limits no ``cgroup_…`` metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from measurand.catalog.cgroup import CgroupReader
from measurand.catalog.system import SystemMetrics, SystemMonitor, SystemSnapshot
from measurand.errors import ConfigurationError, MissingExtra
from measurand.integrations.handle import Handle, Installations, version_of
from measurand.integrations.psutil import PsutilMonitor
from measurand.lifecycle.polling import Polling
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["INTERVAL", "Monitor", "instrument"]

INTERVAL = 15.0
"""Seconds between two looks."""

PATIENCE = 4
"""How many intervals what is known lasts."""

LEAST = 60.0
"""Seconds that it lasts at least: with a short interval, a busy machine would make it come and go."""

NAME = "system"
"""What it is called among what is polled."""


class Monitor:
    """The :class:`~measurand.catalog.system.SystemMonitor` of what there is: the machine by psutil, the container by its control group.

    Args:
        paths: The paths whose file systems are looked at.
        cgroup: What reads the limits.
        longest: Seconds between two snapshots beyond which the CPU's use is unknown.

    Attributes:
        about: What it looks at, in a few words.

    Raises:
        MissingExtra: psutil is missing, or too old, and there is no control group either.
    """

    def __init__(self, paths: Sequence[str] = ("/",), cgroup: CgroupReader | None = None, *, longest: float = 3600.0) -> None:
        self._cgroup = cgroup or CgroupReader()
        version = self._cgroup.version()
        self._host: SystemMonitor | None = None
        try:
            self._host = PsutilMonitor(paths, longest=longest)
        except MissingExtra:
            if version is None:
                raise
        host = "no psutil" if self._host is None else f"psutil {version_of('psutil')}"
        self.about = f"{host}, {'no control group' if version is None else f'control group of version {version}'}"

    def snapshot(self) -> SystemSnapshot:
        """The system now."""
        host = SystemSnapshot() if self._host is None else self._host.snapshot()
        limits = self._cgroup.read()
        return replace(
            host,
            memory_limit_bytes=limits.memory_limit_bytes,
            memory_usage_bytes=limits.memory_usage_bytes,
            cpu_quota_cores=limits.cpu_quota_cores,
            cpu_throttled_seconds=limits.cpu_throttled_seconds,
        )


class _System:
    """What there is one of."""


_system = _System()
_installations = Installations()


def instrument(
    target: Polling | None = None,
    *,
    metrics: SystemMetrics | None = None,
    registry: CollectorRegistry = REGISTRY,
    interval: float = INTERVAL,
    paths: Sequence[str] = ("/",),
    monitor: SystemMonitor | None = None,
) -> Handle:
    """Record the machine's and the container's metrics. Safe from any thread; the system is looked at by one of these at a time.

    Args:
        target: What calls in the background, such as ``runtime.polling``; a polling of its own by default.
        metrics: The set to record to.
        registry: Where the metrics are exposed, if no set is given.
        interval: Seconds between two looks. What could not be looked at for four of them, a minute at least, is no longer exposed.
        paths: The paths whose file systems are looked at.
        monitor: Where snapshots come from, in place of the real system.

    Raises:
        MissingExtra: psutil is missing, or too old, and there is no control group either.
        ConfigurationError: The interval is not positive, or the polling has another callback called ``system``.
    """

    def make() -> Handle:
        if not isinstance(interval, int | float) or not 0 < interval < float("inf"):
            raise ConfigurationError(f"interval must be a number of seconds above 0, not {interval!r}")
        lasts = max(PATIENCE * interval, LEAST)
        source = monitor or Monitor(paths, longest=lasts)  # who takes over from another process has not looked for long
        chosen = metrics or SystemMetrics(registry, max_age=lasts)
        polling = target or Polling(registry=registry)
        polling.register(NAME, lambda: chosen.record(source.snapshot()), interval=interval)
        if target is None:
            polling.start()

        def undo(_: _System) -> None:
            with suppress(ConfigurationError):  # somebody took it out
                polling.unregister(NAME)
            if target is None:
                polling.stop()

        return Handle(f"system: {getattr(source, 'about', type(source).__name__)}", chosen, _system, undo)

    return _installations.once(_system, metrics, make)
