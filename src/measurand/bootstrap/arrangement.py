"""Which page stands where.

The application's own port answers the probes; the metrics pages too, unless there is a management server: then these are there only, away
from the application's clients. A token, if there is one, is asked for by everything but the probes.

The application's port belongs to one process, and its probes tell of that; the management server belongs to all processes of the service,
and so do its probes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from measurand.config import Config
from measurand.endpoints.drain import Progress, drain_page
from measurand.endpoints.management import index_page, protected
from measurand.endpoints.pages import Page, Pages, metrics
from measurand.endpoints.probes import liveness_page, readiness_page, startup_page
from measurand.errors import ConfigurationError
from measurand.health.family import FamilyReadiness
from measurand.health.monitor import HealthMonitor
from measurand.lifecycle.coordinator import Coordinator
from measurand.metrics.registry import CollectorRegistry

__all__ = ["Arrangement", "arrange"]


class Arrangement(NamedTuple):
    """The pages by the port that answers them."""

    application: Pages
    management: Pages


def arrange(
    config: Config,
    registry: CollectorRegistry,
    domains: Mapping[str, CollectorRegistry],
    health: HealthMonitor,
    lifecycle: Coordinator,
    progress: Callable[[], Progress],
    uptime: Callable[[], float],
    drain: Callable[[], None],
) -> Arrangement:
    """Put every page in its place.

    Raises:
        ConfigurationError: A path is used twice, or is none.
    """
    probes = _probes(config, health, lifecycle, uptime)
    common = probes if config.management is None else _probes(config, health, lifecycle, uptime, FamilyReadiness(health, lifecycle))
    scraped: dict[str, Page] = {}
    for path, shown in [(config.metrics_path, registry), *domains.items()]:
        if path in scraped:
            raise ConfigurationError(f"two metrics pages are to stand at {path!r}; give the domain another path than metrics_path")
        scraped[path] = protected(metrics(shown), config.token)
    draining = {config.drain_path: drain_page(drain, progress, config.token)}
    management = _apart(_apart(scraped, common), draining)
    application = dict(probes) if config.management is not None else dict(management) if config.token is not None else {**scraped, **probes}
    index = {} if "/" in management else {"/": index_page(f"{config.service} ({config.environment})", lambda: list(management))}
    return Arrangement(Pages(application), Pages({**management, **index}))


def _probes(
    config: Config, health: HealthMonitor, lifecycle: Coordinator, uptime: Callable[[], float], family: FamilyReadiness | None = None
) -> dict[str, Page]:
    details, token = config.details, config.token
    pages = {
        (config.health_path, "/livez"): liveness_page(health, lifecycle, details=details, token=token, uptime=uptime),
        (config.ready_path, "/readyz"): readiness_page(health, lifecycle, details=details, token=token, family=family),
        (config.startup_path, "/startupz"): startup_page(health, lifecycle, details=details, token=token, family=family),
    }
    probes: dict[str, Page] = {}
    for (path, alias), page in pages.items():
        for place in dict.fromkeys((path, alias) if config.probe_aliases else (path,)):
            probes = _apart(probes, {place: page})
    return probes


def _apart(some: Mapping[str, Page], others: Mapping[str, Page]) -> dict[str, Page]:
    for path in some.keys() & others.keys():
        raise ConfigurationError(f"two pages are to stand at {path!r}; give one of them another path")
    return {**some, **others}
