"""Domains: rules at the definition, for what is defined already and for what custom collectors yield; nothing mixes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from measurand import OPERATIONAL, REGISTRY, CollectorRegistry, Counter, Domain, Enum, Gauge, Histogram, generate_latest
from measurand.errors import DefinitionError, DuplicateTimeseries, RefusedByDomain
from measurand.metrics.families import CounterMetricFamily, GaugeMetricFamily
from tests.metrics.kit import values


class Custom:
    def __init__(self, *names: str, labels: dict[str, str] | None = None) -> None:
        self.names, self.labels = names, labels or {}

    def collect(self) -> Iterable[Any]:
        for name in self.names:
            family = GaugeMetricFamily(name, "d", labels=list(self.labels))
            family.add_metric(list(self.labels.values()), 1)
            yield family


class Nameless(Custom):
    """Does not tell its names when it is registered."""

    def describe(self) -> Iterable[Any]:
        return []


def test_the_default_registry_is_the_operational_domain() -> None:
    assert REGISTRY is OPERATIONAL
    assert isinstance(REGISTRY, Domain)
    assert isinstance(REGISTRY, CollectorRegistry)
    assert OPERATIONAL.name == "operational"
    assert repr(OPERATIONAL) == "Domain('operational')"


@pytest.mark.parametrize(
    ("define", "message"),
    [
        (lambda d: Counter("http_requests", "d", registry=d), r"^http_requests \(defined at .*:\d+\) is refused .*'http_\*': define it in"),
        (lambda d: Gauge("requests", "d", namespace="http", registry=d), "http_requests"),
        (lambda d: Histogram("process_seconds", "d", registry=d), r"process_seconds .* rule is 'process_\?\?\?\*'"),
        (lambda d: Counter("exactly", "d", registry=d), r"exactly_total .* rule is 'exactly_total'"),
        (lambda d: Counter("fine", "d", ["user_id"], registry=d), r"label 'user_id' of a metric .*'user_\*': leave it out"),
        (lambda d: Gauge.get_or_create("http_x", registry=d), "http_x"),
        (lambda d: d.register(Custom("fine", "http_x")), r"^http_x \(from Custom\) is refused by the domain 'governance'"),
        (lambda d: d.register(Custom("http.x")), r"http\.x|http_x"),
    ],
)
def test_what_breaks_a_rule_cannot_be_defined(define: Callable[[Domain], object], message: str) -> None:
    domain = Domain("governance", refuse_names=["http_*", "process_???*", "exactly_total"], refuse_labels=["user_*"])
    with pytest.raises(RefusedByDomain, match=message):
        define(domain)
    assert domain.collectors() == []
    assert generate_latest(domain) == b""


def test_a_rule_is_about_letters_as_they_are_written_and_whole_names() -> None:
    domain = Domain("d", refuse_names=["http_*", "queue"], refuse_labels=["user"])
    for name in ("HTTP_requests", "https", "http", "my_http_x", "queue_length"):
        Gauge(name, "d", ["User", "user_id"], registry=domain)
    assert len(domain.collectors()) == 5
    assert domain.refuses("http_x")
    assert domain.refuses("fine", ["a", "user"])
    assert not domain.refuses("fine", ["a"])


def test_rules_can_be_added_later_but_not_against_what_is_there() -> None:
    domain = Domain("d")
    Counter("breaches", "d", ["rule"], registry=domain)
    with pytest.raises(RefusedByDomain, match=rf"breaches_total \(defined at {__file__}:\d+\).*\*_total"):
        domain.refuse(names=["other_*", "*_total"])
    with pytest.raises(RefusedByDomain, match="label 'rule'"):
        domain.refuse(names=["other_*"], labels=["rule"])
    Gauge("other_gauge", "d", registry=domain)  # none of the rules was added
    domain.refuse(names=["halt_*"], labels=["user"])
    domain.refuse(names=["later_*"])
    with pytest.raises(RefusedByDomain):
        Gauge("halt_state", "d", registry=domain)
    with pytest.raises(RefusedByDomain):
        Gauge("fine", "d", ["user"], registry=domain)


def test_what_a_collector_yields_against_the_rules_is_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    domain = Domain("governance", refuse_names=["http_*", "bytes_total"], refuse_labels=["user_id"])
    domain.register(Nameless("fine", "http_requests"))
    domain.register(Nameless("also_fine", labels={"user_id": "7"}))
    domain.register(Nameless("http_only", labels={"a": "b"}))
    with caplog.at_level(logging.WARNING, "measurand"):
        text = generate_latest(domain).decode()
    assert "fine 1.0\n" in text
    assert "http_" not in text
    assert "user_id" not in text
    assert 'measurand_collect_failures_total{collector="Nameless",reason="refused"} 3.0\n' in text
    assert "Nameless failed (refused): against the rules of the domain: http_requests;" in caplog.records[0].getMessage()
    assert set(values(domain)) == {"fine"}


def test_a_restricted_view_keeps_to_the_rules_as_well() -> None:
    class Changing(Custom):
        def describe(self) -> Iterable[Any]:
            return [GaugeMetricFamily("fine", "d"), GaugeMetricFamily("changing", "d")]

    domain = Domain("d", refuse_labels=["user_id"])
    domain.register(Changing("fine", "changing"))
    assert set(values(domain.restricted_registry(["fine", "changing"]))) == {"fine", "changing"}
    domain.unregister(domain.collectors()[0])
    domain.register(Changing("changing", labels={"user_id": "7"}))
    assert set(values(domain.restricted_registry(["fine", "changing"]))) == set()
    assert b"user_id" not in generate_latest(domain.restricted_registry(["changing"]))


def test_a_rule_about_a_series_counts_for_collectors_too() -> None:
    class Bytes(Nameless):
        def collect(self) -> Iterable[Any]:
            return [CounterMetricFamily("bytes", "d", 1), CounterMetricFamily("words", "d", 1)]

    domain = Domain("d", refuse_names=["bytes_total"])
    domain.register(Bytes())
    assert set(values(domain)) == {"words_total"}


def test_domains_do_not_mix() -> None:
    governance, shop = Domain("governance"), Domain("shop", common_labels={"service": "shop"})
    Counter("breaches", "d", registry=governance).inc()
    Counter("orders", "d", registry=shop).inc()
    Gauge("level", "In both", registry=governance).set(1)
    Gauge("level", "In both", registry=shop).set(2)
    assert set(values(governance)) == {"breaches_total", "level"}
    assert set(values(shop)) == {'orders_total{service="shop"}', 'level{service="shop"}'}
    assert b"orders" not in generate_latest(governance)
    assert b"breaches" not in generate_latest(shop)
    assert b"breaches" not in generate_latest()


def test_a_domain_is_a_registry_in_all_else() -> None:
    domain = Domain("d", target_info={"env": "test"}, common_labels={"a": "b"}, auto_describe=False)
    domain.register(Custom("one"))
    domain.register(Custom("one"))  # not described, so nobody knows
    assert values(domain) == {'target_info{env="test"}': 1, 'one{a="b"}': 1}
    described = Domain("e")
    described.register(Custom("one"))
    with pytest.raises(DuplicateTimeseries):
        described.register(Custom("one"))
    with pytest.raises(DefinitionError, match="common label"):
        Gauge("g", "d", ["a"], registry=domain)


def test_labels_that_are_refused_do_not_come_in_by_another_door() -> None:
    domain = Domain("orders", refuse_labels=["user_*"])
    with pytest.raises(RefusedByDomain, match="the label 'user_state'"):
        Enum("user_state", "d", states=["on", "off"], registry=domain)
    with pytest.raises(RefusedByDomain, match="the common label 'user_id' is refused by the domain 'orders', whose rule is 'user_\\*'"):
        domain.set_common_labels({"user_id": "x"})
    with pytest.raises(RefusedByDomain, match="the common label 'user_id'"):
        Domain("others", refuse_labels=["user_*"], common_labels={"user_id": "x"})
    assert domain.common_labels == {}
