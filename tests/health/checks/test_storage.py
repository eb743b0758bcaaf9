"""Room on file systems."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from measurand.errors import ConfigurationError
from measurand.health import checks
from measurand.health.reasons import Reason

pytestmark = pytest.mark.once


def test_enough_room_passes(tmp_path: Path) -> None:
    assert checks.disk(tmp_path, free_bytes=1).run() is None
    assert checks.disk(str(tmp_path), free_ratio=1e-9, free_bytes=1).run() is None


def test_too_little_room_fails(tmp_path: Path) -> None:
    total = shutil.disk_usage(tmp_path).total
    assert checks.disk(tmp_path, free_bytes=total + 1).run() is Reason.LOW_SPACE
    assert checks.disk(tmp_path, free_bytes=1, free_ratio=1 - 1e-12).run() is Reason.LOW_SPACE


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        checks.disk(tmp_path / "nowhere", free_bytes=1).run()


@pytest.mark.parametrize(
    "demand", [{}, {"free_bytes": 0}, {"free_bytes": "1G"}, {"free_ratio": 0}, {"free_ratio": 1}, {"free_ratio": 5}, {"free_ratio": "5%"}]
)
def test_a_demand_that_says_nothing_is_refused(demand: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"free_(bytes|ratio)"):
        checks.disk("/", **demand)


def test_settings_are_those_of_any_check() -> None:
    check = checks.disk("/", free_ratio=0.05, name="uploads", criticality="degraded", timeout=2.0, interval=30.0)
    assert (check.name, check.criticality, check.timeout, check.interval) == ("uploads", "degraded", 2.0, 30.0)
