"""The three probes: codes, bodies, headers, and who sees what."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from measurand import CollectorRegistry, clock
from measurand.endpoints.page import Response
from measurand.endpoints.pages import Page, Request, answer
from measurand.endpoints.probes import liveness_page, readiness_page, startup_page
from measurand.errors import ConfigurationError
from measurand.health.monitor import HealthMonitor
from measurand.lifecycle.coordinator import Coordinator
from tests.support import StillClock, wait_until

pytestmark = pytest.mark.once

PROBES = {"liveness": liveness_page, "readiness": readiness_page, "startup": startup_page}
SECRETS = "db-17.internal refused admin:hunter2"


class Service:
    """A process's health and life, and the probes that tell of them."""

    def __init__(self, **policy: Any) -> None:
        registry = CollectorRegistry()
        self.life = Coordinator(drain_delay=0.0, registry=registry)
        self.health = HealthMonitor(registry=registry, state=lambda: self.life.state)
        self.policy = policy

    def page(self, probe: str) -> Page:
        return PROBES[probe](self.health, self.life, **self.policy)

    def ask(self, probe: str, method: str = "GET", query: str = "", trusted: bool = False, **headers: str) -> Response:
        return answer(self.page(probe), Request(method, f"/{probe}", query, headers, trusted))

    def body(self, probe: str, **request: Any) -> Any:
        return json.loads(self.ask(probe, **request).body)

    def codes(self) -> tuple[int, int, int]:
        """What liveness, readiness and startup answer."""
        return self.ask("liveness").status, self.ask("readiness").status, self.ask("startup").status

    def evaluate(self) -> None:
        """Run every check once."""
        self.health.tick()
        wait_until(lambda: all(result.date is not None for result in self.health.results().values()))

    def fail(self, name: str = "database", criticality: str = "critical") -> None:
        """Register a check that fails, and run it."""

        def check() -> None:
            raise ConnectionRefusedError(SECRETS)

        self.health.add(check, name=name, criticality=criticality)
        self.evaluate()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.health.stop()


class TestCodes:
    def test_through_the_life_of_a_process(self, service: Service) -> None:
        done = service.life.add_startup_task("cache")
        assert service.codes() == (200, 503, 503)
        service.life.started()
        assert service.codes() == (200, 503, 503)
        done()
        assert service.codes() == (200, 200, 200)
        service.life.begin_shutdown()
        assert service.codes() == (200, 503, 200)
        assert service.body("readiness") == {"status": "draining", "note": "no check is registered"}
        service.life.drain()
        assert service.codes() == (200, 503, 200)
        service.life.shutdown()
        assert service.codes() == (200, 503, 200)

    def test_a_dependency_that_is_down_moves_readiness_alone(self, service: Service) -> None:
        service.life.started()
        service.fail()
        assert service.codes() == (200, 503, 200)
        service.health.remove("database")
        assert service.codes() == (200, 200, 200)

    def test_one_that_is_not_critical_moves_none(self, service: Service) -> None:
        service.life.started()
        service.fail("search", "degraded")
        service.fail("news", "info")
        assert service.codes() == (200, 200, 200)
        assert service.body("readiness") == {"status": "degraded"}

    def test_a_loop_that_is_stuck_for_long_moves_liveness(self, service: Service, still_clock: StillClock) -> None:
        release = threading.Event()
        loop = asyncio.new_event_loop()
        stuck = threading.Event()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        service.health.attach(loop)
        loop.call_soon_threadsafe(lambda: (stuck.set(), release.wait(60)))
        assert stuck.wait(30)
        try:
            service.health.tick()
            still_clock.advance(59.0)
            assert service.ask("liveness").status == 200
            still_clock.advance(2.0)
            assert service.ask("liveness").status == 503
            assert service.body("liveness")["status"] == "stuck"
        finally:
            release.set()
            loop.call_soon_threadsafe(loop.stop)
            thread.join(30)
            loop.close()

    @pytest.mark.parametrize("probe", PROBES)
    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "", "X" * 9999])
    def test_any_other_method_is_not_allowed(self, service: Service, probe: str, method: str) -> None:
        response = service.ask(probe, method)
        assert response.status == 405
        assert dict(response.headers)["Allow"] == "GET, HEAD"

    @pytest.mark.parametrize("probe", PROBES)
    @pytest.mark.parametrize("query", ["format=xml", "format=", "format", "a=b&format=JSON", "format=%00", "format=" + "x" * 9999])
    def test_an_unknown_format_is_refused_with_those_there_are(self, service: Service, probe: str, query: str) -> None:
        response = service.ask(probe, query=query)
        assert response.status == 400
        assert json.loads(response.body) == {"error": "there is no such format", "formats": ["json", "health+json", "actuator"]}


