"""What a destination is: something with a name, an interval, and ``export(snapshot)``.

The schedule, failures, exact differences and the last delivery at the end are the business of the runtime, so that a destination is
nothing but "these numbers go there"::

    class Log:
        name = "log"
        interval = 60.0

        def export(self, snapshot: Snapshot) -> None:
            for family in snapshot.points():
                for series in family.series:
                    print(family.exposed_name, dict(series.labels), series.numbers)

What stands in ``series.numbers`` follows from the family's type, see :mod:`measurand.metrics.points`.

**Totals or differences.** A destination that adds up what it is sent says ``temporality = "delta"``: the numbers of counters, summaries and
histograms are then what was recorded since the last delivery that *arrived*. ``export`` that returns has delivered all; one that raises has
delivered nothing, or the series that it had passed to ``snapshot.acknowledge(…)`` before. What is not acknowledged is part of the next
snapshot, so that nothing is lost and nothing is sent twice. Gauges are values in any case.

**Failures.** Anything may be raised; it is counted and logged once until it works again. :class:`~measurand.errors.ExportFailed` can say
more: how many points were given up for good, and when it makes sense to try again. What a destination can never have, such as a number that
is none, is no failure: it is left out and added to ``snapshot.dropped``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from measurand.metrics.points import PointFamily, Series

__all__ = ["Exporter", "Snapshot", "Temporality", "temporality_of"]

Temporality = Literal["cumulative", "delta"]


class Snapshot(Protocol):
    """The numbers at one moment, or what has changed since the last delivery.

    A destination of totals gets a :class:`~measurand.metrics.collecting.Gathering`, which the encoders of whole pages take; one of
    differences a :class:`~measurand.exporters.deltas.Change`.

    Attributes:
        time: When it was taken, in seconds since the Unix epoch.
        seconds: How long the delivery may take; infinity if there is time.
        dropped: How many points are given up because the destination cannot have them; the exporter adds to it, and it is counted even
            if the export returns.
    """

    time: float
    seconds: float
    dropped: int

    def points(self) -> list[PointFamily]:
        """Its families as series of numbers."""
        ...

    def acknowledge(self, family: PointFamily, series: Iterable[Series]) -> None:
        """Say that these series of a family have arrived, or are given up; for snapshots of totals it does nothing."""
        ...


class Exporter(Protocol):
    """A destination of metrics.

    It may have besides: ``temporality``, ``"delta"`` for a destination that adds up; ``registry``, delivered in place of the service's;
    ``select(families)``, which returns those of a snapshot's families that it wants; ``identify(service, environment, version)``, called
    when it is added to a service; ``check()``, called at the beginning, which raises if the destination is not there; ``end(seconds)``,
    called after the last numbers of the service have arrived, in the one process that delivered them; ``close()``, called when the process
    does not use it any more.

    Attributes:
        name: What it is called in logs and in the library's own metrics; one service cannot have two of one name.
        interval: Seconds between two exports.
    """

    name: str
    interval: float

    def export(self, snapshot: Any) -> None:
        """Deliver a :class:`Snapshot`; returns when it has arrived, raises when it has not.

        Called from one thread at a time, never from the application's. It may take its time, but has to give up at some point: a call that
        is still running is not made again, and at the end of the service there is only so much time, ``snapshot.seconds``.
        """
        ...


def temporality_of(exporter: Exporter) -> Temporality:
    """What an exporter wants: totals unless it says otherwise."""
    temporality: Temporality = getattr(exporter, "temporality", "cumulative")
    return temporality
