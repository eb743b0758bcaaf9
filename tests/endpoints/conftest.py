"""What the suites of this layer serve."""

from __future__ import annotations

import pytest

from measurand import CollectorRegistry, Counter


@pytest.fixture
def registry() -> CollectorRegistry:
    """Two counters: ``orders_total`` at 3, ``returns_total`` at 1."""
    registry = CollectorRegistry()
    Counter("orders", "Orders", registry=registry).inc(3)
    Counter("returns", "Returns", registry=registry).inc()
    return registry
