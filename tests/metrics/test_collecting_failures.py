"""What failed in a snapshot is shown like any other metric of the registry."""

from __future__ import annotations

from typing import Any

import pytest

from measurand import CollectorRegistry, Counter, Domain, Metric, generate_latest
from measurand.metrics.sample import Sample
from tests.metrics.kit import Custom, raising


def test_failures_carry_the_common_labels_of_their_registry() -> None:
    registry = CollectorRegistry(common_labels={"service": "shop"})
    registry.register(Custom(raising(ZeroDivisionError())))
    shown = 'measurand_collect_failures_total{collector="Custom",reason="error",service="shop"} 1.0'
    assert shown in generate_latest(registry).decode().splitlines()


def test_a_domain_that_refuses_their_name_does_not_show_them(caplog: pytest.LogCaptureFixture) -> None:
    domain = Domain("governance", refuse_names=["measurand_*"])
    domain.register(Custom(raising(ZeroDivisionError())))
    assert generate_latest(domain) == b""
    assert "collecting Custom failed" in caplog.text


def test_what_is_no_sample_costs_its_collector_only_where_a_domain_has_rules() -> None:
    domain = Domain("orders", refuse_names=["http_*"])
    Counter("own", "d", registry=domain)
    for sample in (("x", {}, 1), Sample("x", None, 1), Sample(None, {}, 1)):  # type: ignore[arg-type]

        class Careless:
            def describe(self) -> list[Any]:
                return []

            def collect(self, sample: Any = sample) -> list[Any]:
                family = Metric("x", "d", "gauge")
                family.samples = [sample]
                return [family]

        collector = Careless()
        domain.register(collector)
        assert b"own_total 0.0" in generate_latest(domain)
        domain.unregister(collector)
