"""How checks are put together, and which mistakes are found then."""

from __future__ import annotations

import functools
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from measurand.errors import ConfigurationError
from measurand.health.check import TIMEOUT, Check, Criticality, time_allowed

pytestmark = pytest.mark.once


def passes() -> None: ...


async def passes_later() -> None: ...


def takes_an_argument(client: object) -> None: ...


def yields() -> Iterator[bool]:
    yield True


async def yields_later() -> AsyncIterator[bool]:
    yield True


class Callable:
    def __call__(self) -> None: ...


class CallableLater:
    async def __call__(self) -> None: ...


class EventStore:
    """As an application writes it."""

    name = "event_store"
    criticality = "degraded"
    timeout = 2.0
    interval = 30.0

    def run(self) -> bool:
        return True


def test_what_is_not_said_is_usual() -> None:
    check = Check("database", passes)
    assert (check.criticality, check.timeout, check.interval) == (Criticality.CRITICAL, TIMEOUT, None)
    assert TIMEOUT == 0.5


def test_a_function_names_its_check() -> None:
    assert Check.of(passes).name == "passes"
    assert Check.of(passes, name="database").name == "database"


def test_an_object_brings_its_settings_and_they_can_be_replaced() -> None:
    store = EventStore()
    check = Check.of(store)
    assert (check.name, check.criticality, check.timeout, check.interval) == ("event_store", "degraded", 2.0, 30.0)
    assert check.run() is True
    check = Check.of(store, name="events", criticality="info", timeout=1.0, interval=7.0)
    assert (check.name, check.criticality, check.timeout, check.interval) == ("events", "info", 1.0, 7.0)


def test_a_check_can_be_given_other_settings() -> None:
    check = Check.of(Check("database", passes), timeout=3, criticality="info")
    assert (check.name, check.timeout, check.criticality) == ("database", 3, Criticality.INFO)


@pytest.mark.parametrize(
    ("run", "is_async"),
    [
        (passes, False),
        (passes_later, True),
        (functools.partial(passes_later), True),
        (functools.partial(takes_an_argument, None), False),
        (Callable(), False),
        (CallableLater(), True),
        (lambda: None, False),
        (dict, False),
    ],
)
def test_what_can_be_called_without_arguments_can_be_run(run: Any, is_async: bool) -> None:
    assert Check("database", run).is_async is is_async


@pytest.mark.parametrize("name", ["", "data base", "1st", "café", "a/b", "x" * 65, "a\n", None, 5, b"a", '"', "{check}"])
def test_a_name_that_would_not_do_as_a_label_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be the name of a health check: use letters.*name='database'"):
        Check(name, passes)


@pytest.mark.parametrize("name", ["a", "_x", "event-store", "db.primary", "Redis_2", "x" * 64])
def test_usual_names_are_accepted(name: str) -> None:
    assert Check(name, passes).name == name


@pytest.mark.parametrize("criticality", ["", "fatal", "CRITICAL", None, 1])
def test_an_unknown_criticality_is_refused_with_those_there_are(criticality: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"'database' has the criticality .*; it must be one of critical, degraded, info"):
        Check("database", passes, criticality=criticality)


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, "1", True])
@pytest.mark.parametrize("setting", ["timeout", "interval"])
def test_a_time_that_is_none_is_refused(setting: str, seconds: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"the {setting} of the health check 'database' must be a number of seconds greater than"):
        Check("database", passes, **{setting: seconds})


@pytest.mark.parametrize("run", [None, 5, "ping", passes()])
def test_what_cannot_be_called_is_refused(run: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"'database' cannot be run: .* is not callable; pass a function"):
        Check("database", run)


@pytest.mark.parametrize("run", [takes_an_argument, EventStore.run])
def test_what_needs_arguments_is_refused_before_it_runs(run: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"is called without arguments, but missing a required argument: '\w+'; bind them with"):
        Check("database", run)


@pytest.mark.parametrize("run", [yields, yields_later])
def test_a_generator_is_refused(run: Any) -> None:
    with pytest.raises(ConfigurationError, match="'database' is a generator; return the result"):
        Check("database", run)


def test_a_class_is_refused_as_calling_it_would_check_nothing() -> None:
    with pytest.raises(ConfigurationError, match="EventStore is a class; give the health check as an instance"):
        Check.of(EventStore)


@pytest.mark.parametrize("given", [lambda: None, functools.partial(passes), 5, Callable()])
def test_what_has_no_name_needs_one(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="has no name; pass name="):
        Check.of(given)


def test_outside_of_a_run_the_usual_time_is_allowed() -> None:
    assert time_allowed() == TIMEOUT
