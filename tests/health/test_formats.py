"""The bodies of probes, in full."""

from __future__ import annotations

import pytest

from measurand.health.check import Criticality
from measurand.health.formats import FORMATS
from measurand.health.reasons import Reason
from measurand.health.report import CheckResult, Report, Status

pytestmark = pytest.mark.once

NOON = 1_700_000_000.25
DATABASE = CheckResult("database", True, Criticality.CRITICAL, None, 0.0012, NOON)
REDIS = CheckResult("redis", False, Criticality.CRITICAL, Reason.TIMEOUT, 0.5, NOON)
SEARCH = CheckResult("search", False, Criticality.DEGRADED, Reason.PENDING, None, None)


def report(status: Status, *results: CheckResult) -> Report:
    return Report(status, {result.name: result for result in results})


class TestJson:
    form = FORMATS["json"]

    def test_is_json(self) -> None:
        assert self.form.media_type == "application/json"

    def test_liveness(self) -> None:
        assert self.form.liveness(True, 12.34567, NOON) == {"status": "alive", "uptime_seconds": 12.346}
        assert self.form.liveness(False, 1.0, NOON) == {"status": "stuck", "uptime_seconds": 1.0}

    def test_ready(self) -> None:
        assert self.form.readiness(report(Status.READY, DATABASE), True) == {
            "status": "ready",
            "checks": {"database": {"healthy": True, "latency_ms": 1.2}},
        }

    def test_not_ready(self) -> None:
        assert self.form.readiness(report(Status.NOT_READY, DATABASE, REDIS, SEARCH), True) == {
            "status": "not_ready",
            "checks": {
                "database": {"healthy": True, "latency_ms": 1.2},
                "redis": {"healthy": False, "latency_ms": 500.0, "reason": "timeout"},
                "search": {"healthy": False, "latency_ms": None, "reason": "pending", "criticality": "degraded"},
            },
        }

    @pytest.mark.parametrize("status", Status)
    def test_without_details_the_status_alone(self, status: Status) -> None:
        assert self.form.readiness(report(status, DATABASE, REDIS), False) == {"status": str(status)}

    def test_it_says_when_nothing_is_checked(self) -> None:
        assert self.form.readiness(report(Status.READY), True) == {"status": "ready", "checks": {}, "note": "no check is registered"}
        assert self.form.readiness(report(Status.READY), False) == {"status": "ready", "note": "no check is registered"}

    def test_startup(self) -> None:
        assert self.form.startup(["cache"], True) == {"status": "starting", "pending": ["cache"]}
        assert self.form.startup(["cache"], False) == {"status": "starting"}
        assert self.form.startup(None, True) == {"status": "started"}


class TestHealthJson:
    """draft-inadarei-api-health-check-06, sections 3 and 4."""

    form = FORMATS["health+json"]

    def test_has_its_media_type(self) -> None:
        assert self.form.media_type == "application/health+json"

    def test_liveness(self) -> None:
        assert self.form.liveness(True, 12.34567, NOON) == {
            "status": "pass",
            "checks": {
                "uptime": [
                    {
                        "componentType": "system",
                        "observedValue": 12.346,
                        "observedUnit": "s",
                        "status": "pass",
                        "time": "2023-11-14T22:13:20.250Z",
                    }
                ]
            },
        }
        assert self.form.liveness(False, 1.0, NOON)["status"] == "fail"

    def test_readiness(self) -> None:
        measured = {"observedUnit": "ms", "time": "2023-11-14T22:13:20.250Z"}
        assert self.form.readiness(report(Status.NOT_READY, DATABASE, REDIS, SEARCH), True) == {
            "status": "fail",
            "output": "not_ready",
            "checks": {
                "database:responseTime": [{"componentId": "database", "status": "pass", "observedValue": 1.2, **measured}],
                "redis:responseTime": [
                    {"componentId": "redis", "status": "fail", "observedValue": 500.0, "output": "timeout", **measured},
                ],
                "search:responseTime": [{"componentId": "search", "status": "warn", "output": "pending"}],
            },
        }

    @pytest.mark.parametrize(
        ("status", "said"),
        [("ready", "pass"), ("degraded", "warn"), ("not_ready", "fail"), ("starting", "fail"), ("draining", "fail")],
    )
    def test_without_details_the_status_alone(self, status: str, said: str) -> None:
        assert self.form.readiness(report(Status(status), DATABASE), False) == {"status": said}

    def test_it_says_when_nothing_is_checked(self) -> None:
        assert self.form.readiness(report(Status.READY), False) == {"status": "pass", "notes": ["no check is registered"]}

    def test_startup(self) -> None:
        assert self.form.startup(["cache"], True) == {"status": "fail", "output": "starting", "notes": ["cache"]}
        assert self.form.startup(["cache"], False) == {"status": "fail"}
        assert self.form.startup(None, True) == {"status": "pass"}


class TestActuator:
    form = FORMATS["actuator"]

    def test_has_its_media_type(self) -> None:
        assert self.form.media_type == "application/vnd.spring-boot.actuator.v3+json"

    def test_liveness(self) -> None:
        assert self.form.liveness(True, 12.0, NOON) == {"status": "UP", "details": {"uptime_seconds": 12.0}}
        assert self.form.liveness(False, 12.0, NOON)["status"] == "DOWN"

    def test_readiness(self) -> None:
        assert self.form.readiness(report(Status.NOT_READY, DATABASE, REDIS), True) == {
            "status": "DOWN",
            "components": {
                "database": {"status": "UP", "details": {"latency_ms": 1.2}},
                "redis": {"status": "DOWN", "details": {"latency_ms": 500.0, "reason": "timeout"}},
            },
        }

    @pytest.mark.parametrize(
        ("status", "said"),
        [
            ("ready", "UP"),
            ("degraded", "UP"),
            ("not_ready", "DOWN"),
            ("starting", "OUT_OF_SERVICE"),
            ("draining", "OUT_OF_SERVICE"),
        ],
    )
    def test_without_details_the_status_alone(self, status: str, said: str) -> None:
        assert self.form.readiness(report(Status(status), DATABASE), False) == {"status": said}

    def test_it_says_when_nothing_is_checked(self) -> None:
        assert self.form.readiness(report(Status.READY), False) == {"status": "UP", "details": {"note": "no check is registered"}}

    def test_startup(self) -> None:
        assert self.form.startup(["cache"], True) == {"status": "OUT_OF_SERVICE", "details": {"pending": ["cache"]}}
        assert self.form.startup(["cache"], False) == {"status": "OUT_OF_SERVICE"}
        assert self.form.startup(None, True) == {"status": "UP"}


@pytest.mark.parametrize(("form", "where"), [("json", "note"), ("health+json", "notes"), ("actuator", "details")])
def test_what_other_processes_are_is_said_to_be_of_them(form: str, where: str) -> None:
    content = FORMATS[form].readiness(Report(Status.READY, {}, is_of_others=True), True)
    assert "other processes of the service serve; health_check_status tells of their checks" in str(content[where])
