"""What all suites share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import hypothesis
import pytest

from measurand import clock
from tests.support import SCALE, StillClock

with warnings.catch_warnings():  # where the C core was not built, the suites run on its twin; tests/core/test_core.py is about the warning
    warnings.simplefilter("ignore", RuntimeWarning)
    import measurand.core  # noqa: F401

pytest_plugins = ["tests.servers"]

hypothesis.settings.register_profile(
    "measurand",
    deadline=None,  # a busy machine is no failure
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    max_examples=max(int(100 * min(SCALE, 20)), 1),
)
hypothesis.settings.load_profile("measurand")


@pytest.fixture
def still_clock() -> Iterator[StillClock]:
    """A clock that moves only when told, in use while the test runs."""
    still = StillClock()
    before = clock.use(still)
    yield still
    clock.use(before)
