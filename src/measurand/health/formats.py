"""What probes answer, as the contents of a JSON body: our own form, and two that others expect.

``json``
    ``{"status": "ready", "checks": {"database": {"healthy": true, "latency_ms": 1.2}}}``
``health+json``
    "Health Check Response Format for HTTP APIs", draft-inadarei-api-health-check-06.
``actuator``
    The health endpoint of Spring Boot's Actuator, "Spring Boot Actuator Web API", section "Health".

Pure functions. Without details they give the status alone, and say so when nothing is checked; the uptime is no detail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from measurand.health.check import Criticality
from measurand.health.report import CheckResult, Report, Status

__all__ = ["FORMATS", "Format"]

Content = dict[str, Any]

UNCHECKED = "no check is registered"
ELSEWHERE = "other processes of the service serve; health_check_status tells of their checks"


class Format(NamedTuple):
    """One form of the answers.

    Attributes:
        media_type: The Content-Type.
        liveness: From whether the process works, its uptime in seconds and the date in seconds since the Unix epoch.
        readiness: From a report and whether to show details.
        startup: From the start-up tasks that are not done, or ``None`` when the process has started, and whether to show details.
    """

    media_type: str
    liveness: Callable[[bool, float, float], Content]
    readiness: Callable[[Report, bool], Content]
    startup: Callable[[Sequence[str] | None, bool], Content]


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


def _time(date: float) -> str:
    """RFC 3339, section 5.6."""
    return datetime.fromtimestamp(date, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _note(report: Report) -> str:
    """Why there are no checks to be seen."""
    return ELSEWHERE if report.is_of_others else UNCHECKED


# -- json ----------------------------------------------------------------------------------------------------------------------


def _plain_liveness(is_alive: bool, uptime: float, _: float) -> Content:
    return {"status": "alive" if is_alive else "stuck", "uptime_seconds": round(uptime, 3)}


def _plain_readiness(report: Report, details: bool) -> Content:
    content: Content = {"status": str(report.status)}
    if details:
        content["checks"] = {name: _plain_check(result) for name, result in report.checks.items()}
    return content if report.checks else {**content, "note": _note(report)}


def _plain_check(result: CheckResult) -> Content:
    content: Content = {"healthy": result.healthy, "latency_ms": _milliseconds(result.latency)}
    if result.reason is not None:
        content["reason"] = str(result.reason)
    if result.criticality is not Criticality.CRITICAL:
        content["criticality"] = str(result.criticality)
    return content


def _plain_startup(pending: Sequence[str] | None, details: bool) -> Content:
    if pending is None:
        return {"status": "started"}
    return {"status": "starting", "pending": list(pending)} if details else {"status": "starting"}


# -- health+json ---------------------------------------------------------------------------------------------------------------

_DRAFT_STATUS = {Status.READY: "pass", Status.DEGRADED: "warn"}  # any other one is "fail"


def _draft_liveness(is_alive: bool, uptime: float, date: float) -> Content:
    status = "pass" if is_alive else "fail"
    measured = {"componentType": "system", "observedValue": round(uptime, 3), "observedUnit": "s", "status": "pass", "time": _time(date)}
    return {"status": status, "checks": {"uptime": [measured]}}


def _draft_readiness(report: Report, details: bool) -> Content:
    content: Content = {"status": _DRAFT_STATUS.get(report.status, "fail")}
    if details and not report.is_ready:
        content["output"] = str(report.status)
    if details:
        content["checks"] = {f"{name}:responseTime": [_draft_check(result)] for name, result in report.checks.items()}
    return content if report.checks else {**content, "notes": [_note(report)]}


def _draft_check(result: CheckResult) -> Content:
    failing = "fail" if result.criticality is Criticality.CRITICAL else "warn"
    content: Content = {"componentId": result.name, "status": "pass" if result.healthy else failing}
    if result.latency is not None:
        content |= {"observedValue": _milliseconds(result.latency), "observedUnit": "ms"}
    if result.date is not None:
        content["time"] = _time(result.date)
    return content if result.reason is None else {**content, "output": str(result.reason)}


def _draft_startup(pending: Sequence[str] | None, details: bool) -> Content:
    if pending is None:
        return {"status": "pass"}
    return {"status": "fail", "output": "starting", "notes": list(pending)} if details else {"status": "fail"}


# -- actuator ------------------------------------------------------------------------------------------------------------------

_ACTUATOR_STATUS = {Status.READY: "UP", Status.DEGRADED: "UP", Status.NOT_READY: "DOWN"}  # any other one is "OUT_OF_SERVICE"


def _actuator_liveness(is_alive: bool, uptime: float, _: float) -> Content:
    return {"status": "UP" if is_alive else "DOWN", "details": {"uptime_seconds": round(uptime, 3)}}


def _actuator_readiness(report: Report, details: bool) -> Content:
    content: Content = {"status": _ACTUATOR_STATUS.get(report.status, "OUT_OF_SERVICE")}
    if details:
        content["components"] = {name: _actuator_component(result) for name, result in report.checks.items()}
    return content if report.checks else {**content, "details": {"note": _note(report)}}


def _actuator_component(result: CheckResult) -> Content:
    shown = {key: value for key, value in _plain_check(result).items() if key != "healthy"}
    return {"status": "UP" if result.healthy else "DOWN", "details": shown}


def _actuator_startup(pending: Sequence[str] | None, details: bool) -> Content:
    if pending is None:
        return {"status": "UP"}
    return {"status": "OUT_OF_SERVICE", "details": {"pending": list(pending)}} if details else {"status": "OUT_OF_SERVICE"}


FORMATS: Mapping[str, Format] = {
    "json": Format("application/json", _plain_liveness, _plain_readiness, _plain_startup),
    "health+json": Format("application/health+json", _draft_liveness, _draft_readiness, _draft_startup),
    "actuator": Format("application/vnd.spring-boot.actuator.v3+json", _actuator_liveness, _actuator_readiness, _actuator_startup),
}
"""The forms by the name that ``?format=`` asks for."""
