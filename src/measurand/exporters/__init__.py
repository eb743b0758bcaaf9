"""Snapshots delivered to somewhere, one file per destination.

::

    from measurand.exporters import OTLP, StatsD

    measurand.start("shop", exporters=[StatsD("127.0.0.1:8125"), OTLP("http://127.0.0.1:4318")])

What a destination is, and how to write one: :mod:`measurand.exporters.protocol`. A name loads its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from measurand.exporters.cloudwatch import CloudWatch as CloudWatch
    from measurand.exporters.console import Console as Console
    from measurand.exporters.dogstatsd import DogStatsD as DogStatsD
    from measurand.exporters.emf import EMF as EMF
    from measurand.exporters.memory import Memory as Memory
    from measurand.exporters.otlp import OTLP as OTLP
    from measurand.exporters.pushgateway import Pushgateway as Pushgateway
    from measurand.exporters.remote_write import RemoteWrite as RemoteWrite
    from measurand.exporters.routing import Route as Route
    from measurand.exporters.statsd import StatsD as StatsD
    from measurand.exporters.textfile import Textfile as Textfile

_MODULE_OF = {
    "CloudWatch": "cloudwatch",
    "Console": "console",
    "DogStatsD": "dogstatsd",
    "EMF": "emf",
    "Memory": "memory",
    "OTLP": "otlp",
    "Pushgateway": "pushgateway",
    "RemoteWrite": "remote_write",
    "Route": "routing",
    "StatsD": "statsd",
    "Textfile": "textfile",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
