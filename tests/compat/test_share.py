"""Our metrics in the exposition of the real prometheus_client."""

from __future__ import annotations

import sys
from typing import Any

import prometheus_client
import pytest

from measurand import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from measurand.compat import share
from measurand.errors import MissingExtra
from tests.compat.kit import attempt, run


@pytest.fixture
def ours() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def theirs() -> prometheus_client.CollectorRegistry:
    return prometheus_client.CollectorRegistry()


def lines(registry: Any) -> list[str]:
    return [line for line in prometheus_client.generate_latest(registry).decode().splitlines() if line]


def define(library: Any, registry: Any) -> None:
    """One metric of each type, by either library."""
    library.Counter("orders", "Orders", ["kind"], registry=registry).labels('a "kind"').inc(3)
    library.Gauge("level", "Level", registry=registry).set(-1.5)
    library.Histogram("wait_seconds", "Waiting", registry=registry, buckets=[1, 2]).observe(1.5)
    library.Summary("size_bytes", "Sizes", registry=registry, unit="bytes").observe(10)
    library.Info("build", "Build", registry=registry).info({"version": "1"})
    library.Enum("state", "State", registry=registry, states=["on", "off"]).state("off")


def test_ours_look_as_theirs_would(ours: CollectorRegistry, theirs: prometheus_client.CollectorRegistry) -> None:
    class Library:
        pass

    for instrument in (Counter, Gauge, Histogram, Summary, Info, Enum):
        setattr(Library, instrument.__name__, instrument)
    define(Library, ours)
    share(ours, theirs)
    real = prometheus_client.CollectorRegistry()
    define(prometheus_client, real)
    assert lines(theirs) == [line for line in lines(real) if "_created" not in line]


def test_each_of_their_scrapes_sees_ours_as_they_are_then(ours: CollectorRegistry, theirs: prometheus_client.CollectorRegistry) -> None:
    share(ours, theirs)
    assert lines(theirs) == []
    orders = Counter("orders", "Orders", registry=ours)
    assert theirs.get_sample_value("orders_total") == 0
    orders.inc(2)
    assert theirs.get_sample_value("orders_total") == 2
    ours.unregister(orders)
    assert theirs.get_sample_value("orders_total") is None


def test_theirs_stay_beside_ours(ours: CollectorRegistry, theirs: prometheus_client.CollectorRegistry) -> None:
    prometheus_client.Counter("hits", "Theirs", registry=theirs).inc()
    Counter("orders", "Ours", registry=ours).inc(2)
    share(ours, theirs)
    assert (theirs.get_sample_value("hits_total"), theirs.get_sample_value("orders_total")) == (1, 2)


def test_a_name_that_both_have_is_shown_once(ours: CollectorRegistry, theirs: prometheus_client.CollectorRegistry) -> None:
    Counter("orders", "Ours", registry=ours).inc()
    prometheus_client.Counter("orders", "Theirs", registry=theirs).inc(2)
    Counter("parts", "Ours", registry=ours)
    share(ours, theirs)
    assert [line for line in lines(theirs) if line[0] != "#" and "_created" not in line] == ["orders_total 2.0", "parts_total 0.0"]


def test_sharing_again_changes_nothing(ours: CollectorRegistry, theirs: prometheus_client.CollectorRegistry) -> None:
    Counter("orders", "Ours", registry=ours).inc()
    for _ in range(3):
        share(ours, theirs)
    assert lines(theirs).count("orders_total 1.0") == 1


def test_two_of_our_registries_can_be_shared(theirs: prometheus_client.CollectorRegistry) -> None:
    for name in ("orders", "returns"):
        registry = CollectorRegistry()
        Counter(name, "Ours", registry=registry).inc()
        share(registry, theirs)
    assert [theirs.get_sample_value(f"{name}_total") for name in ("orders", "returns")] == [1, 1]


def test_exemplars_go_along(ours: CollectorRegistry, theirs: prometheus_client.CollectorRegistry) -> None:
    Counter("orders", "Ours", registry=ours).inc(2, {"trace_id": "abc"})
    share(ours, theirs)
    text = prometheus_client.openmetrics.exposition.generate_latest(theirs).decode()
    assert 'orders_total 2.0 # {trace_id="abc"} 2.0' in text


def test_common_labels_go_along(theirs: prometheus_client.CollectorRegistry) -> None:
    ours = CollectorRegistry(common_labels={"service": "shop"})
    Counter("orders", "Ours", registry=ours).inc()
    share(ours, theirs)
    assert theirs.get_sample_value("orders_total", {"service": "shop"}) == 1


def test_their_filter_finds_ours_as_any_collector_without_names() -> None:
    ours, theirs = CollectorRegistry(), prometheus_client.CollectorRegistry(support_collectors_without_names=True)
    Counter("orders", "Ours", registry=ours).inc()
    Counter("returns", "Ours", registry=ours).inc()
    share(ours, theirs)
    assert [line for line in lines(theirs.restricted_registry(["orders_total"])) if line[0] != "#"] == ["orders_total 1.0"]


def test_by_default_both_default_registries_are_meant() -> None:
    text = run("""
        import prometheus_client
        from measurand import Counter
        from measurand.compat import share

        share()
        share()
        Counter("orders", "Ours").inc()
        print(prometheus_client.generate_latest().decode())
    """)
    assert text.count("\norders_total 1.0\n") == 1
    assert "\npython_info{" in text


def test_after_install_there_is_nothing_to_share() -> None:
    text = run("""
        from measurand import Counter
        from measurand.compat import install, share

        install()
        share()
        import prometheus_client

        Counter("orders", "Ours").inc()
        print(prometheus_client.generate_latest().decode())
    """)
    assert text.count("\norders_total 1.0\n") == 1


def test_without_the_real_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingExtra, match=r"measurand\[prometheus\]"):
        share()
    done = attempt("import sys; sys.modules['prometheus_client'] = None\nfrom measurand.compat import share\nshare()")
    assert done.returncode == 1
    assert "measurand[prometheus]" in done.stderr
