"""From a registry to a snapshot, with every collector kept apart from the others.

Instruments are copied straight from their cells. Code that is not ours (custom collectors, gauge callbacks) runs under a deadline, and
what it raises is caught: the rest of the snapshot is not affected, the failure is logged once and counted in
``measurand_collect_failures_total{collector, reason}``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from math import inf
from typing import Any, NamedTuple

from measurand import clock, core
from measurand.metrics import foreign, shared
from measurand.metrics.definition import definition_of, is_plain
from measurand.metrics.domains import REGISTRY
from measurand.metrics.names import SUFFIXES, underscored
from measurand.metrics.points import PointFamily, Series, points_of
from measurand.metrics.registry import CollectorRegistry, RestrictedRegistry, families_of
from measurand.metrics.remembered import Failures, State, state_of
from measurand.metrics.snapshot import CellFamily, Family, SampleFamily, name_of, restricted

__all__ = ["DEADLINE", "Failures", "Gathering", "gather", "is_quick"]

CallHere = Callable[[Callable[[], Any]], Any]
Select = Callable[[list[Family]], list[Family]]

QUICK_SERIES = 500
"""How many series a snapshot may have to count as quick."""

DEADLINE = 5.0
"""Seconds that all foreign code of one snapshot may take together; a scrape times out after 10 by default."""


class _Job(NamedTuple):
    """A piece of foreign code, whose it is, and where its result belongs: a slot of families, or one row of the slot's only family."""

    slot: int
    owner: Any
    label: str
    call: Callable[[], Any]
    row: int | None = None


class Gathering:
    """A snapshot, and where to report families that cannot be encoded.

    Attributes:
        families: The families, each name once.
        failures: The registry's failures; an encoder adds to them.
        registry: Whose snapshot it is.
        time: When it was taken, in seconds since the Unix epoch.
        seconds: How long delivering it may take; infinity if there is time.
        dropped: How many points an exporter has given up.
        is_whole: Whether it has what the other processes of the service recorded; see :func:`measurand.metrics.shared.combine`.
    """

    def __init__(
        self,
        families: list[Family],
        failures: Failures,
        registry: Any = None,
        seconds: float = inf,
        *,
        is_whole: bool = True,
        names: frozenset[str] | None = None,
    ) -> None:
        self.families = families
        self.failures = failures
        self.time = clock.wall()
        self.seconds = seconds
        self.dropped = 0
        self.registry = registry
        self.is_whole = is_whole
        self._names = names
        self._select: Select = list
        self._points: list[PointFamily] | None = None

    def points(self) -> list[PointFamily]:
        """The families as series of numbers; see :mod:`measurand.metrics.points`."""
        if self._points is None:
            self._points = points_of([*self.families, *self.report()])
        return self._points

    def acknowledge(self, family: PointFamily, series: Iterable[Series]) -> None:
        """Say that something has arrived: nothing depends on it where totals are sent."""

    def select(self, select: Select) -> None:
        """Have only what a function makes of the families, those of :meth:`report` included. To be called once, and first."""
        self.families = select(self.families)
        self._select = select

    def report(self) -> list[Family]:
        """What failed, as a metric like any other of the registry: with its common labels, and only if its domain admits it."""
        if not self.failures.counts:
            return []
        families: list[Family] = [self.failures.family()]
        if isinstance(self.registry, CollectorRegistry):
            families = self.registry.permitted([self.failures.family().with_labels(self.registry.common_labels)])
        return self._select(_named(families, self._names))


def gather(registry: Any, timeout: float = DEADLINE, call_here: CallHere | None = None) -> Gathering:
    """Take a snapshot of a registry.

    Args:
        registry: A ``CollectorRegistry``, a restricted one, or any object with ``collect()``.
        timeout: Seconds that code which is not ours may take in all.
        call_here: Runs a function where the application's own thread-bound state is (an event loop, for example); code that fails in a
            helper thread is tried once more through it. Default: the calling thread.
    """
    base, names = _unrestricted(registry)
    state = state_of(base)
    here = call_here or _call
    slots: list[list[Family]] = []
    jobs: list[_Job] = []
    ours: dict[int, Any] = {}  # instruments, by slot

    sharing = shared.current()
    claimed = sharing and sharing.claims
    if isinstance(base, CollectorRegistry):
        slots.append(list(base.target_families()))
        for collector in registry.collectors():
            slots.append([])
            label = _label(collector)
            if not is_plain(collector):
                jobs.append(_Job(len(slots) - 1, collector, label, partial(base.families, collector)))
                continue
            slots[-1] = found = base.families(collector)
            ours[len(slots) - 1] = collector
            for family in found:
                if isinstance(family, CellFamily):
                    jobs += [_Job(len(slots) - 1, call, label, partial(_number, call), row) for row, call in family.frozen.payloads()]
        if base is REGISTRY:
            for collector, read in foreign.readers(REGISTRY):
                slots.append([])
                jobs.append(_Job(len(slots) - 1, collector, _label(collector), read))
    else:
        slots.append([])
        jobs.append(_Job(0, base, _label(base), lambda: list(families_of(base.collect()))))

    permitted = base.permitted if isinstance(base, CollectorRegistry) else list
    _run(jobs, slots, state, timeout, here, call_here is not None, permitted)
    is_whole = True
    if isinstance(base, CollectorRegistry):
        is_whole = shared.combine(base, ours, slots, state.failures.add, claimed)
    families = _distinct([family for slot in slots for family in slot], state.failures)
    families = _named(families, names)
    return Gathering(families, state.failures, base, is_whole=is_whole, names=names)


def _unrestricted(registry: Any) -> tuple[Any, frozenset[str] | None]:
    """The registry behind one that shows some names only, and these names: what is remembered belongs to the registry."""
    if isinstance(registry, RestrictedRegistry):
        return registry.registry, registry.names
    return foreign.unrestricted(registry)


