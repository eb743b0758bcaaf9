"""What every group of habits is made of."""

from __future__ import annotations

from collections.abc import Callable

from .visitor import Visitor
from .world import World

Habit = Callable[[], object]


class Habits:
    """Things that a visitor does in one corner of the workshop, and remembers."""

    def __init__(self, visitor: Visitor, world: World) -> None:
        self.call = visitor.call
        self.chance = visitor.chance
        self.visitor = visitor
        self.world = world

    def look_around(self) -> None:
        """Learn what is there."""

    def furnish(self) -> None:
        """Add what is needed before the day can begin, and do everything that matters once."""

    def usual(self) -> list[tuple[Habit, int]]:
        """What is done, and how often out of two hundred or so."""
        raise NotImplementedError
