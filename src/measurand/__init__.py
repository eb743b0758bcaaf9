"""measurand: the metrics layer for Python services.

Define a metric where the event happens, decide at start-up where it goes::

    from measurand import Counter

    ORDERS = Counter("orders_total", "Orders accepted", ["channel"])
    ORDERS.labels("web").inc()

What to know at first: ``Counter``, ``Gauge``, ``Histogram`` and ``timed`` to record; ``fastapi``, ``flask``, ``django`` and their like to
measure a service in one line, or ``start`` for a program without one of them; the pytest fixture ``metrics`` to test. The instrument API
is that of ``prometheus_client``. What to ignore at first: ``make_asgi_app``, ``start_http_server`` (a metrics page and nothing else),
``Domain`` (metrics that must not mix), ``CollectorRegistry`` (a registry of one's own), ``measurand.compat`` (living together with
``prometheus_client``), ``measurand.core`` (numbers in memory).

Importing this package loads nothing but this file; a name loads its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from measurand.bootstrap.frameworks import asgi as asgi
    from measurand.bootstrap.frameworks import django as django
    from measurand.bootstrap.frameworks import fastapi as fastapi
    from measurand.bootstrap.frameworks import flask as flask
    from measurand.bootstrap.frameworks import litestar as litestar
    from measurand.bootstrap.frameworks import starlette as starlette
    from measurand.bootstrap.frameworks import wsgi as wsgi
    from measurand.bootstrap.jobs import job as job
    from measurand.bootstrap.runtime import Runtime as Runtime
    from measurand.bootstrap.runtime import register_for_polling as register_for_polling
    from measurand.bootstrap.runtime import start as start
    from measurand.catalog.process import PROCESS_COLLECTOR as PROCESS_COLLECTOR
    from measurand.catalog.process import ProcessCollector as ProcessCollector
    from measurand.catalog.resources import resources as resources
    from measurand.catalog.runtime import GC_COLLECTOR as GC_COLLECTOR
    from measurand.catalog.runtime import PLATFORM_COLLECTOR as PLATFORM_COLLECTOR
    from measurand.catalog.runtime import GCCollector as GCCollector
    from measurand.catalog.runtime import PlatformCollector as PlatformCollector
    from measurand.compat import multiprocess as multiprocess
    from measurand.encoding.negotiation import CONTENT_TYPE_LATEST as CONTENT_TYPE_LATEST
    from measurand.encoding.negotiation import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE_PLAIN_0_0_4
    from measurand.encoding.negotiation import CONTENT_TYPE_PLAIN_1_0_0 as CONTENT_TYPE_PLAIN_1_0_0
    from measurand.encoding.text import generate_latest as generate_latest
    from measurand.endpoints.asgi import make_asgi_app as make_asgi_app
    from measurand.endpoints.server import MetricsHandler as MetricsHandler
    from measurand.endpoints.server import start_http_server as start_http_server
    from measurand.endpoints.server import start_wsgi_server as start_wsgi_server
    from measurand.endpoints.wsgi import make_wsgi_app as make_wsgi_app
    from measurand.exporters.pushgateway import delete_from_gateway as delete_from_gateway
    from measurand.exporters.pushgateway import instance_ip_grouping_key as instance_ip_grouping_key
    from measurand.exporters.pushgateway import push_to_gateway as push_to_gateway
    from measurand.exporters.pushgateway import pushadd_to_gateway as pushadd_to_gateway
    from measurand.exporters.textfile import write_to_textfile as write_to_textfile
    from measurand.health.check import Check as Check
    from measurand.metrics.domains import OPERATIONAL as OPERATIONAL
    from measurand.metrics.domains import REGISTRY as REGISTRY
    from measurand.metrics.domains import Domain as Domain
    from measurand.metrics.families import Metric as Metric
    from measurand.metrics.instrument import disable_created_metrics as disable_created_metrics
    from measurand.metrics.instrument import enable_created_metrics as enable_created_metrics
    from measurand.metrics.instruments import Counter as Counter
    from measurand.metrics.instruments import Enum as Enum
    from measurand.metrics.instruments import Gauge as Gauge
    from measurand.metrics.instruments import Histogram as Histogram
    from measurand.metrics.instruments import Info as Info
    from measurand.metrics.instruments import Summary as Summary
    from measurand.metrics.registry import CollectorRegistry as CollectorRegistry
    from measurand.metrics.timed import timed as timed

_MODULE_OF = {
    "CONTENT_TYPE_LATEST": "encoding.negotiation",
    "CONTENT_TYPE_PLAIN_0_0_4": "encoding.negotiation",
    "CONTENT_TYPE_PLAIN_1_0_0": "encoding.negotiation",
    "Check": "health.check",
    "CollectorRegistry": "metrics.registry",
    "Counter": "metrics.instruments",
    "Domain": "metrics.domains",
    "Enum": "metrics.instruments",
    "GCCollector": "catalog.runtime",
    "GC_COLLECTOR": "catalog.runtime",
    "Gauge": "metrics.instruments",
    "Histogram": "metrics.instruments",
    "Info": "metrics.instruments",
    "Metric": "metrics.families",
    "MetricsHandler": "endpoints.server",
    "OPERATIONAL": "metrics.domains",
    "PLATFORM_COLLECTOR": "catalog.runtime",
    "PROCESS_COLLECTOR": "catalog.process",
    "PlatformCollector": "catalog.runtime",
    "ProcessCollector": "catalog.process",
    "REGISTRY": "metrics.domains",
    "Runtime": "bootstrap.runtime",
    "Summary": "metrics.instruments",
    "asgi": "bootstrap.frameworks",
    "delete_from_gateway": "exporters.pushgateway",
    "disable_created_metrics": "metrics.instrument",
    "django": "bootstrap.frameworks",
    "enable_created_metrics": "metrics.instrument",
    "fastapi": "bootstrap.frameworks",
    "flask": "bootstrap.frameworks",
    "generate_latest": "encoding.text",
    "instance_ip_grouping_key": "exporters.pushgateway",
    "job": "bootstrap.jobs",
    "litestar": "bootstrap.frameworks",
    "make_asgi_app": "endpoints.asgi",
    "make_wsgi_app": "endpoints.wsgi",
    "multiprocess": "compat",
    "push_to_gateway": "exporters.pushgateway",
    "pushadd_to_gateway": "exporters.pushgateway",
    "register_for_polling": "bootstrap.runtime",
    "resources": "catalog.resources",
    "start": "bootstrap.runtime",
    "start_http_server": "endpoints.server",
    "start_wsgi_server": "endpoints.server",
    "starlette": "bootstrap.frameworks",
    "timed": "metrics.timed",
    "wsgi": "bootstrap.frameworks",
    "write_to_textfile": "exporters.textfile",
}

__version__ = "0.1.0"
__all__ = [*_MODULE_OF, "__version__"]  # noqa: PLE0604 - the keys are strings


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
