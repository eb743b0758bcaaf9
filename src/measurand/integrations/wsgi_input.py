"""The body of a WSGI request, watched for a client that goes away while it sends.

Reading passes through unchanged, errors included. That the body was cut short can be told where its length is known, and where the
server raises an ``OSError``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["WatchedInput"]


class WatchedInput:
    """Stands in for ``wsgi.input``; what else the server's stream has is found on this one, too.

    Args:
        stream: The server's stream.
        length: The length of the body in bytes; less than 0 if it is not known.
        received: Called after each read with the number of bytes so far, and whether it seems that there will be no more although there
            should be; must not raise.
    """

    def __init__(self, stream: Any, length: int, received: Callable[[int, bool], None]) -> None:
        self._stream = stream
        self._length = length
        self._received = received
        self._count = 0

    def read(self, *size: Any) -> Any:
        """See ``io.RawIOBase``."""
        data = self._call(self._stream.read, *size)
        self._note(len(data), _is_short(len(data), size))
        return data

    def readline(self, *size: Any) -> Any:
        """See ``io.IOBase``."""
        line = self._call(self._stream.readline, *size)
        self._note(len(line), line[-1:] != b"\n" and _is_short(len(line), size))
        return line

    def readlines(self, *hint: Any) -> Any:
        """See ``io.IOBase``."""
        lines = self._call(self._stream.readlines, *hint)
        count = sum(map(len, lines))
        self._note(count, _is_short(count, hint))
        return lines

    def __iter__(self) -> Iterator[Any]:
        lines = iter(self._stream)
        while True:
            line = self._call(next, lines, None)
            if line is None:
                self._note(0, True)
                return
            self._note(len(line), line[-1:] != b"\n")
            yield line

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stream, name)
        if name != "readinto":
            return found

        def readinto(buffer: Any) -> Any:
            count = self._call(found, buffer)
            self._note(count or 0, count is not None and count < len(buffer))
            return count

        return readinto

    def _call(self, read: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except OSError:
            self._received(self._count, True)
            raise

    def _note(self, count: int, is_end: bool) -> None:
        self._count += count
        self._received(self._count, is_end and self._count < self._length)


def _is_short(count: int, size: tuple[Any, ...]) -> bool:
    """Whether a read with this argument has come to the end; without one it always does."""
    return not size or size[0] is None or size[0] < 0 or count < size[0]