class TestHeaders:
    @pytest.mark.parametrize("probe", PROBES)
    @pytest.mark.parametrize("query", ["", "format=actuator", "format=xml"])
    def test_no_cache_may_keep_an_answer(self, service: Service, probe: str, query: str) -> None:
        assert dict(service.ask(probe, query=query).headers)["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("probe", PROBES)
    def test_head_is_get_without_the_body(self, service: Service, probe: str, still_clock: StillClock) -> None:
        get, head = service.ask(probe), service.ask(probe, "HEAD")
        assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")
        assert dict(get.headers)["Content-Length"] == str(len(get.body))

    @pytest.mark.parametrize("probe", PROBES)
    @pytest.mark.parametrize(
        ("query", "media_type"),
        [
            ("", "application/json"),
            ("other=1", "application/json"),
            ("format=json", "application/json"),
            ("format=health+json", "application/health+json"),
            ("x=y&format=health%2Bjson", "application/health+json"),
            ("format=actuator&format=xml", "application/vnd.spring-boot.actuator.v3+json"),
        ],
    )
    def test_a_format_can_be_asked_for(self, service: Service, probe: str, query: str, media_type: str) -> None:
        response = service.ask(probe, query=query)
        assert dict(response.headers)["Content-Type"] == media_type
        assert json.loads(response.body)["status"]

    @pytest.mark.parametrize("probe", PROBES)
    def test_a_probe_may_be_answered_in_the_event_loop(self, service: Service, probe: str) -> None:
        assert service.page(probe).is_quick()


class TestUptime:
    def test_liveness_tells_it_to_everybody(self, service: Service, still_clock: StillClock) -> None:
        page = service.page("liveness")
        still_clock.advance(12.5)
        assert json.loads(page.respond(Request("GET", "/", "", {})).body) == {"status": "alive", "uptime_seconds": 12.5}

    def test_somebody_else_may_know_it_better(self, service: Service) -> None:
        page = liveness_page(service.health, service.life, uptime=lambda: 3600.0)
        assert json.loads(page.respond(Request("GET", "/", "", {})).body)["uptime_seconds"] == 3600.0


class TestDetails:
    TOKEN = "s3cret"

    def answers(self, **policy: Any) -> dict[str, bool]:
        """Who sees the checks."""
        service = Service(**policy)
        service.life.started()
        service.fail()
        requests: dict[str, dict[str, Any]] = {
            "anybody": {},
            "bearer": {"authorization": f"Bearer {self.TOKEN}"},
            "wrong": {"authorization": "Bearer guess"},
            "basic": {"authorization": f"Basic {self.TOKEN}"},
            "trusted": {"trusted": True},
        }
        bodies = {who: service.body("readiness", **request) for who, request in requests.items()}
        service.health.stop()
        hidden = {"status": "not_ready"}
        assert all(body == hidden or body["checks"]["database"]["reason"] == "connection_refused" for body in bodies.values())
        return {who: "checks" in body for who, body in bodies.items()}

    def test_by_default_only_over_a_port_of_this_machine(self) -> None:
        expected = {"anybody": False, "bearer": False, "wrong": False, "basic": False, "trusted": True}
        assert self.answers() == self.answers(details="never", token=self.TOKEN) == expected

    def test_with_the_bearer_token(self) -> None:
        expected = {"anybody": False, "bearer": True, "wrong": False, "basic": False, "trusted": True}
        assert self.answers(details="authorized", token=self.TOKEN) == expected

    def test_without_a_token_nobody_is_authorized(self) -> None:
        assert self.answers(details="authorized") == self.answers()

    def test_always(self) -> None:
        assert set(self.answers(details="always").values()) == {True}

    @pytest.mark.parametrize("probe", PROBES)
    def test_a_misspelt_policy_is_found_at_the_start(self, probe: str) -> None:
        with pytest.raises(ConfigurationError, match="shown to 'allways'; it must be one of never, authorized, always"):
            Service(details="allways").page(probe)

    def test_the_names_of_start_up_tasks_are_details(self, service: Service) -> None:
        service.life.add_startup_task("cache")
        assert service.body("startup") == {"status": "starting"}
        assert service.body("startup", trusted=True) == {"status": "starting", "pending": ["cache"]}

    @pytest.mark.parametrize("query", ["", "format=health+json", "format=actuator"])
    def test_no_answer_ever_shows_what_an_exception_says(self, service: Service, query: str) -> None:
        service.life.started()
        service.fail()
        for probe in PROBES:
            body = service.ask(probe, query=query, trusted=True).body.decode()
            assert [word for word in ("db-17", "internal", "admin", "hunter2") if word in body] == []

    def test_with_no_check_it_says_so_to_everybody(self, service: Service) -> None:
        service.life.started()
        assert service.body("readiness") == {"status": "ready", "note": "no check is registered"}
        assert service.body("readiness", trusted=True) == {"status": "ready", "checks": {}, "note": "no check is registered"}


class TestHangingDependencies:
    """P-29: fifteen checks, ten of which hang."""

    def test_readiness_is_answered_from_what_is_known(self) -> None:
        release = threading.Event()
        service = Service(details="always")
        service.life.started()
        for number in range(5):
            service.health.add(lambda: None, name=f"passing-{number}", timeout=60.0)
        for number in range(10):
            service.health.add(lambda: not release.wait(60), name=f"hanging-{number}", timeout=0.1)
        page = service.page("readiness")
        service.health.start()
        try:
            wait_until(lambda: "pending" not in {result.reason for result in service.health.results().values()})
            seconds, bodies = [], []
            for _ in range(50):
                before = clock.system_monotonic()
                response = answer(page, Request("GET", "/v1/ready", "", {}))
                seconds.append(clock.system_monotonic() - before)
                assert response.status == 503
                bodies.append(json.loads(response.body))
            assert all(bodies[-1]["checks"][f"passing-{number}"]["healthy"] for number in range(5))
            assert {bodies[-1]["checks"][f"hanging-{number}"]["reason"] for number in range(10)} == {"timeout"}
            assert sorted(seconds)[25] < 0.05
            assert service.codes() == (200, 503, 200)
        finally:
            release.set()
            service.health.stop()
