"""Exporters in their intervals, and once more at the end.

Each is polled by its own interval, so one that hangs or fails concerns nobody else; a failure is counted, and logged once until it works
again. When the service shuts down, each delivers the final numbers within what is left of the budget.

Of several processes of a service one exports, see ``polling``, and the last one to stop delivers the final numbers: what the others have
counted is in its snapshot too, and nothing that is older can arrive after it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from math import inf
from typing import Any

from measurand import clock
from measurand.catalog.export import ExportMetrics
from measurand.errors import ConfigurationError, ExportFailed
from measurand.exporters.addresses import from_address
from measurand.exporters.delivery import Delivery
from measurand.exporters.protocol import Exporter
from measurand.lifecycle.background import renew_after_fork
from measurand.lifecycle.coordinator import Coordinator, Event
from measurand.lifecycle.polling import Polling
from measurand.metrics import shared
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["Exporting"]

LOG = logging.getLogger("measurand")

JITTER = 0.2
"""By which part of its interval an exporter's first export may come earlier."""

LONGEST_RETRY = 600.0
"""Seconds that an exporter is left alone at most because its destination asks for it."""


_TWO = "there are two exporters named {!r}; give each a name of its own: name='…'"


class Exporting:
    """The exporters of a service; safe from any thread.

    Args:
        polling: Calls them in their intervals.
        coordinator: Calls them at the end.
        registry: What they deliver if they do not say otherwise, and where failures are counted.
        identity: The service's ``service``, ``environment`` and ``version``, for destinations that want to know.
    """

    def __init__(
        self,
        polling: Polling,
        coordinator: Coordinator,
        registry: CollectorRegistry = REGISTRY,
        identity: Mapping[str, str] | None = None,
    ) -> None:
        self._polling = polling
        self._identity = identity
        self._coordinator = coordinator
        self._registry = registry
        self._metrics = ExportMetrics(registry)
        self._destinations: dict[str, _Destination] = {}
        self._takes_part = False
        self._lock = threading.Lock()
        coordinator.on(Event.PREPARE_SHUTDOWN, self._hand_over, name="exporters")
        renew_after_fork(self)

    def __iter__(self) -> Iterator[Exporter]:
        return iter([destination.exporter for destination in list(self._destinations.values())])

    def __len__(self) -> int:
        return len(self._destinations)

    def add(self, *exporters: Exporter | str) -> None:
        """Deliver to these too, from now on; all of them, or none.

        Args:
            exporters: Exporters, or their addresses, see :mod:`measurand.exporters.addresses`.

        Raises:
            ConfigurationError: Something is no exporter, or has the name of another one.
            MissingExtra: A destination needs a library that is not installed.
        """
        chosen: dict[str, Exporter] = {}
        for given in exporters:
            exporter = _checked(from_address(given) if isinstance(given, str) else given)
            if exporter.name in chosen:
                raise ConfigurationError(_TWO.format(exporter.name))
            chosen[exporter.name] = exporter
            if self._identity is not None and hasattr(exporter, "identify"):
                exporter.identify(**self._identity)
        made = [_Destination(exporter, self._registry, self._metrics) for exporter in chosen.values()]
        with self._lock, ExitStack() as undo:
            for destination in made:
                if destination.name in self._destinations:
                    raise ConfigurationError(_TWO.format(destination.name))
                interval = destination.exporter.interval
                self._polling.register(
                    destination.poller, destination.export, interval=interval, first="after-interval", jitter=JITTER
                )
                undo.callback(self._polling.unregister, destination.poller)
                self._coordinator.add_flush(destination.name, destination.flush)
                undo.callback(self._coordinator.remove_flush, destination.name)
            undo.pop_all()
            self._destinations |= {destination.name: destination for destination in made}
            takes_part = self._takes_part
        if takes_part:
            self._begin(made)

    def remove(self, name: str, timeout: float = 5.0) -> None:
        """Deliver the numbers of this moment to an exporter, and nothing after that.

        Args:
            name: The exporter's name.
            timeout: Seconds that the last delivery may take.

        Raises:
            ConfigurationError: There is no exporter of this name.
        """
        with self._lock:
            destination = self._destinations.pop(name, None)
        if destination is None:
            known = ", ".join(map(repr, self._destinations)) or "none"
            raise ConfigurationError(f"there is no exporter named {name!r}; these are: {known}")
        self._coordinator.remove_flush(name)
        self._polling.unregister(destination.poller)
        destination.retire(timeout)

    def take_part(self) -> None:
        """To be called in every process that will shut down in an orderly way.

        The others leave the final numbers to it if it is the last one. Destinations that can be asked whether they are there are asked, in
        the background.
        """
        with self._lock:
            self._takes_part = True
            destinations = list(self._destinations.values())
        self._begin(destinations)

    def _begin(self, destinations: list[_Destination]) -> None:
        for destination in destinations:
            shared.take_part(destination.task)
        checks = [destination for destination in destinations if hasattr(destination.exporter, "check")]
        if checks:
            thread = threading.Thread(target=_check, args=(checks,), name="measurand-export-check", daemon=True)
            try:
                thread.start()
            except RuntimeError as reason:
                LOG.warning("whether the exporters can deliver is not checked: %s", reason)

    def _hand_over(self) -> None:
        for destination in list(self._destinations.values()):
            destination.hand_over()

    def renew(self) -> None:
        """In a new child process: have locks that nobody holds."""
        self._lock = threading.Lock()
        for destination in self._destinations.values():
            destination.renew()


