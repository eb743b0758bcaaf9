"""What ``prometheus_client`` keeps private and programs import all the same: their answers, by our own checks."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

from measurand.core import Instrument
from measurand.core.support import check_exemplar
from measurand.encoding.negotiation import choose_encoder, gzip_accepted
from measurand.metrics import names
from measurand.metrics.instrument import MetricBase

__all__ = [
    "MetricWrapperBase",
    "SilentHandler",
    "bake_output",
    "validate_exemplar",
    "validate_labelname",
    "validate_labelnames",
]


class _Every(type(MetricBase)):  # type: ignore[misc]
    """Makes every metric of ours an instance of the one class: programs ask ``isinstance(metric, MetricWrapperBase)``."""

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, MetricBase) if cls is MetricWrapperBase else type.__subclasscheck__(cls, subclass)

    def __instancecheck__(cls, instance: object) -> bool:
        return cls.__subclasscheck__(type(instance))


class MetricWrapperBase(MetricBase, Instrument, metaclass=_Every):
    """What programs derive metrics of their own kind from.

    They keep numbers of their own, made in ``_metric_init``, and show them through ``_child_samples``; each process shows its own.
    ``_labelvalues`` is taken and not used: series are made by ``labels()``.
    """

    def __init__(self, *args: Any, _labelvalues: object = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class SilentHandler(WSGIRequestHandler):
    """A handler of the standard library's server that logs no requests."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def bake_output(
    registry: Any,
    accept_header: str | None,
    accept_encoding_header: str | None,
    params: Mapping[str, Any],
    disable_compression: bool,
) -> tuple[str, list[tuple[str, str]], bytes]:
    """The answer to a scrape.

    Args:
        registry: What is exposed.
        accept_header: The request's ``Accept``.
        accept_encoding_header: Its ``Accept-Encoding``.
        params: Its query, by name; ``name[]`` are the series that are asked for.
        disable_compression: Whether gzip is out of the question.

    Returns:
        The status line, the headers and the body.
    """
    encode, content_type = choose_encoder(accept_header)
    if "name[]" in params:
        registry = registry.restricted_registry(params["name[]"])
    body, headers = encode(registry), [("Content-Type", content_type)]
    if not disable_compression and gzip_accepted(accept_encoding_header):
        body = gzip.compress(body)
        headers.append(("Content-Encoding", "gzip"))
    return "200 OK", headers, body


def validate_labelname(name: str) -> None:
    """Check one name of a label.

    Raises:
        DefinitionError: It cannot be one.
    """
    names.validate_labelnames("the sample", [name])


def validate_labelnames(cls: Any, labelnames: Iterable[str]) -> tuple[str, ...]:
    """Check the label names of a metric of a class.

    Raises:
        DefinitionError: One of them cannot be one.
    """
    return names.validate_labelnames(f"the {cls._type}", labelnames, cls._reserved_labelnames)


def validate_exemplar(labels: Mapping[str, str]) -> None:
    """Check the labels of an exemplar.

    Raises:
        RecordingError: They are too long, or a name is reserved.
    """
    check_exemplar(labels)