def _named(families: list[Family], names: frozenset[str] | None) -> list[Family]:
    if names is None:
        return families
    return [wanted for family in families if (wanted := restricted(family, names)) is not None]


def is_quick(registry: Any) -> bool:
    """Whether a snapshot of the registry is small and runs no foreign code, so that taking it is a matter of a millisecond."""
    if not isinstance(registry, CollectorRegistry) or (registry is REGISTRY and foreign.readers(REGISTRY)):
        return False
    total = 0
    for collector in registry.collectors():
        if not is_plain(collector):
            return False
        series = core.children(collector) or [collector]
        total += len(series)
        if total > QUICK_SERIES or any(callable(core.payload(one)) for one in series):
            return False
    return True


def _run(
    jobs: list[_Job],
    slots: list[list[Family]],
    state: State,
    timeout: float,
    here: CallHere,
    elsewhere: bool,
    permitted: Callable[[list[Family]], list[Family]],
) -> None:
    experience = [state.bound_to_thread(job.owner, elsewhere) for job in jobs]
    free = [job for job, is_bound in zip(jobs, experience, strict=True) if not is_bound]
    bound = [job for job, is_bound in zip(jobs, experience, strict=True) if is_bound]
    hopeless = {id(job) for job, is_bound in zip(jobs, experience, strict=True) if is_bound is False}
    outcomes = state.relay.run([(id(job.owner), job.call) for job in free], timeout) if free else []
    failed_rows: dict[int, list[int]] = {}

    def take(job: _Job, value: Any) -> None:
        if job.row is None:
            slots[job.slot] = list(permitted(value))  # another snapshot may have the same
            if len(slots[job.slot]) < len(value):
                names = sorted({family.name for family in value} - {family.name for family in slots[job.slot]})
                state.failures.add(job.label, "refused", hint=f": against the rules of the domain: {', '.join(names)}")
        else:
            for family in slots[job.slot]:
                if isinstance(family, CellFamily):
                    family.frozen.put(job.row, value)

    def take_what_comes(job: _Job, value: Any) -> None:
        try:
            take(job, value)
        except Exception as error:  # noqa: BLE001 - what the domain's rules are held against may be no sample at all
            give_up(job, "invalid", error)

    def give_up(job: _Job, reason: str, error: BaseException | None = None) -> None:
        state.failures.add(job.label, reason, error)
        leave_out(job)

    def leave_out(job: _Job) -> None:
        if job.row is not None:
            failed_rows.setdefault(job.slot, []).append(job.row)

    def try_here(job: _Job) -> bool:
        try:
            take(job, here(job.call))
        except BaseException as error:
            if _is_for_the_program(error):
                raise
            give_up(job, "error", error)
            return False
        return True

    for job, outcome in zip(free, outcomes, strict=True):
        if outcome.nested:
            leave_out(job)
        elif outcome.late:
            give_up(job, "timeout")
        elif outcome.error is None:
            state.forget(job.owner, elsewhere)
            take_what_comes(job, outcome.value)
        elif isinstance(outcome.error, Exception) and id(job) not in hopeless:
            state.remember(job.owner, elsewhere, works=try_here(job))
        else:
            give_up(job, "error", outcome.error)
    for job in bound:
        try_here(job)
    for slot, rows in failed_rows.items():
        for family in slots[slot]:
            if isinstance(family, CellFamily):
                family.frozen.drop(rows)


def _is_for_the_program(error: BaseException) -> bool:
    """Whether an exception is not the collector's: what the handler of a signal raises, which runs in the main thread only."""
    is_main = threading.current_thread() is threading.main_thread()
    return isinstance(error, KeyboardInterrupt) or (is_main and isinstance(error, SystemExit))


def _distinct(families: list[Family], failures: Failures) -> list[Family]:
    """Each series once: families of one name and type from several collectors are joined; what else claims a name is left out."""
    found: dict[str, Family] = {}
    owner_of: dict[str, str] = {}
    if all(isinstance(family, CellFamily) for family in families):
        return families  # the registry saw to it
    for family in families:
        if not isinstance(family.name, str) or not isinstance(family.type, str):
            label = family.name if isinstance(family.name, str) else ascii(family.name)
            failures.add(label, "invalid", hint=f": {family.name!a} of type {family.type!a} is no family")
            continue
        names = _series_names(family)
        rival = next((owner_of[name] for name in names if owner_of.get(name, family.name) != family.name), None)
        first = found.get(family.name if rival is None else rival)
        if first is None:
            found[family.name] = family
        elif rival is None and first.type == family.type:
            content = [*first.samples(), *family.samples()]
            found[family.name] = SampleFamily(first.name, first.documentation, first.type, first.unit, content)
        else:
            hint = f": the {family.type} {family.name} has series of the {first.type} {first.name}, which is collected too"
            failures.add(family.name, "duplicate", hint=hint)
            continue
        owner_of.update(dict.fromkeys(names, family.name))
    return list(found.values())


def _series_names(family: Family) -> list[str]:
    """The names that a family takes for itself, also as they are shown to a scraper that knows only the classic set."""
    if isinstance(family, CellFamily):
        names = family.definition.series_names(SUFFIXES)
    else:
        shown = {"counter": "_total", "info": "_info"}.get(family.type, "")
        names = list({family.name, family.name + shown, *filter(None, map(name_of, family.content))})
    return [*names, *(underscored(name) for name in names)]


def _call(function: Callable[[], Any]) -> Any:
    return function()


def _number(callback: Callable[[], float]) -> float:
    return float(callback())


def _label(collector: Any) -> str:
    definition = definition_of(collector)
    return definition.name if definition is not None else type(collector).__qualname__
