"""``prometheus_client.values`` for programs that were written for it: choosing how values are kept has no effect here.

A program sets ``values.ValueClass`` or calls ``MultiProcessValue`` to tell its processes apart by something else than their ids. Here each
process has its own place however it is numbered, so the choice is taken and not used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from measurand.core import Exemplar

__all__ = ["MultiProcessValue", "MutexValue", "ValueClass", "close_all_multiprocess_files", "get_value_class"]


class MutexValue:
    """A number behind a lock. The arguments are those of the other library, and not used."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._value = 0.0
        self._exemplar: Exemplar | None = None
        self._lock = threading.Lock()

    def inc(self, amount: float) -> None:
        """Add to it."""
        with self._lock:
            self._value += amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Set it."""
        with self._lock:
            self._value = value

    def set_exemplar(self, exemplar: Exemplar) -> None:
        """Keep an exemplar."""
        self._exemplar = exemplar

    def get(self) -> float:
        """The number."""
        return self._value

    def get_exemplar(self) -> Exemplar | None:
        """The exemplar, if there is one."""
        return self._exemplar


def MultiProcessValue(process_identifier: Callable[[], Any] | None = None) -> type[MutexValue]:
    """The class of values, whatever tells processes apart."""
    return MutexValue


def get_value_class() -> type[MutexValue]:
    """The class of values."""
    return MutexValue


ValueClass = get_value_class()


def close_all_multiprocess_files() -> None:
    """Nothing to do: no file is held open."""
