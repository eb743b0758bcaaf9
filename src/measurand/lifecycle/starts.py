"""How often a service has been started, over all its lives.

The number is kept in a file of the state directory, one per service and environment. A start counts once, however many processes it has:
they belong to one family (:mod:`measurand.core.ancestry`), and the families that run are noted beside the number. The file is replaced in
one step under a lock, so a crash leaves the old number or the new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measurand.core import ancestry

__all__ = ["age_of_service", "count_start"]

MOST_REMEMBERED = 256
"""Running families noted beside a number: where the system does not tell which have gone, they would pile up."""

try:
    from fcntl import LOCK_EX, flock
except ImportError:  # not on Windows: two starts at the same moment may count once there
    flock = None  # type: ignore[assignment]


def count_start(directory: Path, service: str, environment: str, family: str | None = None) -> int:
    """Count the start of this process's family, unless it has been counted.

    Safe to call from many processes at once.

    Args:
        directory: Where the number is kept; made if it is not there.
        service: The service's name.
        environment: Where it runs: each environment has its own number.
        family: The family that starts; this process's own by default.

    Returns:
        The number of starts, this one included.

    Raises:
        OSError: The directory or the file cannot be read or written.
        ValueError: The file holds something else; it is left as it is.
    """
    family = ancestry.family() if family is None else family
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{_safe(service)}.{_safe(environment)}.starts"
    with _locked(path.with_suffix(".lock")):
        kept = _read(path)
        running: list[str] = [name for name in kept["running"] if name == family or _runs(name)]
        if family not in running:
            kept["starts"] += 1
            _replace(path, {"starts": kept["starts"], "running": [*running, family][-MOST_REMEMBERED:]})
        return int(kept["starts"])


def age_of_service(proc: str = ancestry.PROC) -> float:
    """Seconds since the first process of this service was started; 0 in that process itself, and where the system does not tell."""
    family = ancestry.family()
    return 0.0 if ancestry.is_first(family) else ancestry.age(family, proc)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = path.read_text()
    except FileNotFoundError:
        return {"starts": 0, "running": []}
    try:
        kept = json.loads(content)
        return {"starts": int(kept["starts"]), "running": [str(name) for name in kept["running"]]}
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"{path} does not hold a number of starts; move it away to begin at 1") from None


def _replace(path: Path, content: dict[str, Any]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "a") as file:
        if flock is not None:
            flock(file, LOCK_EX)
        yield


def _runs(family: str) -> bool:
    """Whether the first process of a family still runs."""
    pid = family.split("-")[1]
    return pid.isdigit() and ancestry.family(int(pid)) == family


def _safe(name: str) -> str:
    """A name as part of a file name: what others could confuse is written as its code, so that two names never share a file."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda found: f"%{ord(found[0]):x}", name)
