"""Numbers in memory: the C core where it was built, else its pure-Python twin.

``MEASURAND_PURE=1`` in the environment forces the twin; it is read once, when the core is first needed. What both promise stands in
:mod:`measurand.core.contract`.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from measurand.core.contract import DEFAULT_MAX_SERIES, OVERFLOW_VALUE, Exemplar, Spec

if TYPE_CHECKING or os.environ.get("MEASURAND_PURE") == "1":
    from measurand.core import pure as _twin
else:
    try:
        from measurand.core import _native as _twin
    except ImportError:
        from measurand.core import pure as _twin

        warnings.warn(
            "measurand runs on its pure-Python core: correct, and several times slower, because the C core was not built when it "
            "was installed. Install a C compiler and the Python headers and reinstall measurand, or set MEASURAND_PURE=1 to choose "
            "this core and silence this warning.",
            RuntimeWarning,
            stacklevel=2,
        )

if TYPE_CHECKING:
    from measurand.core.pure import *  # noqa: F403 - types come from the Python twin
else:
    globals().update({name: getattr(_twin, name) for name in _twin.__all__})

__all__ = [
    "DEFAULT_MAX_SERIES",
    "OVERFLOW_VALUE",
    "CounterBase",
    "Exemplar",
    "Frozen",
    "GaugeBase",
    "HistogramBase",
    "Instrument",
    "Layout",
    "OutcomeTimer",
    "Spec",
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
