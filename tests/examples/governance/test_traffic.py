"""The assembly when there is nothing to talk to; with the platform it is in test_platform.py."""

from __future__ import annotations

import threading

import pytest

from examples.governance.traffic import Traffic, UnreachableError

pytestmark = pytest.mark.once

NOBODY = "http://127.0.0.1:1"


def test_services_that_are_not_there_are_said():
    with pytest.raises(UnreachableError, match=r"http://127.0.0.1:1 does not answer .*; is the service running there\?"):
        Traffic(NOBODY, NOBODY).run()


def test_it_stops_at_once_when_told_to():
    stop = threading.Event()
    stop.set()
    people = Traffic(NOBODY, NOBODY)
    people.run(stop=stop)
    assert people.answers == {}


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "https://127.0.0.1", "nonsense"])
def test_an_address_that_is_none_is_refused(url: str):
    with pytest.raises(ValueError, match="is not the address of a service"):
        Traffic(url, NOBODY)


def test_a_rate_of_nothing_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        Traffic(NOBODY, NOBODY, rate=0)
