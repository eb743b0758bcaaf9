"""What the rules need of the world. Adapters: ``telegram.py``, ``views.py``, ``tasks.py``; tests have their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Publisher(Protocol):
    """Puts a text into a channel."""

    def publish(self, chat: int, text: str) -> int:
        """Publish; blocks.

        Returns:
            The number of the message in the channel.

        Raises:
            RefusedError: It will not be done, now or later.
            UnreachableError: It may be done later.
        """


class Audience(Protocol):
    """Knows how often posts have been seen; the Bot API does not say."""

    def views(self, chat: int, messages: Sequence[int]) -> Mapping[int, int]:
        """How often each message has been seen; without those that are not known. Blocks.

        Raises:
            UnreachableError: Nobody answers.
        """


class Jobs(Protocol):
    """Has things done elsewhere."""

    def send(self, post_id: int) -> None:
        """Have a post sent. Raises what the broker raises."""

    def refresh_views(self) -> None:
        """Have the views of all posts brought up to date. Raises what the broker raises."""
