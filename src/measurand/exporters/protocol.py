"""What a destination is: something with a name, an interval, and ``export(snapshot)``.

The schedule, failures and the last delivery at the end are the business of the runtime, so that a destination is nothing but "these numbers
go there"::

    class Console:
        name = "console"
        interval = 60.0

        def export(self, snapshot: Gathering) -> None:
            print(encode(snapshot).decode())
"""

from __future__ import annotations

from typing import Protocol

from measurand.metrics.collecting import Gathering

__all__ = ["Exporter"]


class Exporter(Protocol):
    """A destination of all metrics, for values that go on from export to export (totals, not differences).

    Attributes:
        name: What it is called in logs and in the library's own metrics; one service cannot have two of one name.
        interval: Seconds between two exports.
    """

    name: str
    interval: float

    def export(self, snapshot: Gathering) -> None:
        """Deliver a snapshot; returns when it has arrived, raises when it has not.

        Called from one thread at a time, never from the application's. It may take its time, but has to give up at some point: a call that
        is still running is not made again, and at the end of the service there is only so much time.
        """
        ...
