"""What can come of handing an act to the event writer, besides an event; a refusal is in ``rules.py``."""

from __future__ import annotations

from .events import Act


class UnreachableError(Exception):
    """The act could not be handed over; it will not be recorded."""


class PendingError(Exception):
    """The act was handed over and not answered in time; it may be recorded later, or not."""

    def __init__(self, act: Act) -> None:
        super().__init__("the event writer has not answered yet")
        self.act = act
