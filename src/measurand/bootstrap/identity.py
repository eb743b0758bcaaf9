"""What a service says of itself: the labels of every series, and the metrics about the service, its process and this library."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import ExitStack

from measurand.catalog.library import LibraryCollector
from measurand.catalog.process import PROCESS_COLLECTOR
from measurand.catalog.runtime import GC_COLLECTOR, PLATFORM_COLLECTOR
from measurand.catalog.service import ServiceCollector
from measurand.config import Config
from measurand.errors import ConfigurationError, DefinitionError
from measurand.lifecycle.starts import age_of_service, count_start
from measurand.metrics.registry import CollectorRegistry

__all__ = ["identify", "label"]

LOG = logging.getLogger("measurand")


def label(registries: Iterable[CollectorRegistry], labels: Mapping[str, str], undo: ExitStack) -> None:
    """Give every series of some registries these labels.

    Args:
        registries: The registries.
        labels: The labels.
        undo: Takes them away again.

    Raises:
        ConfigurationError: A metric has one of them already.
    """
    for registry in registries:
        before = registry.common_labels
        try:
            registry.set_common_labels({**before, **labels})
        except DefinitionError as reason:
            raise ConfigurationError(f"{reason}; or choose the labels of every series with start(common_labels={{...}})") from reason
        undo.callback(registry.set_common_labels, before)


def identify(config: Config, registry: CollectorRegistry, undo: ExitStack) -> ServiceCollector:
    """Count the start, and show what runs here.

    Args:
        config: The settings.
        registry: Where it is shown.
        undo: Shows it no longer.

    Returns:
        What knows since when the service runs.
    """
    starts = None
    try:
        if config.state_directory is None:
            raise OSError("the user has no home directory")
        starts = count_start(config.state_directory, config.service, config.environment)
    except (OSError, ValueError) as reason:
        LOG.warning(
            "service_starts_total is not exposed, because starts cannot be counted: %s. Name a directory that lasts: state_directory=… "
            "or MEASURAND_STATE_DIRECTORY",
            reason,
        )
    service = ServiceCollector(config.version, config.environment, starts, registry, age=age_of_service())
    undo.callback(registry.unregister, service)
    if config.runtime_metrics:
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            if collector not in registry.collectors():
                registry.register(collector)
                undo.callback(registry.unregister, collector)
        undo.callback(registry.unregister, LibraryCollector(registry))
    return service
