"""What became of a shutdown, for its one log line and for whoever wants to look closer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ShutdownReport", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was to be done.

    Attributes:
        kind: The event whose listener it was, or ``"waiter"`` or ``"flush"``.
        name: What it was registered as.
        seconds: How long it took.
        problem: What went wrong, in a few words, or ``None``. It names classes of exceptions, never their texts.
    """

    kind: str
    name: str
    seconds: float
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ShutdownReport:
    """What was done, and what was not.

    Attributes:
        is_complete: Whether the shutdown has come to its end.
        duration: Seconds since it began.
        budget: Seconds that it was given.
        steps: Every listener, waiter and flush, in the order in which they ended.
    """

    is_complete: bool
    duration: float
    budget: float
    steps: tuple[Step, ...]

    @property
    def flushed(self) -> tuple[str, ...]:
        """What was flushed, with nothing lost."""
        return tuple(step.name for step in self.steps if step.kind == "flush" and step.problem is None)

    @property
    def lost(self) -> Mapping[str, str]:
        """What was not flushed or not wholly, and what of it is lost."""
        return {step.name: step.problem for step in self.steps if step.kind == "flush" and step.problem is not None}

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The work that was waited for and was not done in time."""
        return tuple(step.name for step in self.steps if step.kind == "waiter" and step.problem is not None)

    @property
    def failed(self) -> Mapping[str, str]:
        """The listeners that raised or took too long, and which of the two."""
        return {step.name: step.problem for step in self.steps if step.kind not in ("flush", "waiter") and step.problem is not None}

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, left unfinished or failed."""
        return not any(step.problem for step in self.steps)

    def __str__(self) -> str:
        text = f"shut down in {self.duration:.2f} s of {self.budget:g} s; flushed: {', '.join(self.flushed) or 'nothing'}"
        text += f"; lost: {_listed(self.lost) or 'nothing'}"
        if self.unfinished:
            text += f"; not done in time: {', '.join(self.unfinished)}"
        if self.failed:
            text += f"; failed: {_listed(self.failed)}"
        return text


def _listed(problems: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({problem})" for name, problem in problems.items())
