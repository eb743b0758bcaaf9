"""Which names a metric and its labels may have, and how a full name is built.

Names are those of Prometheus 3: any non-empty UTF-8 text. Outside the classic set (``[a-zA-Z_:][a-zA-Z0-9_:]*``, for labels without the
colon) they are escaped for scrapers that do not ask for UTF-8; two names that would then be the same are refused when they are defined, as
they would spoil the whole scrape. :func:`enable_legacy_validation` refuses everything outside the classic set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from measurand.errors import DefinitionError

__all__ = [
    "SUFFIXES",
    "build_full_name",
    "disable_legacy_validation",
    "enable_legacy_validation",
    "get_legacy_validation",
    "is_classic_label",
    "is_classic_metric",
    "underscored",
    "validate_labelnames",
    "validate_metric_name",
]

SUFFIXES: dict[str, tuple[str, ...]] = {
    "counter": ("_total", "_created"),
    "summary": ("_sum", "_count", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "info": ("_info",),
}
"""The series names, beyond its own name, that a metric of each type owns (OpenMetrics 1.0, "Metric Types")."""

is_classic_metric = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*").fullmatch
is_classic_label = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*").fullmatch
_UNFIT_METRIC = re.compile(r"[^a-zA-Z0-9_:]|^[0-9]")
_UNFIT_LABEL = re.compile(r"[^a-zA-Z0-9_]|^[0-9]")

_legacy = False


def get_legacy_validation() -> bool:
    """Whether only names of the classic set are accepted."""
    return _legacy


def enable_legacy_validation() -> None:
    """Accept only names of the classic set from now on."""
    global _legacy  # noqa: PLW0603 - one policy per process
    _legacy = True


def disable_legacy_validation() -> None:
    """Accept any UTF-8 name from now on (the default)."""
    global _legacy  # noqa: PLW0603 - one policy per process
    _legacy = False


def underscored(name: str, *, label: bool = False) -> str:
    """The name with everything outside the classic set replaced by underscores."""
    return (_UNFIT_LABEL if label else _UNFIT_METRIC).sub("_", name)


def build_full_name(metric_type: str, name: str, namespace: str, subsystem: str, unit: str) -> str:
    """The name of the family: parts joined by underscores, ``_total`` of a counter taken off, the unit put last.

    Raises:
        DefinitionError: The name is empty, or the type cannot have a unit.
    """
    if not isinstance(name, str):
        raise TypeError(f"The metric name must be a string, not {type(name).__name__}")
    if not name:
        raise DefinitionError("Metric name should not be empty")
    full_name = "_".join(part for part in (namespace, subsystem, name) if part)
    if metric_type == "counter":
        full_name = full_name.removesuffix("_total")
    if unit:
        if metric_type in {"info", "stateset"}:
            raise DefinitionError(f"Metric name is of a type that cannot have a unit: {full_name}; leave out unit={unit!r}")
        if not full_name.endswith("_" + unit):
            full_name += "_" + unit
    validate_metric_name(full_name)
    return full_name


def validate_metric_name(name: str) -> None:
    """Check a metric's name.

    Raises:
        DefinitionError: It is empty, cannot be encoded, or is outside the classic set while legacy validation is on.
    """
    if not name:
        raise DefinitionError("metric name cannot be empty")
    if (_legacy and not is_classic_metric(name)) or not _encodable(name):
        raise DefinitionError(f"invalid metric name {name!a}; use letters, digits, underscores and colons, and do not start with a digit")


def validate_labelnames(metric: str, labelnames: Iterable[str], reserved: Iterable[str] = ()) -> tuple[str, ...]:
    """Check the label names of a metric.

    Args:
        metric: The metric's name, for messages.
        labelnames: The names.
        reserved: Names that the metric's type uses itself, such as ``le``.

    Returns:
        The names as a tuple.

    Raises:
        DefinitionError: A name is empty, starts with two underscores, is reserved, cannot be encoded, or falls together with another.
    """
    if isinstance(labelnames, str) and len(labelnames) > 1:
        raise DefinitionError(f"labelnames of {metric} must be a list of names, not a string; did you mean [{labelnames!r}]?")
    names = tuple(labelnames)
    seen: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"label names of {metric} must be strings, not {type(name).__name__}")
        if not name or (_legacy and not is_classic_label(name)) or not _encodable(name):
            raise DefinitionError(
                f"Invalid label metric name: {name!a} of {metric}; use letters, digits and underscores, not starting with a digit"
            )
        if name.startswith("__"):
            raise DefinitionError(f"Reserved label metric name: {name!r} of {metric}; names that start with '__' belong to the server")
        if name in reserved:
            raise DefinitionError(f"Reserved label metric name: {name!r} of {metric}; this type of metric uses it itself")
        exposed = underscored(name, label=True)
        if exposed in seen:
            raise DefinitionError(f"Duplicate label names of {metric}: {seen[exposed]!r} and {name!r} are the same name when exposed")
        seen[exposed] = name
    return names


def _encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
