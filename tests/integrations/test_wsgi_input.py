"""The body of a request, watched while the application reads it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from measurand.integrations.wsgi_input import WatchedInput

pytestmark = pytest.mark.once

CONTENT = b"first line\nsecond line\nthe rest"

WAYS: dict[str, Callable[[Any], bytes]] = {
    "at once": lambda stream: stream.read(),
    "at once, by None": lambda stream: stream.read(None),
    "at once, by a negative number": lambda stream: stream.read(-1),
    "in pieces": lambda stream: b"".join(iter(lambda: stream.read(7), b"")),
    "by lines": lambda stream: b"".join(iter(stream.readline, b"")),
    "by parts of lines": lambda stream: b"".join(iter(lambda: stream.readline(4), b"")),
    "as lines": lambda stream: b"".join(stream.readlines()),
    "as some lines, and the others": lambda stream: b"".join([*stream.readlines(1), *stream.readlines()]),
    "line for line": lambda stream: b"".join(iter(stream)),
    "into a buffer": lambda stream: b"".join(iter(lambda: into(stream, bytearray(9)), b"")),
}


def into(stream: Any, buffer: bytearray) -> bytes:
    return bytes(buffer[: stream.readinto(buffer)])


class Noted:
    """What the stream has told."""

    def __init__(self) -> None:
        self.count = 0
        self.is_cut = False

    def __call__(self, count: int, is_cut: bool) -> None:
        self.count = count
        self.is_cut = is_cut


@pytest.mark.parametrize("way", WAYS)
def test_a_whole_body_is_read_as_it_is_and_not_cut(way: str) -> None:
    noted = Noted()
    assert WAYS[way](WatchedInput(io.BytesIO(CONTENT), len(CONTENT), noted)) == CONTENT
    assert (noted.count, noted.is_cut) == (len(CONTENT), False)


@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_ends_too_early_is_cut(way: str) -> None:
    noted = Noted()
    assert WAYS[way](WatchedInput(io.BytesIO(CONTENT), len(CONTENT) + 1, noted)) == CONTENT
    assert (noted.count, noted.is_cut) == (len(CONTENT), True)


@pytest.mark.parametrize("way", WAYS)
def test_a_body_of_unknown_length_ends_where_it_ends(way: str) -> None:
    noted = Noted()
    assert WAYS[way](WatchedInput(io.BytesIO(CONTENT), -1, noted)) == CONTENT
    assert (noted.count, noted.is_cut) == (len(CONTENT), False)


def test_reading_nothing_says_nothing() -> None:
    noted = Noted()
    stream = WatchedInput(io.BytesIO(CONTENT), len(CONTENT), noted)
    assert (stream.read(0), stream.readline(0), stream.readinto(bytearray())) == (b"", b"", 0)
    assert not noted.is_cut
    assert stream.read() == CONTENT


def test_a_read_that_gets_less_than_it_asked_for_has_come_to_the_end() -> None:
    noted = Noted()
    stream = WatchedInput(io.BytesIO(CONTENT), 100, noted)
    assert (stream.read(5), noted.is_cut) == (CONTENT[:5], False)
    assert (stream.readline(), noted.is_cut) == (CONTENT[5:11], False)
    assert (stream.read(89), noted.is_cut) == (CONTENT[11:], True)


def test_a_stream_that_gives_what_it_has_is_not_cut_when_more_comes() -> None:
    class Dribbling:
        pieces: ClassVar = [b"one", b"two", b"three"]

        def read(self, size: int) -> bytes:
            return self.pieces.pop(0)

    noted = Noted()
    stream = WatchedInput(Dribbling(), 11, noted)
    assert [(stream.read(100), noted.is_cut) for _ in range(3)] == [(b"one", True), (b"two", True), (b"three", False)]


def test_a_body_that_is_not_read_to_its_end_is_not_cut() -> None:
    noted = Noted()
    assert WatchedInput(io.BytesIO(CONTENT), len(CONTENT), noted).read(4) == b"firs"
    assert (noted.count, noted.is_cut) == (4, False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("error", "is_cut"), [(ConnectionResetError, True), (TimeoutError, True), (ValueError, False)])
def test_errors_of_the_server_pass_through_and_those_of_its_socket_are_a_cut(way: str, error: type[Exception], is_cut: bool) -> None:
    class Failing:
        def fail(self, *_: Any) -> Any:
            raise error("as the server says")

        read = readline = readlines = readinto = __next__ = fail

        def __iter__(self) -> Any:
            return self

    noted = Noted()
    with pytest.raises(error, match="as the server says"):
        WAYS[way](WatchedInput(Failing(), 100, noted))
    assert noted.is_cut == is_cut


def test_what_else_the_servers_stream_has_is_found() -> None:
    class Stream(io.BytesIO):
        peer = "192.0.2.7"

    stream = WatchedInput(Stream(CONTENT), len(CONTENT), Noted())
    assert stream.peer == "192.0.2.7"
    assert stream.tell() == 0
    assert not hasattr(stream, "fileno_of_nothing")


def test_a_stream_without_readinto_has_none() -> None:
    class Minimal:
        def read(self, size: int = -1) -> bytes:
            return b""

    assert not hasattr(WatchedInput(Minimal(), 1, Noted()), "readinto")
