"""Our classes under the real library's module names."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

from measurand.errors import AlreadyImported

__all__ = ["install"]

_PACKAGE = "prometheus_client"

_SAMPLES = dict.fromkeys(("BucketSpan", "Exemplar", "NativeHistogram", "Sample", "Timestamp"), "metrics.sample")
_FAMILIES = dict.fromkeys(
    (
        "CounterMetricFamily",
        "GaugeHistogramMetricFamily",
        "GaugeMetricFamily",
        "HistogramMetricFamily",
        "InfoMetricFamily",
        "Metric",
        "StateSetMetricFamily",
        "SummaryMetricFamily",
        "UnknownMetricFamily",
        "UntypedMetricFamily",
    ),
    "metrics.families",
)
_INSTRUMENTS = dict.fromkeys(("Counter", "Enum", "Gauge", "Histogram", "Info", "Summary"), "metrics.instruments")
_CREATED = dict.fromkeys(("disable_created_metrics", "enable_created_metrics"), "metrics.instrument")
_REGISTRY = {
    "Collector": "metrics.registry",
    "CollectorRegistry": "metrics.registry",
    "DuplicateTimeseries": "errors",
    "REGISTRY": "metrics.domains",
    "RestrictedRegistry": "metrics.registry",
}
_PUSH = dict.fromkeys(("delete_from_gateway", "instance_ip_grouping_key", "push_to_gateway", "pushadd_to_gateway"), "exporters.pushgateway")
_HANDLERS = dict.fromkeys(
    ("basic_auth_handler", "default_handler", "passthrough_redirect_handler", "tls_auth_handler"), "exporters.pushgateway"
)
_EXPOSITION = {
    **_PUSH,
    **_HANDLERS,
    "CONTENT_TYPE_LATEST": "encoding.negotiation",
    "CONTENT_TYPE_PLAIN_0_0_4": "encoding.negotiation",
    "CONTENT_TYPE_PLAIN_1_0_0": "encoding.negotiation",
    "MetricsHandler": "endpoints.server",
    "ThreadingWSGIServer": "endpoints.server",
    "choose_encoder": "encoding.negotiation",
    "generate_latest": "encoding.text",
    "gzip_accepted": "encoding.negotiation",
    "make_asgi_app": "endpoints.asgi",
    "make_wsgi_app": "endpoints.wsgi",
    "start_http_server": "endpoints.server",
    "start_wsgi_server": "endpoints.server",
    "write_to_textfile": "exporters.textfile",
}
_NOT_ON_TOP = {*_HANDLERS, "ThreadingWSGIServer", "choose_encoder", "gzip_accepted"}
_COLLECTORS = {
    "GC_COLLECTOR": "catalog.runtime",
    "GCCollector": "catalog.runtime",
    "PLATFORM_COLLECTOR": "catalog.runtime",
    "PROCESS_COLLECTOR": "catalog.process",
    "PlatformCollector": "catalog.runtime",
    "ProcessCollector": "catalog.process",
}
_NAMES = {
    "disable_legacy_validation": "metrics.names",
    "enable_legacy_validation": "metrics.names",
    "get_legacy_validation": "metrics.names",
}
_TRACKING = {"ExceptionCounter": "metrics.tracking", "InprogressTracker": "metrics.tracking", "Timer": "core"}

_LAYOUT: dict[str, dict[str, str]] = {
    "": {
        **_INSTRUMENTS,
        **_CREATED,
        **_COLLECTORS,
        "CollectorRegistry": "metrics.registry",
        "Metric": "metrics.families",
        "REGISTRY": "metrics.domains",
        **{name: where for name, where in _EXPOSITION.items() if name not in _NOT_ON_TOP},
    },
    "asgi": {"make_asgi_app": "endpoints.asgi"},
    "context_managers": _TRACKING,
    "core": {
        **_SAMPLES,
        **_FAMILIES,
        **_INSTRUMENTS,
        **{name: _REGISTRY[name] for name in ("CollectorRegistry", "DuplicateTimeseries", "REGISTRY")},
    },
    "exposition": _EXPOSITION,
    "gc_collector": {name: _COLLECTORS[name] for name in ("GCCollector", "GC_COLLECTOR")},
    "metrics": {**_INSTRUMENTS, **_CREATED, **_TRACKING},
    "metrics_core": {**_FAMILIES, "METRIC_TYPES": "metrics.families"},
    "multiprocess": dict.fromkeys(("MultiProcessCollector", "mark_process_dead"), "compat.multiprocess"),
    "openmetrics": {},
    "openmetrics.exposition": {"generate_latest": "encoding.openmetrics"},
    "platform_collector": {name: _COLLECTORS[name] for name in ("PlatformCollector", "PLATFORM_COLLECTOR")},
    "process_collector": {name: _COLLECTORS[name] for name in ("ProcessCollector", "PROCESS_COLLECTOR")},
    "registry": _REGISTRY,
    "samples": _SAMPLES,
    "utils": {},
    "validation": _NAMES,
    "values": dict.fromkeys(
        ("MultiProcessValue", "MutexValue", "ValueClass", "close_all_multiprocess_files", "get_value_class"), "compat.values"
    ),
}


def install() -> None:
    """Make ``import prometheus_client`` give this library, for packages that use it.

    Call it before anything imports ``prometheus_client``, for example in the first lines of the program. Calling it again changes
    nothing. As in the real library, the process, platform
    and garbage collectors are registered. Submodules that have no counterpart here (parsers, bridges) come from the real library if it
    is installed, and work on our classes.

    Raises:
        AlreadyImported: The real library has been imported; whoever did it holds its classes.
    """
    present = sys.modules.get(_PACKAGE)
    if present is not None:
        if getattr(present, "__measurand__", False):
            return
        holders = sorted(
            name for name, module in list(sys.modules.items()) if not name.startswith((_PACKAGE, "measurand")) and _holds(module, present)
        )
        by = f" by {', '.join(holders[:3])}" if holders else ""
        raise AlreadyImported(
            f"prometheus_client was already imported{by}: call measurand.compat.install() first, at the very start of the program"
        )
    real = importlib.util.find_spec(_PACKAGE)
    search = list(real.submodule_search_locations or ()) if real is not None else []
    modules = {}
    for suffix, names in _LAYOUT.items():
        full = f"{_PACKAGE}.{suffix}" if suffix else _PACKAGE
        module = ModuleType(full, f"{full}, on the core of measurand.")
        is_package = suffix in {"", "openmetrics"}
        if is_package:
            module.__path__ = [f"{place}/{suffix}" if suffix else place for place in search]
        module.__spec__ = importlib.machinery.ModuleSpec(full, None, is_package=is_package)
        module.__package__ = full if is_package else full.rpartition(".")[0]
        for name, where in names.items():
            setattr(module, name, getattr(import_module(f"measurand.{where}"), name))
        modules[suffix] = module
    _fill_in(modules)
    for suffix, module in modules.items():
        parent, _, name = suffix.rpartition(".")
        if suffix:
            setattr(modules[parent], name, module)
    sys.modules.update({module.__name__: module for module in modules.values()})
    registry = modules[""].REGISTRY
    for name in ("PROCESS_COLLECTOR", "PLATFORM_COLLECTOR", "GC_COLLECTOR"):
        collector = getattr(modules[""], name)
        if collector not in registry.collectors():
            registry.register(collector)


def _fill_in(modules: dict[str, ModuleType]) -> None:
    """What is not simply one of our names."""
    from urllib.parse import parse_qs, urlparse  # noqa: PLC0415 - nothing is loaded until install() is called
    from wsgiref.simple_server import make_server  # noqa: PLC0415

    from measurand.compat import privates  # noqa: PLC0415
    from measurand.core import format_number  # noqa: PLC0415
    from measurand.encoding import escaping  # noqa: PLC0415
    from measurand.metrics import instrument, names  # noqa: PLC0415

    package = modules[""]
    package.__measurand__ = True  # type: ignore[attr-defined]
    package.__all__ = sorted(_LAYOUT[""])  # type: ignore[attr-defined]
    metrics: Any = modules["metrics"]
    metrics.MetricWrapperBase, metrics.REGISTRY = privates.MetricWrapperBase, package.REGISTRY
    metrics._build_full_name, metrics._get_use_created = names.build_full_name, instrument.shows_created
    metrics._validate_labelnames, metrics._validate_exemplar = privates.validate_labelnames, privates.validate_exemplar
    exposition: Any = modules["exposition"]
    exposition.REGISTRY, exposition.CollectorRegistry = package.REGISTRY, package.CollectorRegistry
    exposition._bake_output, exposition._SilentHandler = privates.bake_output, privates.SilentHandler
    exposition.parse_qs, exposition.urlparse, exposition.make_server = parse_qs, urlparse, make_server
    openmetrics: Any = modules["openmetrics.exposition"]
    openmetrics.CONTENT_TYPE_LATEST = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    for name, value in {
        "ALLOWUTF8": escaping.ALLOW_UTF8,
        "UNDERSCORES": escaping.UNDERSCORES,
        "DOTS": escaping.DOTS,
        "VALUES": escaping.VALUES,
    }.items():
        setattr(openmetrics, name, value)
    openmetrics.escape_metric_name = partial(_escape, escaping.escape_name, False)
    openmetrics.escape_label_name = partial(_escape, escaping.escape_name, True)
    utils: Any = modules["utils"]
    utils.INF, utils.MINUS_INF, utils.NaN = float("inf"), float("-inf"), float("nan")
    utils.floatToGoString = lambda number: format_number(float(number))
    utils.parse_version = lambda version: tuple(int(part) if part.isdigit() else part for part in version.split("."))
    _fill_in_validation(modules["validation"])


def _escape(escape_name: Any, label: bool, name: str, escaping: str = "underscores") -> str:
    return escape_name(name, escaping, label) if name else name


def _fill_in_validation(validation: Any) -> None:
    """The checks that the real library's parsers use, and its metrics."""
    from measurand.compat import privates  # noqa: PLC0415 - nothing is loaded until install() is called
    from measurand.metrics import names  # noqa: PLC0415

    def label_token(token: str) -> None:
        quoted = len(token) > 1 and token[0] == token[-1] == '"'
        if not (quoted and not names.get_legacy_validation()) and not names.is_classic_label(token):
            raise ValueError(f"invalid label name token {token}")

    validation._is_valid_legacy_metric_name = lambda name: names.is_classic_metric(name) is not None
    validation._is_valid_legacy_labelname = lambda name: names.is_classic_label(name) is not None and not name.startswith("__")
    validation._validate_metric_name = names.validate_metric_name
    validation._validate_labelname = privates.validate_labelname
    validation._validate_labelnames = privates.validate_labelnames
    validation._validate_exemplar = privates.validate_exemplar
    validation._validate_metric_label_name_token = label_token


def _holds(module: Any, present: Any) -> bool:
    names = vars(module) if isinstance(module, ModuleType) else {}
    return any(
        value is present or str(getattr(value, "__module__", "")).partition(".")[0] == _PACKAGE
        for value in list(names.values())
        if not isinstance(value, ModuleType) or value is present
    )
