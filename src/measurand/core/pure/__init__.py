"""The pure-Python twin: the reference for what the C core does, and what serves where the C core cannot be built."""

from measurand.core.pure.lines import Frozen, Layout, format_number, freeze
from measurand.core.pure.place import is_at, move, watch
from measurand.core.pure.recording import CounterBase, GaugeBase, HistogramBase, SummaryBase
from measurand.core.pure.series import (
    Instrument,
    children,
    created,
    define,
    dropped,
    exemplars,
    key,
    payload,
    read,
    root,
    set_exemplars,
    set_payload,
    spec,
    stands,
    write,
)
from measurand.core.pure.timer import OutcomeTimer, Timer, now

implementation = "python"

__all__ = [
    "CounterBase",
    "Frozen",
    "GaugeBase",
    "HistogramBase",
    "Instrument",
    "Layout",
    "OutcomeTimer",
    "SummaryBase",
    "Timer",
    "children",
    "created",
    "define",
    "dropped",
    "exemplars",
    "format_number",
    "freeze",
    "implementation",
    "is_at",
    "key",
    "move",
    "now",
    "payload",
    "read",
    "root",
    "set_exemplars",
    "set_payload",
    "spec",
    "stands",
    "watch",
    "write",
]