def _check(destinations: Iterable[_Destination]) -> None:
    for destination in destinations:
        destination.check()


def _checked(exporter: Any) -> Exporter:
    lacking = [name for name in ("name", "interval", "export") if not hasattr(exporter, name)]
    if lacking or isinstance(exporter, type):
        hint = "; give an instance of it" if isinstance(exporter, type) else ""
        raise ConfigurationError(f"{exporter!r} is no exporter: it has no {' and no '.join(lacking) or 'name of its own'}{hint}")
    interval = exporter.interval
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval < inf:
        raise ConfigurationError(f"the interval of the exporter {exporter.name!r} must be a number of seconds above 0, not {interval!r}")
    if getattr(exporter, "temporality", "cumulative") not in ("cumulative", "delta"):
        raise ConfigurationError(f"the temporality of {exporter.name!r} must be 'cumulative' or 'delta', not {exporter.temporality!r}")
    checked: Exporter = exporter
    return checked


class _Destination:
    """One exporter. The lock keeps the last delivery from overlapping with one that is under way."""

    def __init__(self, exporter: Exporter, registry: CollectorRegistry, metrics: ExportMetrics) -> None:
        self.exporter = exporter
        self.name = exporter.name
        self.task = f"export {exporter.name}"
        self.poller = f"export_{exporter.name}"
        self._delivery = Delivery(exporter, registry)
        self._failures = metrics.failures.labels(exporter.name)
        self._dropped = metrics.dropped.labels(exporter.name)
        self._turn = threading.Lock()
        self._not_before = -inf
        self._is_retired = False

    def export(self) -> None:
        """Deliver, unless the destination asked to be left alone for longer; then that is what is raised."""
        with self._turn:
            wait = self._not_before - clock.monotonic()
            if self._is_retired:
                return
            if wait > 0:
                raise ExportFailed(f"{self.name} asked to be left alone; it is for another {wait:.0f} s")
            self._export(inf)

    def retire(self, seconds: float) -> None:
        """Deliver the numbers of this moment and nothing after that."""
        self._is_retired = True
        self.flush(seconds)

    def hand_over(self) -> None:
        """Let the other processes know what has arrived, if this one exported while it was alone; they may export from now on."""
        if self._turn.acquire(blocking=False):
            try:
                self._delivery.hand_over()
            finally:
                self._turn.release()

    def flush(self, seconds: float) -> str | None:
        """Deliver the final numbers, unless another process will, and say what was lost."""
        begun = clock.system_monotonic()
        has_turn = self._turn.acquire(
            timeout=max(seconds, 0.0)
        )  # first: what is under way here must not arrive after what the last one sends
        try:
            with shared.stepping_back(self.task) as is_last:
                if not is_last:
                    LOG.info("the last numbers for %s are left to the other processes of this service", self.name)
                    if has_turn:
                        self._delivery.hand_over()
                    return None
                if not has_turn:
                    return "the last numbers: the export before is still under way"
                self._export(max(seconds - (clock.system_monotonic() - begun), 0.0))
                self._end(max(seconds - (clock.system_monotonic() - begun), 0.0))
        except Exception as reason:
            LOG.warning("the last export to %s failed", self.name, exc_info=True)
            return f"the last numbers: {type(reason).__name__}"
        finally:
            if has_turn:
                self._close()
                self._turn.release()
        return None

    def check(self) -> None:
        """Say in one line if the destination cannot deliver; one process of several asks."""
        if not shared.lead(f"poll {self.poller}"):
            return
        check: Callable[[], None] = self.exporter.check  # type: ignore[attr-defined]
        if not self._turn.acquire(blocking=False):  # what is under way shows it
            return
        try:
            check()
        except Exception as reason:  # noqa: BLE001 - it is not ours, and the service runs all the same
            LOG.warning("the exporter %s cannot deliver yet: %s; it is tried every %g s", self.name, reason, self.exporter.interval)
        finally:
            self._turn.release()

    def renew(self) -> None:
        """In a new child process: have a lock that nobody holds."""
        self._turn = threading.Lock()

    def _export(self, seconds: float) -> None:
        try:
            self._delivery.deliver(seconds)
        except BaseException as error:
            self._failures.inc()
            if isinstance(error, ExportFailed):
                self._dropped.inc(max(error.dropped, 0))
                if error.retry_after is not None:
                    self._not_before = clock.monotonic() + min(error.retry_after, LONGEST_RETRY)
            raise
        finally:
            self._dropped.inc(self._delivery.dropped)
        self._not_before = -inf

    def _end(self, seconds: float) -> None:
        end = getattr(self.exporter, "end", None)
        if end is not None:
            try:
                end(seconds)
            except Exception:
                LOG.warning("the last numbers for %s have arrived, but what was to be done after that failed", self.name, exc_info=True)

    def _close(self) -> None:
        close = getattr(self.exporter, "close", None)
        if close is not None:
            try:
                close()
            except Exception:
                LOG.warning("the exporter %s could not be closed", self.name, exc_info=True)
