"""Our metrics in the real library's exposition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from measurand.errors import MissingExtra
from measurand.metrics.domains import REGISTRY
from measurand.metrics.foreign import SHARED_MARK
from measurand.metrics.registry import CollectorRegistry

__all__ = ["share"]


class _Shared:
    """Yields our families to the real library, as they are at each of its scrapes."""

    def __init__(self, registry: CollectorRegistry, theirs: Any, metric_class: Any, sample_class: Any) -> None:
        self._registry = registry
        self._theirs = theirs
        self._metric = metric_class
        self._sample = sample_class
        setattr(self, SHARED_MARK, True)

    def describe(self) -> Iterable[Any]:
        """No names: ours come and go, and each library refuses its own duplicates. Of a name that both have, theirs is shown."""
        return []

    def collect(self) -> Iterator[Any]:
        for metric in self._registry.collect():
            if metric.name not in self._theirs._names_to_collectors:
                shown = self._metric(metric.name, metric.documentation, metric.type, metric.unit)
                shown.samples = [self._sample(*sample) for sample in metric.samples]
                yield shown


def share(registry: CollectorRegistry = REGISTRY, theirs: Any = None) -> None:
    """Show the metrics of ``registry`` in the real ``prometheus_client``'s exposition; calling it again changes nothing.

    Args:
        registry: Our registry.
        theirs: Their registry; by default their ``REGISTRY``.

    Raises:
        MissingExtra: ``prometheus_client`` is not installed.
    """
    try:
        import prometheus_client  # noqa: PLC0415 - optional
        from prometheus_client.core import Metric, Sample  # noqa: PLC0415
    except ImportError:
        raise MissingExtra("prometheus_client", "prometheus") from None
    target = prometheus_client.REGISTRY if theirs is None else theirs
    if isinstance(target, CollectorRegistry):
        return  # install() has put our own registry there
    if any(getattr(collector, SHARED_MARK, False) and collector._registry is registry for collector in list(target._collector_to_names)):
        return
    target.register(_Shared(registry, target, Metric, Sample))
