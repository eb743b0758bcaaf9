"""A check: a name, something to run, and how much it matters.

What runs is a plain callable, sync or async. It returns ``None`` or ``True`` when all is well; ``False`` or a :class:`Reason`, or an
exception, when not. It is called in a thread of its own or in the event loop, never in a request. A mistake in how a check is put together
is a ``ConfigurationError`` when it is made, not a failure at run time.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import KW_ONLY, dataclass, replace
from enum import StrEnum
from math import isfinite
from typing import Any

from measurand.errors import ConfigurationError
from measurand.health.reasons import Reason

__all__ = ["TIMEOUT", "Check", "Criticality", "Outcome", "Runnable", "allow_time", "time_allowed"]

TIMEOUT = 0.5
"""Seconds that a check may take unless it says otherwise."""

Outcome = bool | Reason | None
Runnable = Callable[[], Outcome | Awaitable[Outcome]]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")

_allowed: ContextVar[float] = ContextVar("measurand_time_allowed", default=TIMEOUT)


class Criticality(StrEnum):
    """What a failing check means for the service."""

    CRITICAL = "critical"
    """Not ready: without it no request can be served."""
    DEGRADED = "degraded"
    """Ready, with a warning: something works less well."""
    INFO = "info"
    """Nothing; it is shown."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something that is looked at regularly, and has to be well.

    Attributes:
        name: What it is called, in responses and labels: letters, digits, ``_``, ``.`` and ``-``, at most 64.
        run: What to call, without arguments; sync or async. See the module for what it returns.
        criticality: What a failure means; "critical", "degraded" or "info".
        timeout: Seconds that a run may take; one that takes longer has failed.
        interval: Seconds from one run to the next; ``None`` for the monitor's.

    Raises:
        ConfigurationError: One of these cannot be used; the message says what to do.
    """

    name: str
    run: Runnable
    _: KW_ONLY
    criticality: Criticality | str = Criticality.CRITICAL
    timeout: float = TIMEOUT
    interval: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"{self.name!r} cannot be the name of a health check: use letters, digits, '_', '.' and '-', beginning with a letter, "
                "at most 64 of them; for example name='database'"
            )
        whose = f"the health check {self.name!r}"
        levels = [str(level) for level in Criticality]
        if self.criticality not in levels:
            raise ConfigurationError(f"{whose} has the criticality {self.criticality!r}; it must be one of {', '.join(levels)}")
        object.__setattr__(self, "criticality", Criticality(self.criticality))
        _refuse_unless_seconds(self.timeout, f"the timeout of {whose}")
        if self.interval is not None:
            _refuse_unless_seconds(self.interval, f"the interval of {whose}")
        _refuse_unless_runnable(self.run, whose)

    @property
    def is_async(self) -> bool:
        """Whether calling it gives a coroutine, for certain; what else turns out to be awaitable is awaited all the same."""
        return inspect.iscoroutinefunction(self.run) or inspect.iscoroutinefunction(type(self.run).__call__)

    @classmethod
    def of(cls, given: Any, **settings: Any) -> Check:
        """The check that somebody means.

        Args:
            given: A ``Check``; an object with ``run()`` and, if it likes, ``name``, ``criticality``, ``timeout`` and ``interval``; or a
                callable, whose name is the check's.
            settings: Any of these, to be used instead; ``None`` for what is there.

        Raises:
            ConfigurationError: It cannot be run, or has no usable name.
        """
        chosen = {key: value for key, value in settings.items() if value is not None}
        if isinstance(given, Check):
            return replace(given, **chosen)
        if isinstance(given, type):
            raise ConfigurationError(f"{given.__qualname__} is a class; give the health check as an instance of it")
        run = getattr(given, "run", None)
        name = getattr(given, "name", None) or getattr(given, "__name__", None)
        if name in (None, "<lambda>") and "name" not in chosen:
            raise ConfigurationError(f"the health check {given!r} has no name; pass name='…'")
        own = {key: getattr(given, key) for key in ("criticality", "timeout", "interval") if hasattr(given, key)}
        return cls(**{"name": name, "run": run if callable(run) else given, **own, **chosen})


def allow_time(seconds: float) -> None:
    """What :func:`time_allowed` is to say in this context."""
    _allowed.set(seconds)


def time_allowed() -> float:
    """Seconds that the check which calls this may take: for the timeouts of its sockets, so that its thread ends soon after."""
    return _allowed.get()


def _refuse_unless_seconds(value: object, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value <= 0:
        raise ConfigurationError(f"{what} must be a number of seconds greater than zero, got {value!r}")


def _refuse_unless_runnable(run: object, whose: str) -> None:
    if not callable(run):
        raise ConfigurationError(f"{whose} cannot be run: {run!r} is not callable; pass a function, sync or async, without calling it")
    if inspect.isgeneratorfunction(run) or inspect.isasyncgenfunction(run):
        raise ConfigurationError(f"{whose} is a generator; return the result instead of yielding it")
    try:
        inspect.signature(run).bind()
    except ValueError:  # written in C, without a signature
        return
    except TypeError as reason:
        raise ConfigurationError(f"{whose} is called without arguments, but {reason}; bind them with functools.partial") from None
