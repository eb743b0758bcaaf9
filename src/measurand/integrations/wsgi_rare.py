"""What is to be known of the few WSGI requests that do not simply stream a response, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized
from typing import Any

from measurand.catalog.http import CANCELLED, INCOMPLETE, exception_name

__all__ = ["CLIENT_GONE", "Rare", "SizedBody", "number"]

CLIENT_GONE = 499
"""The status of a request whose client went away before there was a response."""


class Rare:
    """What is to be known of few requests.

    Nothing in here refers to the exchange or to the environment.

    Attributes:
        endpoint_of: What applications within the measured one know the route by, the innermost first.
        raised: The exception that ended it.
        has_left: Whether the client went away while the response was sent.
        is_cut: Whether it did so before the end of its own body.
        is_unanswered: Whether that was before anything was sent to it.
        is_file: Whether the server sends a file, without showing us the content.
        is_for_tests: Whether it comes from a client for tests that may never ask for the end of the body.
        is_detailed: Whether sizes and times are recorded that are off by default.
        expected: How many bytes the response will have, where that matters.
        received: How many bytes of the request's body were read.
        first: When the response started; ``None`` as long as the server was given nothing.
    """

    def __init__(self) -> None:
        self.endpoint_of: list[Callable[[dict[str, Any]], str | None]] = []
        self.raised: BaseException | None = None
        self.has_left = False
        self.is_cut = False
        self.is_unanswered = False
        self.is_file = False
        self.is_for_tests = False
        self.is_detailed = False
        self.expected = -1
        self.received = 0
        self.first: float | None = None

    def note_received(self, count: int, is_cut: bool) -> None:
        """So much of the request's body was read, and there will not be more if it is cut short. What comes nevertheless corrects that."""
        self.received = count
        self.is_cut = is_cut
        self.is_unanswered = is_cut and self.first is None

    @property
    def is_disconnected(self) -> bool:
        """Whether the client went away before it had the whole response."""
        return self.has_left or self.is_cut

    def outcome(self, status_line: str, is_begun: bool, failure: str | None) -> tuple[int, str | None]:
        """What such a request is recorded with.

        Args:
            status_line: As the application started the response; empty if it did not.
            is_begun: Whether the server was given any of the response to send.
            failure: The name of an exception that the framework has made a response of.

        Returns:
            The status, and why the request failed where the status does not say it.
        """
        status = number(status_line[:3])
        is_begun = is_begun and status >= 0
        if self.is_disconnected:
            return status if is_begun and not self.is_unanswered else CLIENT_GONE, None
        if self.raised is not None:
            if isinstance(self.raised, Exception):
                return status if is_begun else 500, exception_name(self.raised)
            return status if is_begun else 503, CANCELLED
        if status < 0:
            return 500, INCOMPLETE
        return status, failure if status >= 500 else None


class SizedBody:
    """A body whose application has given it a length: some servers make a Content-Length of that.

    Args:
        watched: What to iterate over, and to close.
        returned: What has the length.
    """

    __slots__ = ("_returned", "_watched")

    def __init__(self, watched: Any, returned: Sized) -> None:
        self._watched = watched
        self._returned = returned

    def __len__(self) -> int:
        return len(self._returned)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._watched)

    def close(self) -> None:
        """See PEP 3333."""
        self._watched.close()


def number(text: Any) -> int:
    """What a header or a status line says; -1 for nothing that is a number."""
    try:
        return int(text)
    except (TypeError, ValueError):
        return -1
