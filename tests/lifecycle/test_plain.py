"""Waiters, flushes and listeners that would have to be awaited are refused, or said to be not done."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from measurand.errors import ConfigurationError
from measurand.lifecycle.coordinator import Coordinator, Event
from measurand.lifecycle.plain import drop_awaitable

pytestmark = pytest.mark.once


async def jobs(seconds: float = 0.0) -> bool:
    return True


class Jobs:
    async def __call__(self, seconds: float) -> bool:
        return True


def hidden(seconds: float = 0.0) -> Any:
    """A plain function, as far as that can be known before it is called."""
    return jobs(seconds)


@pytest.mark.parametrize("function", [jobs, functools.partial(jobs, 1.0), Jobs()], ids=["a function", "a partial one", "an object"])
def test_a_coroutine_function_is_refused_as_a_waiter_and_as_a_flush(coordinator: Coordinator, function: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"the waiter jobs is a coroutine function; give a plain one, .*run_coroutine_threadsafe"):
        coordinator.add_waiter("jobs", function)
    with pytest.raises(ConfigurationError, match="the flush journal is a coroutine function"):
        coordinator.add_flush("journal", function)
    report = coordinator.shutdown()
    assert report.steps == (), "what was refused is not there"


def test_what_turns_out_to_be_a_coroutine_is_not_done(coordinator: Coordinator, caplog: pytest.LogCaptureFixture) -> None:
    coordinator.add_waiter("jobs", hidden)
    coordinator.add_flush("journal", hidden)
    coordinator.on(Event.STARTUP, hidden, name="opening")
    coordinator.on(Event.SHUTDOWN, hidden, name="closing")
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING, "measurand"):
        warnings.simplefilter("error")  # such as that a coroutine was never awaited
        coordinator.started()
        report = coordinator.shutdown()
    problem = "not done: it returned a coroutine, which nothing awaits"
    assert (report.unfinished, dict(report.lost), dict(report.failed)) == (("jobs",), {"journal": problem}, {"closing": problem})
    for step in ("startup opening", "waiter jobs", "flush journal", "shutdown closing"):
        assert f"{step} is not done: it returned a coroutine" in caplog.text


def test_other_values_are_left_as_they_are() -> None:
    assert not any(drop_awaitable(value) for value in (None, True, "two lines", object()))
