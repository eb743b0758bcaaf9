"""A stand-in for a service that counts readers (``views.py``): posts gain readers whenever somebody asks."""

from __future__ import annotations

from collections import Counter

from ..inventory.standins.server import Answer, Asked, Standin


class ViewsStandIn(Standin):
    """Each message has so many more views each time it is asked for.

    Attributes:
        gain: See above; may be changed.
        is_away: Whether it answers that it cannot.

    Args:
        gain: How many more.
        port: Where to listen on 127.0.0.1; 0 for a free port.
    """

    def __init__(self, gain: int = 7, port: int = 0) -> None:
        super().__init__(port)
        self.gain = gain
        self.is_away = False
        self.views: Counter[tuple[str, str]] = Counter()

    def answer(self, asked: Asked) -> Answer:
        """See ``Standin``."""
        if self.is_away:
            return Answer(503)
        _, _, chat = asked.path.rpartition("/")
        seen = {}
        for message in filter(None, asked.query.get("messages", "").split(",")):
            self.views[chat, message] += self.gain
            seen[message] = self.views[chat, message]
        return Answer(200, seen)
