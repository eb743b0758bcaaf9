"""Every metric of the platform: what it is, its labels besides service and environment, and whose it is."""

from __future__ import annotations

from typing import NamedTuple

API, WRITER, OBSERVER, WATCHDOG = ALL = ("api", "event-writer", "observer", "watchdog")


class Row(NamedTuple):
    """One metric.

    Attributes:
        name: As in the definition.
        type: As in the exposition.
        labels: Without service and environment, which all have, and without le.
        services: Which services expose it.
    """

    name: str
    type: str
    labels: str
    services: tuple[str, ...]


GOVERNANCE = [
    Row("governance_events_total", "counter", "act", (WRITER,)),
    Row("governance_refusals_total", "counter", "refusal", (WRITER,)),
    Row("governance_halts_ordered_total", "counter", "halt_cause", (OBSERVER, WATCHDOG)),
    Row("governance_breaches_total", "counter", "article", (OBSERVER,)),
    Row("governance_halt_state", "gauge", "governance_halt_state", (OBSERVER,)),
    Row("governance_halts_total", "counter", "", (OBSERVER,)),
    Row("governance_dissents_total", "counter", "", (OBSERVER,)),
    Row("governance_dissents_open", "gauge", "", (OBSERVER,)),
    Row("governance_oldest_open_dissent_seconds", "gauge", "", (OBSERVER,)),
    Row("governance_dissent_health_ratio", "gauge", "", (OBSERVER,)),
    Row("governance_dissent_answer_seconds", "histogram", "", (OBSERVER,)),
    Row("governance_witness_coverage_ratio", "gauge", "act", (OBSERVER,)),
    Row("governance_decisions_total", "counter", "", (OBSERVER,)),
    Row("governance_overrides_total", "counter", "", (OBSERVER,)),
    Row("governance_overrides_24h", "gauge", "", (OBSERVER,)),
    Row("governance_override_ratio", "gauge", "", (OBSERVER,)),
    Row("governance_chain_intact", "gauge", "", (OBSERVER,)),
    Row("governance_chain_length", "gauge", "", (OBSERVER,)),
]

OWN = [
    Row("event_store_append_duration_seconds", "histogram", "", (WRITER,)),
    Row("event_handovers_total", "counter", "transport outcome", (API, OBSERVER, WATCHDOG)),
    Row("event_handover_duration_seconds", "histogram", "transport", (API, WATCHDOG)),
    Row("observer_passes_total", "counter", "outcome", (OBSERVER,)),
    Row("observer_pass_duration_seconds", "histogram", "", (OBSERVER,)),
    Row("observer_events_verified_total", "counter", "", (OBSERVER,)),
    Row("watchdog_probes_total", "counter", "target probe outcome", (WATCHDOG,)),
    Row("watchdog_probe_duration_seconds", "histogram", "target probe", (WATCHDOG,)),
    Row("watchdog_target_alive", "gauge", "target", (WATCHDOG,)),
    Row("watchdog_target_ready", "gauge", "target", (WATCHDOG,)),
    Row("log_records_dropped_total", "counter", "", ALL),
]
"""Operational metrics that the example defines."""

OF_THE_QUEUE = [
    Row("event_queue_length", "gauge", "", (WRITER,)),
    Row("event_queue_deliveries_total", "counter", "outcome", (WRITER,)),
]
"""And those that there are with Redis."""

OF_THE_LIBRARY = [
    Row("http_requests_total", "counter", "method endpoint status", ALL),
    Row("http_requests_failed_total", "counter", "method endpoint status error_type", ALL),
    Row("http_request_duration_seconds", "histogram", "method endpoint", ALL),
    Row("http_requests_in_progress", "gauge", "method", ALL),
    Row("uptime_seconds", "gauge", "", ALL),
    Row("service_starts_total", "counter", "", ALL),
    Row("app_info", "gauge", "version", ALL),
    Row("service_ready", "gauge", "", ALL),
    Row("health_check_status", "gauge", "check", ALL),
    Row("health_check_duration_seconds", "histogram", "check", ALL),
    Row("application_shutting_down", "gauge", "", ALL),
    Row("graceful_shutdown_duration_seconds", "histogram", "", ALL),
    Row("measurand_poll_errors_total", "counter", "name", (WRITER, OBSERVER, WATCHDOG)),
    Row("measurand_poll_duration_seconds", "histogram", "name", (WRITER, OBSERVER, WATCHDOG)),
    Row("measurand_poll_age_seconds", "gauge", "name", (WRITER, OBSERVER, WATCHDOG)),
    Row("process_resident_memory_bytes", "gauge", "", ALL),
    Row("process_open_fds", "gauge", "", ALL),
    Row("python_info", "gauge", "implementation major minor patchlevel version", ALL),
]
"""What comes with one line of the library."""
