"""What the metric sets have in common that :func:`measurand.timed` takes as its target."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from measurand.core import now
from measurand.errors import LabelError
from measurand.metrics.timed import Stopwatch

__all__ = ["named", "stopwatch"]


def named(what: str, labels: Mapping[str, str], **defaults: str | None) -> dict[str, str]:
    """The values of the labels that a set needs.

    Args:
        what: What is timed, for the message.
        labels: Those that were given.
        **defaults: Those that the set needs, each with the value that it has if none is given; ``None`` if one has to be.

    Raises:
        LabelError: One that has to be given is not there, or there is another one.
    """
    found = {name: labels.get(name, default) for name, default in defaults.items()}
    known = {name: value for name, value in found.items() if value is not None}
    if len(known) < len(defaults) or labels.keys() - defaults.keys():
        allowed = ", ".join(repr(name) for name in defaults)
        why = "and needs them where no function gives the name"
        raise LabelError(f"timed() takes {allowed} as labels for {what}, {why}; got {list(labels)}")
    return known


def stopwatch(end: Callable[[float, BaseException | None], object], begin: Callable[[], object] | None = None) -> Stopwatch:
    """What calls a function at the end of something, with its duration in seconds and the exception that left it.

    Args:
        end: That function.
        begin: Called at the beginning.
    """

    def enter() -> float:
        if begin is not None:
            begin()
        return now()

    def leave(start: float, error: BaseException | None) -> float:
        duration = max(now() - start, 0.0)
        end(duration, error)
        return duration

    return Stopwatch(enter, leave)
