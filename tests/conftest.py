"""What all suites share."""

from __future__ import annotations

import gc
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

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

ONCE = re.compile(r"^pytestmark = .*\bpytest\.mark\.once\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where what is marked ``once`` is left out, do not even import the modules that are marked so as a whole."""
    if config.option.markexpr != "not once" or not collection_path.match("test_*.py"):
        return None
    return True if ONCE.search(collection_path.read_text(encoding="utf-8")) else None


def pytest_collection_finish() -> None:
    """What is there now stays: tests that collect garbage, and children that are forked, need not look at half a million objects each."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def still_clock() -> Iterator[StillClock]:
    """A clock that moves only when told, in use while the test runs."""
    still = StillClock()
    before = clock.use(still)
    yield still
    clock.use(before)
