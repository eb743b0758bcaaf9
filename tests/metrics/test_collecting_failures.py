"""What failed in a snapshot is shown like any other metric of the registry."""

from __future__ import annotations

import pytest

from measurand import CollectorRegistry, Domain, generate_latest
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
