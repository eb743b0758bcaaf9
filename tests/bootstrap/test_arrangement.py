"""Which page stands where, by what is configured."""

from __future__ import annotations

from typing import Any

import pytest

from measurand import CollectorRegistry
from measurand.bootstrap.arrangement import Arrangement, arrange
from measurand.config import Config
from measurand.endpoints.drain import Progress
from measurand.endpoints.pages import Pages
from measurand.health.monitor import HealthMonitor
from measurand.lifecycle.coordinator import Coordinator

pytestmark = pytest.mark.once

PROBES = {"/v1/health", "/v1/ready", "/v1/startup", "/livez", "/readyz", "/startupz"}
METRICS = {"/v1/metrics", "/v1/governance/metrics"}


def arranged(**settings: Any) -> Arrangement:
    registry = CollectorRegistry()
    lifecycle, health = Coordinator(registry=registry), HealthMonitor(registry=registry)
    config = Config.read(settings, {})
    domains = {"/v1/governance/metrics": CollectorRegistry()}
    return arrange(
        config, registry, domains, health, lifecycle, lambda: Progress("running", False, 0), lambda: 0.0, lifecycle.begin_shutdown
    )


def paths(pages: Pages) -> set[str]:
    return {path.rstrip("/") or "/" for path in pages.paths}


@pytest.mark.parametrize(
    ("settings", "application"),
    [
        ({}, PROBES | METRICS),
        ({"token": "t"}, PROBES | METRICS | {"/v1/drain"}),
        ({"management": 0}, PROBES),
        ({"management": 0, "token": "t"}, PROBES),
        ({"probe_aliases": False}, {"/v1/health", "/v1/ready", "/v1/startup"} | METRICS),
        ({"health_path": "/livez", "ready_path": "/readyz", "startup_path": "/startupz"}, {"/livez", "/readyz", "/startupz"} | METRICS),
    ],
)
def test_the_application_s_port_answers_what_is_meant_for_it(settings: dict[str, Any], application: set[str]) -> None:
    assert paths(arranged(**settings).application) == application


@pytest.mark.parametrize("settings", [{"management": 0}, {"management": 0, "token": "t"}])
def test_the_management_server_answers_everything(settings: dict[str, Any]) -> None:
    assert paths(arranged(**settings).management) == PROBES | METRICS | {"/v1/drain", "/"}


def test_a_page_at_the_root_takes_the_place_of_the_list() -> None:
    found = arranged(metrics_path="/", management=0).management
    assert paths(found) == PROBES | {"/", "/v1/governance/metrics", "/v1/drain"}


def test_the_management_server_s_probes_are_those_of_all_processes_and_the_application_s_port_has_its_own() -> None:
    found, alone = arranged(management=0), arranged()
    for probe in ("/v1/ready", "/v1/startup"):
        assert found.management.find(probe) != found.application.find(probe)
        assert alone.management.find(probe) == alone.application.find(probe), "without a management server nobody asks for all"
