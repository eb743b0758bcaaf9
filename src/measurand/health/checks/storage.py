"""Room on file systems."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from measurand.errors import ConfigurationError
from measurand.health.check import TIMEOUT, Check
from measurand.health.reasons import Reason

__all__ = ["disk"]


def disk(
    path: str | os.PathLike[str],
    *,
    free_bytes: float | None = None,
    free_ratio: float | None = None,
    name: str = "disk",
    criticality: str = "critical",
    timeout: float = TIMEOUT,
    interval: float | None = None,
) -> Check:
    """A check that there is room on the file system of a path, for this user.

    Args:
        path: Any path on it; it has to exist.
        free_bytes: How many bytes must be free.
        free_ratio: Which part of the whole must be free, greater than 0 and less than 1. At least one of the two is given.
        name: The check's name.
        criticality: What a failure means: "critical", "degraded" or "info".
        timeout: Seconds that it may take; a network file system can hang.
        interval: Seconds from one run to the next; ``None`` for the monitor's.

    Raises:
        ConfigurationError: Neither bytes nor a ratio are given, or a setting cannot be used.
    """
    if free_bytes is None and free_ratio is None:
        raise ConfigurationError(f"the health check {name!r} needs free_bytes or free_ratio, for example free_ratio=0.05")
    if free_bytes is not None and not (isinstance(free_bytes, int | float) and free_bytes > 0):
        raise ConfigurationError(f"free_bytes of the health check {name!r} must be a number greater than zero, got {free_bytes!r}")
    if free_ratio is not None and not (isinstance(free_ratio, int | float) and 0 < free_ratio < 1):
        raise ConfigurationError(f"free_ratio of the health check {name!r} must be between 0 and 1, got {free_ratio!r}")
    place = Path(path)

    def run() -> Reason | None:
        usage = shutil.disk_usage(place)
        is_enough = usage.free >= (free_bytes or 0) and usage.free >= usage.total * (free_ratio or 0)
        return None if is_enough else Reason.LOW_SPACE

    return Check(name, run, criticality=criticality, timeout=timeout, interval=interval)
