"""What can go wrong, in this application's own words."""

from __future__ import annotations


class ChannelBotError(Exception):
    """What the people who asked should read."""


class NotFoundError(ChannelBotError):
    """There is no such thing."""


class ConflictError(ChannelBotError):
    """It is too late for that."""


class RefusedError(ChannelBotError):
    """Telegram will not do this, now or later."""


class UnreachableError(ChannelBotError):
    """Somebody whom we ask does not answer, or asks us to come back later.

    Attributes:
        retry_after: Seconds to wait before the next attempt, where that was said.
    """

    def __init__(self, said: str, retry_after: float | None = None) -> None:
        super().__init__(said)
        self.retry_after = retry_after
