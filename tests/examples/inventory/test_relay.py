"""The pipes between the workers: lines arrive whole, at everybody else's, and nobody waits for anybody."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from examples.inventory.relay import LONGEST, Relay
from tests.support import run_threads, wait_until

pytestmark = pytest.mark.once


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay(3)
    yield made
    made.close()


def in_a_child(relay: Relay, place: int, *lines: bytes) -> None:
    """A forked worker that takes a place, says something, and ends."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            relay.take(place, lambda line: None)
            for line in lines:
                relay.tell(line)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_what_another_process_tells_is_heard_in_order_and_one_hears_not_oneself(relay: Relay):
    heard: list[bytes] = []
    relay.take(0, heard.append)
    relay.tell(b"mine")
    in_a_child(relay, 1, b"one", b"two")
    wait_until(lambda: heard[1:])
    assert heard == [b"one", b"two"]


def test_lines_of_several_threads_and_processes_arrive_whole(relay: Relay):
    heard: list[bytes] = []
    relay.take(0, heard.append)
    lines = [b"%d" % number * 700 for number in range(1, 5)]
    run_threads(*[lambda place=place: in_a_child(relay, place, *lines * 3) for place in (1, 2)])
    wait_until(lambda: len(heard) == 24)
    assert {line: heard.count(line) for line in lines} == dict.fromkeys(lines, 6)


def test_nobody_waits_where_nobody_listens(relay: Relay):
    relay.take(0, lambda line: None)
    told = threading.Thread(target=lambda: [relay.tell(b"x" * 4000) for _ in range(100)], daemon=True)
    told.start()
    told.join(30)
    assert not told.is_alive()


def test_who_takes_a_place_is_not_told_what_was_meant_for_whoever_had_it(relay: Relay):
    in_a_child(relay, 1, *[b"old" * 100] * 300)
    heard: list[bytes] = []
    relay.take(0, heard.append)
    in_a_child(relay, 1, b"new")
    assert wait_until(lambda: heard) == [b"new"]


def test_a_line_that_is_too_long_is_said_and_not_told(relay: Relay, caplog):
    heard: list[bytes] = []
    relay.take(0, heard.append)
    in_a_child(relay, 1, b"x" * LONGEST, b"short")
    assert wait_until(lambda: heard) == [b"short"]
    relay.tell(b"x" * LONGEST)
    assert "too long to be told to the other workers" in caplog.text


def test_there_are_as_many_places_as_were_asked_for(relay: Relay):
    assert relay.free([]) == 0
    assert relay.free([0, None, 2]) == 1
    assert relay.free([0, 1, 2]) is None


def test_after_its_end_it_hears_nothing(relay: Relay):
    heard: list[bytes] = []
    relay.take(0, heard.append)
    relay.close()
    in_a_child(relay, 1, b"late")
    assert heard == []
