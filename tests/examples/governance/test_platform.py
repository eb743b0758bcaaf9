"""The four services as processes, under traffic and scraped by a real Prometheus."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from examples.governance.constitution import Article, Kind
from examples.governance.domains import GOVERNANCE_PATH, PREFIX
from examples.governance.settings import SERVICES
from examples.governance.traffic import EXPECTED
from tests.examples.governance import table
from tests.examples.governance.running import COMMON, METRICS_PATH, ROOT, Metric, Platform, parsed, quick
from tests.servers.process import until
from tests.servers.prometheus import Prometheus, binary
from tests.support import run_threads

pytestmark = pytest.mark.once

JOBS = {"operational": METRICS_PATH, "governance": GOVERNANCE_PATH}


class Stage(NamedTuple):
    """The platform, who scrapes it, and what both showed when every kind of request and act was behind it, and nobody had died yet."""

    platform: Platform
    prometheus: Prometheus
    pages: dict[tuple[str, str], str]
    families: dict[tuple[str, str], dict[str, Metric]]
    series: dict[str, dict[str, dict[str, set[str]]]]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """On SQLite and by HTTP."""
    platform = quick(tmp_path_factory.mktemp("platform"))
    targets = [{"targets": [url.removeprefix("http://") for url in platform.urls.values()]}]
    jobs = [{"job_name": job, "metrics_path": path, "static_configs": targets} for job, path in JOBS.items()]
    with Prometheus(binary("prometheus", "2.42"), tmp_path_factory.mktemp("prometheus"), jobs=jobs) as server, platform:
        answers = platform.traffic(2).answers
        assert answers.keys() <= EXPECTED, answers
        for name in SERVICES:
            assert platform.get(name, "/v1/latency").status == 200
            assert platform.get(name, "/nowhere").status == 404
        platform.go_on()
        proposal = platform.proposes().json["id"]
        assert platform.post("api", f"/v1/proposals/{proposal}/dissents", actor="bob", reason="Coffee").status == 201
        until(lambda: platform.value("observer", "governance_breaches_total", article=Article.ANSWER), lambda: "no dissent was late")
        server.wait_for('governance_breaches_total{article="answer"} > 0', timeout=60)
        server.wait_for("count(count by (service) (http_requests_failed_total)) == 4", timeout=60)
        platform.go_on()
        pages = {(name, path): platform.page(name, path) for name in SERVICES for path in JOBS.values()}
        series = {job: in_prometheus(server, job) for job in JOBS}
        yield Stage(platform, server, pages, {place: parsed(page) for place, page in pages.items()}, series)


@pytest.fixture
def platform(stage: Stage) -> Platform:
    return stage.platform


def truth(platform: Platform, query: str) -> int:
    with closing(sqlite3.connect(platform.folder / "governance.db")) as connection:
        return int(connection.execute(query).fetchone()[0])


# -- the metrics ---------------------------------------------------------------------------------------------------------------


def in_prometheus(server: Prometheus, job: str) -> dict[str, dict[str, set[str]]]:
    """By name of a series: by service: the labels."""
    found: dict[str, dict[str, set[str]]] = {}
    for labels, _, _ in server.query(f'{{job="{job}"}}'):
        if "service" in labels:  # else it is Prometheus' own, of the scrape
            own = labels.keys() - {"__name__", "job", "instance"}
            assert own >= COMMON, labels
            assert labels["environment"] == "test"
            found.setdefault(labels["__name__"], {}).setdefault(labels["service"], set()).update(own - COMMON)
    return found


@pytest.mark.parametrize(
    ("job", "row"),
    [
        *(("governance", row) for row in table.GOVERNANCE),
        *(("operational", row) for row in (*table.OWN, *table.OF_THE_LIBRARY)),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_prometheus_has_every_metric_with_its_labels_from_those_services_that_cause_it(stage: Stage, job: str, row: table.Row):
    names = [f"{row.name}_{part}" for part in ("bucket", "sum", "count")] if row.type == "histogram" else [row.name]
    for name in names:
        labels = {*row.labels.split(), *(["le"] if name.endswith("_bucket") else [])}
        assert stage.series[job].get(name) == dict.fromkeys(row.services, labels)
    assert {stage.families[service, JOBS[job]][row.name].type for service in row.services} == {row.type}


def test_governance_has_no_other_metrics_and_the_example_no_other_operational_ones(stage: Stage):
    for name in SERVICES:
        expected = {row.name for row in table.GOVERNANCE if name in row.services}
        shown = {path: {metric for metric, family in stage.families[name, path].items() if family.values} for path in JOBS.values()}
        assert shown[GOVERNANCE_PATH] == expected
        own = {metric for metric in shown[METRICS_PATH] if metric.startswith(("event_", "observer_", "watchdog_", "log_"))}
        assert own == {row.name for row in table.OWN if name in row.services}


@pytest.mark.parametrize("name", SERVICES)
def test_neither_endpoint_shows_the_other_domain(stage: Stage, name: str):
    assert PREFIX not in stage.pages[name, METRICS_PATH]
    lines = stage.pages[name, GOVERNANCE_PATH].splitlines()
    assert all(line.startswith((PREFIX, "# HELP " + PREFIX, "# TYPE " + PREFIX)) for line in lines)


def test_every_series_says_its_service_and_environment(stage: Stage):
    for (name, path), families in stage.families.items():
        common = {"service": name, "environment": "test"}.items()
        assert [(path, *value) for metric in families.values() for value in metric.values if not common <= value[1].items()] == []


def test_the_pages_are_in_good_style(stage: Stage, promtool):
    for page in filter(None, stage.pages.values()):
        checked = promtool("check", "metrics", input=page)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_after_more_traffic_every_number_agrees_with_the_store(platform: Platform):
    kinds = {kind: f"SELECT count(*) FROM events WHERE kind = '{kind}'" for kind in Kind}
    counted = {kind: platform.value("event-writer", "governance_events_total", act=kind) for kind in Kind}
    before = {kind: truth(platform, query) for kind, query in kinds.items()}
    requests = platform.value("api", "http_requests_total")
    refused = platform.value("event-writer", "governance_refusals_total")
    people = platform.traffic(1, seed=2)
    after = {kind: truth(platform, query) for kind, query in kinds.items()}
    assert after[Kind.VOTE] > before[Kind.VOTE]
    grown = {kind: platform.value("event-writer", "governance_events_total", act=kind) - counted[kind] for kind in Kind}
    assert grown == {kind: after[kind] - before[kind] for kind in Kind}
    assert platform.value("event-writer", "governance_refusals_total") - refused == sum(people.answers[code] for code in (403, 409, 423))
    to_the_watchdog = 2 * (after[Kind.HALT] - before[Kind.HALT])
    assert platform.value("api", "http_requests_total") - requests == people.answers.total() - to_the_watchdog
    length = sum(after.values())
    until(lambda: platform.value("observer", "governance_chain_length") >= length, lambda: "the observer has not caught up")
    for counter, kind in (("decisions", Kind.DECISION), ("dissents", Kind.DISSENT), ("overrides", Kind.OVERRIDE), ("halts", Kind.HALT)):
        assert platform.value("observer", f"governance_{counter}_total") == truth(platform, kinds[kind])
    answers = "SELECT 1 FROM events a WHERE a.subject = d.id AND a.kind = 'answer'"
    late = f"SELECT count(*) FROM events d WHERE kind = 'dissent' AND NOT EXISTS ({answers})"
    breached = "governance_breaches_total"
    until(lambda: platform.value("observer", breached, article=Article.ANSWER) >= truth(platform, late) > 0, lambda: "no breach")
    assert platform.value("observer", "governance_chain_intact") == 1


def test_latencies_are_readable_without_a_query_language(platform: Platform):
    platform.proposes()
    page = platform.get("api", "/v1/latency").json
    proposals = next(row for row in page["endpoints"] if row["endpoint"] == "/v1/proposals" and row["method"] == "POST")
    assert proposals["requests"] > 0
    assert 0 < proposals["p50"] <= proposals["p95"] <= proposals["p99"]
    assert page["all"]["requests"] == sum(row["requests"] for row in page["endpoints"])


def test_many_scrapes_at_once_under_traffic_are_whole_and_never_go_back(platform: Platform):
    def scrape_on() -> None:
        before = 0.0
        for _ in range(4):
            families = platform.families("api")
            durations = families["http_request_duration_seconds"].values
            counted = sum(value for name, _, value in durations if name.endswith("_count"))
            assert counted == sum(value for _, labels, value in durations if labels.get("le") == "+Inf")
            requests = sum(value for _, _, value in families["http_requests_total"].values)
            assert requests >= before
            before = requests

    platform.get("api", "/v1/state")
    run_threads(*[scrape_on] * 4, lambda: platform.traffic(0.5, seed=3))


def test_durations_and_errors_are_in_the_classes_that_are_required(stage: Stage):
    for name in SERVICES:
        families = stage.families[name, METRICS_PATH]
        bounds = {float(labels["le"]) for _, labels, _ in families["http_request_duration_seconds"].values if "le" in labels}
        assert bounds == {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, float("inf")}
    failed = stage.families["api", METRICS_PATH]["http_requests_failed_total"].values
    errors = {(labels["status"], labels["error_type"]) for _, labels, _ in failed}
    known = {("403", "forbidden"), ("404", "not_found"), ("503", "service_unavailable")}
    assert errors <= known | {(code, "client_error") for code in ("409", "422", "423")}
    assert {("404", "not_found"), ("422", "client_error")} <= errors


def test_no_endpoint_is_a_raw_path(stage: Stage):
    endpoints = {labels["endpoint"] for _, labels, _ in stage.families["api", METRICS_PATH]["http_requests_total"].values}
    assert {"/v1/events/{event_id}", "/v1/proposals/{proposal_id}", "__unmatched__"} <= endpoints
    assert not [endpoint for endpoint in endpoints if "nothing" in endpoint or "nowhere" in endpoint]


# -- health --------------------------------------------------------------------------------------------------------------------


def test_health_is_liveness_and_ready_names_what_is_checked(platform: Platform):
    for name in SERVICES:
        health = platform.get(name, "/v1/health")
        assert (health.status, health.json["status"]) == (200, "alive")
        assert health.json["uptime_seconds"] > 0
        assert health.headers["Cache-Control"] == "no-store"
        until(lambda name=name: platform.are_ready(name), platform.what_is_wrong, 60)
        found = platform.get(name, "/v1/ready").json["checks"].values()
        assert all({"healthy", "latency_ms"} <= check.keys() for check in found)
    assert {name: set(platform.checks(name)) for name in SERVICES} == {
        "api": {"database", "event_store", "event_writer"},
        "event-writer": {"database", "event_store"},
        "observer": {"database", "event_store", "event_writer", "observation"},
        "watchdog": {"event_writer", "rounds"},
    }


def test_logs_are_lines_of_json(platform: Platform):
    for name in SERVICES:
        lines = [json.loads(line) for line in platform.log_file(name).read_text().splitlines()]
        assert {(line["service"], line["environment"]) for line in lines} == {(name, "test")}
    recorded = [json.loads(line) for line in platform.log_file("event-writer").read_text().splitlines() if '"recorded"' in line]
    assert {"sequence", "act", "id"} <= recorded[0].keys()


# -- life and death ------------------------------------------------------------------------------------------------------------


def test_without_a_writer_reading_works_and_acting_is_a_503_until_it_is_back(platform: Platform):
    platform.send("event-writer", signal.SIGKILL)
    platform.ended("event-writer")
    assert platform.proposes().status == 503
    assert platform.get("api", "/v1/state").status == 200
    found: dict[str, Any] = {}

    def notices() -> bool:  # whichever worker answers
        found.update(platform.get("api", "/v1/ready").json)
        return not found["checks"]["event_writer"]["healthy"]

    until(notices, lambda: "the check does not notice")
    assert found["status"] == "degraded"
    platform.start("event-writer")
    until(lambda: platform.are_ready() and all(platform.checks("api").values()), platform.what_is_wrong, 60)
    assert platform.proposes().status == 201


def test_a_killed_observer_halts_the_system_and_finds_the_same_when_it_is_back(platform: Platform):
    platform.go_on()
    starts = platform.value("observer", "service_starts_total")
    breaches = platform.value("observer", "governance_breaches_total")
    platform.send("observer", signal.SIGKILL)
    platform.ended("observer")
    until(lambda: platform.get("api", "/v1/state").json["halted"], lambda: "the watchdog has not halted the system", 60)
    assert platform.proposes().status == 423
    assert platform.post("watchdog", "/v1/lift", actor="chair", reason="go on").json["code"] == "unobserved"
    assert platform.value("watchdog", "governance_halts_ordered_total", halt_cause="unobserved") >= 1
    assert platform.value("watchdog", "watchdog_target_alive", target="observer") == 0
    platform.start("observer")
    until(lambda: platform.are_ready("observer"), platform.what_is_wrong, 60)
    assert platform.value("observer", "service_starts_total") == starts + 1  # a kill is no loss
    assert platform.value("observer", "uptime_seconds") < 60
    assert platform.value("observer", "governance_breaches_total") >= breaches
    assert platform.value("observer", "governance_chain_intact") == 1
    assert platform.value("observer", "governance_halt_state", governance_halt_state="halted") == 1
    platform.go_on()
    assert platform.proposes().status == 201


def test_sigterm_drains_the_api_and_its_starts_go_on_being_counted(stage: Stage):
    platform, prometheus = stage.platform, stage.prometheus
    platform.go_on()
    starts = platform.value("api", "service_starts_total")
    states: list[tuple[int, int]] = []
    platform.send("api", signal.SIGTERM)
    until(lambda: platform.get("api", "/v1/ready").status == 503, lambda: "it stays ready", 30)
    while True:  # as a load balancer that has not noticed yet
        served = platform.proposes().status
        alive = platform.get("api", "/v1/health").status
        if not served or not alive:
            break
        states.append((served, alive))
    assert set(states) == {(201, 200)}  # it went on accepting, and every request was served
    assert platform.ended("api") == 0
    assert "shut down in" in platform.log_file("api").read_text()
    platform.start("api")
    until(lambda: platform.are_ready("api"), platform.what_is_wrong, 60)
    assert platform.value("api", "service_starts_total") == starts + 1
    prometheus.wait_for(f'service_starts_total{{service="api"}} == {starts + 1}', timeout=30)
    assert prometheus.value('increase(service_starts_total{service="api"}[5m]) > bool 0') == 1  # which a counter from 1 would not show


def test_a_service_ends_with_whoever_holds_its_standard_input(tmp_path: Path):
    command = [sys.executable, "-m", "examples.governance", "watchdog", "--until-stdin-ends", "--drain-delay=0"]
    done = subprocess.run(
        [*command, f"--state-directory={tmp_path}"], cwd=ROOT, input="", capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["api", "--database-url", "sqlite://"], "name a file"),
        (["api", "--database-url", "nonsense"], "Could not parse"),
        (["event-writer", "--drain-delay", "99"], "drain_delay"),
        (["watchdog", "--watch", "observer"], "--watch takes NAME=URL"),
        (["judge"], "invalid choice"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_line(tmp_path: Path, arguments: list[str], says: str):
    command = [sys.executable, "-m", "examples.governance", *arguments, "--state-directory", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode in {1, 2}
    assert says in ended.stderr
