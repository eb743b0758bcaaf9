"""Whether two objects are the same thing, made twice."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from functools import lru_cache, partial, wraps
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from measurand import Check
from measurand.bootstrap.likeness import Likeness, called, place

pytestmark = pytest.mark.once

Make = Callable[[Any], Any]


class Client:
    def __init__(self, address: str) -> None:
        self.address = address
        self.connection = object()

    def ping(self) -> bool:
        return True


def closure(value: Any) -> Callable[[], Any]:
    def run() -> Any:
        return value

    return run


def default(value: Any) -> Callable[[], Any]:
    def run(value: Any = value, *, other: Any = value) -> Any:
        return value, other

    return run


def holds_itself(value: Any) -> Callable[[], Any]:
    def run() -> Any:
        return run, value

    return run


def decorated(value: Any) -> Callable[[], Any]:
    inner = closure(value)

    @wraps(inner)
    def run() -> Any:
        return inner()

    return run


MAKERS: list[Make] = [
    closure,
    default,
    holds_itself,
    decorated,
    lambda value: partial(print, value),
    lambda value: partial(print, end=value),
    lambda value: Client(value).ping,
    lambda value: (value, closure(value)),
    lambda value: Check("database", closure(value)),
    lambda value: Check(value, bool),
    Client,
    Path,
]


@pytest.mark.parametrize("make", MAKERS)
def test_the_same_thing_made_twice_is_told_from_one_that_was_made_with_another_value(make: Make) -> None:
    assert Likeness(make("here")) == Likeness(make("here"))
    assert Likeness(make("here")) != Likeness(make("there"))


@pytest.mark.parametrize("make", MAKERS[:6])
def test_what_has_a_state_of_its_own_may_be_made_anew(make: Make) -> None:
    assert Likeness(make(Client("here"))) == Likeness(make(Client("there")))
    assert Likeness(make(Client("here"))) != Likeness(make(SimpleNamespace()))


def test_things_of_different_places_are_different() -> None:
    things = [closure(1), default(1), Client("a"), Client("a").ping, Client, closure, print, lru_cache(closure), 1]
    made = [Likeness(each) for each in things]
    assert [(i, j) for i, one in enumerate(made) for j, other in enumerate(made) if (one == other) != (i == j)] == []
    assert made[0] != 1


def test_an_object_stays_like_itself() -> None:
    client = Client("here")
    before = Likeness(client)
    client.address = "there"
    assert before == Likeness(client)
    assert before == Likeness(Client("here")), "it is remembered as it was"


def test_a_variable_without_a_value_is_no_obstacle() -> None:
    def make() -> Callable[[], Any]:
        def run() -> Any:
            return later

        noted = Likeness(run)
        later = 1
        assert run() == 1
        return lambda: noted

    assert make()() == make()()


def test_a_place_is_in_a_file_whatever_the_module_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "likeness_program.py"
    code = "from measurand.bootstrap.likeness import place\ndef work(): ...\nclass Worker: ...\n"
    source.write_text(code + "places = [place(work), place(Worker), place(Worker())]")
    monkeypatch.syspath_prepend(str(tmp_path))
    as_program = runpy.run_path(str(source), run_name="__main__")["places"]
    assert as_program == import_module("likeness_program").places
    assert as_program == [(str(source.resolve()), name) for name in ("work", "Worker", "Worker")]
    sys.modules.pop("likeness_program")


def test_where_there_is_no_file_the_module_says_it() -> None:
    assert place(print) == ("builtins", "print")
    assert place([].append) == ("?", "list.append")


def test_a_function_is_called_by_module_and_name() -> None:
    assert called(partial(closure, 1)) == f"{__name__}.closure"
    assert called(Client("here")) == f"{__name__}.Client"
