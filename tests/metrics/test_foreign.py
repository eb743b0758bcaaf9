"""Metrics that other code registers with the real prometheus_client appear beside ours."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import prometheus_client
import prometheus_client.core
import pytest

from measurand import REGISTRY, CollectorRegistry, Counter, Domain, Gauge, generate_latest
from measurand.compat import share
from measurand.metrics.collecting import gather, is_quick
from measurand.metrics.families import GaugeMetricFamily
from tests.metrics.kit import LONG, Custom, helpers


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A new default registry of the real library; what a test adds to ours goes at the end."""
    before = REGISTRY.collectors()
    registry = prometheus_client.CollectorRegistry(auto_describe=True)
    monkeypatch.setattr(prometheus_client, "REGISTRY", registry)
    yield registry
    REGISTRY.set_common_labels({})
    for collector in REGISTRY.collectors():
        if collector not in before:
            REGISTRY.unregister(collector)


def ours() -> str:
    return generate_latest().decode()


def test_what_others_registered_appears_beside_ours(theirs: Any) -> None:
    prometheus_client.Counter("foreign_hits", "Theirs", ["page"], registry=theirs).labels("a").inc(3)
    prometheus_client.Histogram("foreign_seconds", "Theirs", buckets=[1], registry=theirs).observe(0.5)
    Counter("own_hits", "Ours").inc()
    text = ours()
    assert '# HELP foreign_hits_total Theirs\n# TYPE foreign_hits_total counter\nforeign_hits_total{page="a"} 3.0\n' in text
    assert 'foreign_seconds_bucket{le="1.0"} 1.0\n' in text
    assert "own_hits_total 1.0\n" in text
    assert not is_quick(REGISTRY)


def test_ours_wins_where_both_have_a_name(theirs: Any) -> None:
    prometheus_client.Gauge("shared_level", "Theirs", registry=theirs).set(1)
    prometheus_client.Gauge("shared_hits_total", "Theirs", registry=theirs).set(1)
    Gauge("shared_level", "Ours").set(2)
    Counter("shared_hits", "Ours").inc(2)
    text = ours()
    assert [line for line in text.splitlines() if line.startswith("shared_")] == ["shared_level 2.0", "shared_hits_total 2.0"]
    assert "Theirs" not in text
    assert not any(collector.startswith("shared_") for collector, _ in gather(REGISTRY).failures.counts)


def test_what_is_shared_with_them_does_not_come_back(theirs: Any) -> None:
    Counter("round_trip", "Ours").inc()
    REGISTRY.register(Custom(lambda: [GaugeMetricFamily("round_custom", "Ours", 1)]))
    prometheus_client.Counter("foreign_trip", "Theirs", registry=theirs).inc()
    share()
    assert ours().count("round_trip_total 1.0\n") == ours().count("round_custom 1.0\n") == 1
    assert not any(collector.startswith("round_") for collector, _ in gather(REGISTRY).failures.counts)
    real = prometheus_client.generate_latest(theirs).decode()
    assert real.count("round_trip_total 1.0\n") == 1
    assert real.count("foreign_trip_total 1.0\n") == 1
    assert ours().count("foreign_trip_total 1.0\n") == 1


def test_one_of_theirs_that_fails_costs_the_others_nothing(theirs: Any) -> None:
    class Failing:
        def describe(self) -> Iterable[Any]:
            return []

        def collect(self) -> Iterable[Any]:
            raise RuntimeError

    theirs.register(Failing())
    prometheus_client.Counter("foreign_fine", "Theirs", registry=theirs).inc()
    Counter("own_fine", "Ours").inc()
    text = ours()
    assert "foreign_fine_total 1.0\n" in text
    assert "own_fine_total 1.0\n" in text
    assert 'measurand_collect_failures_total{collector="test_one_of_theirs' in text


def test_theirs_carry_our_common_labels_and_keep_their_own(theirs: Any) -> None:
    prometheus_client.Counter("foreign_labelled", "Theirs", ["origin"], registry=theirs).labels("theirs").inc()
    REGISTRY.set_common_labels({"origin": "ours", "region": "eu"})
    assert 'foreign_labelled_total{origin="theirs",region="eu"} 1.0\n' in ours()


def test_theirs_can_be_asked_for_by_name(theirs: Any) -> None:
    prometheus_client.Counter("foreign_named", "Theirs", registry=theirs).inc()
    Counter("own_named", "Ours").inc()
    only = generate_latest(REGISTRY.restricted_registry(["foreign_named_total"])).decode()
    assert [line for line in only.splitlines() if not line.startswith(("#", "measurand_"))] == ["foreign_named_total 1.0"]


def test_a_view_of_a_registry_of_theirs_starts_no_thread_for_what_hangs_already(theirs: Any, release: threading.Event) -> None:
    class Hanging:
        def collect(self) -> list[Any]:
            release.wait(LONG)
            return []

    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Counter("fine", "Theirs", registry=registry).inc()
    registry.register(Hanging())
    for _ in range(4):
        gather(registry.restricted_registry(["fine_total"]), 0.1)
    assert len(helpers()) == 1


def test_only_the_default_domain_shows_them(theirs: Any) -> None:
    prometheus_client.Counter("foreign_hits", "Theirs", registry=theirs).inc()
    for registry in (CollectorRegistry(), Domain("other")):
        assert "foreign" not in generate_latest(registry).decode()


def test_rules_of_the_default_domain_hold_for_what_is_in_their_default_registry() -> None:
    program = """
        import prometheus_client
        from measurand import OPERATIONAL, generate_latest

        OPERATIONAL.refuse(names=["governance_*"])
        prometheus_client.Counter("governance_breaches", "Theirs").inc()
        prometheus_client.Counter("fine", "Theirs").inc()
        print(generate_latest().decode())
    """
    text = run(program)
    assert "fine_total 1.0\n" in text
    assert "python_info{" in text
    assert "governance" not in text


def test_timestamps_of_theirs_are_kept(theirs: Any) -> None:
    class Odd:
        def collect(self) -> Iterable[Any]:
            family = prometheus_client.core.GaugeMetricFamily("foreign_odd", "Theirs", labels=["l"])
            family.add_metric(["a"], 1, timestamp=prometheus_client.core.Timestamp(12, 500_000_000))
            family.add_metric(["b"], 2, timestamp=13)
            return [family]

    theirs.register(Odd())
    text = ours()
    assert 'foreign_odd{l="a"} 1.0 12500\n' in text
    assert 'foreign_odd{l="b"} 2.0 13000\n' in text


def test_nothing_is_imported_to_look_for_them() -> None:
    program = """
        import sys
        from measurand import Counter, generate_latest

        Counter("own", "Ours").inc()
        print(generate_latest().decode())
        assert "prometheus_client" not in sys.modules
    """
    assert "own_total 1.0\n" in run(program)


def test_a_half_imported_library_has_nothing_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(prometheus_client, "REGISTRY")
    assert "python_info" not in {family.name for family in gather(REGISTRY).families}


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
