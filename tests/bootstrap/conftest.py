"""A registry and a state directory of the test's own, and no runtime left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from measurand import CollectorRegistry, Runtime, start
from measurand.bootstrap.runtime import current


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def starting(registry: CollectorRegistry, tmp_path: Path) -> Iterator[Callable[..., Runtime]]:
    """``start()`` with the test's registry and state directory, and no delays at the end."""

    def begin(service: str = "shop", environment: str = "test", **settings: Any) -> Runtime:
        quick = {"registry": registry, "state_directory": tmp_path / "state", "drain_delay": 0, "shutdown_budget": 5}
        return start(service, environment, **{**quick, **settings})

    yield begin
    running = current()
    if running is not None:
        running.stop()


@pytest.fixture
def runtime(starting: Callable[..., Runtime]) -> Runtime:
    return starting()
