"""A registry of its own for each test of this layer."""

import pytest

from measurand import CollectorRegistry


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty registry."""
    return CollectorRegistry()
