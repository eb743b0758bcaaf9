"""Functions that are replaced while something is instrumented."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from measurand.errors import ConfigurationError
from measurand.integrations.seams import Guarded, Seam, Seams

pytestmark = pytest.mark.once


class Host:
    """Somebody else's class."""

    def run(self) -> str:
        return "run"

    def walk(self) -> str:
        return "walk"


class Owner:
    """What the host's objects belong to."""


def louder(function: Any) -> Any:
    def replacement(self: Host) -> str:
        return str(function(self)).upper()

    return replacement


def make(*names: str) -> Seams:
    def seams() -> Iterator[Seam]:
        for name in names:
            yield Seam(Host, name, louder)

    return Seams(seams)


def test_functions_are_replaced_from_the_first_to_the_last() -> None:
    before = dict(vars(Host))
    seams, one, other = make("run", "walk"), Owner(), Owner()
    assert Host().run() == "run"
    seams.record(one, "metrics")
    seams.record(other, "metrics")
    seams.record(None, "metrics")
    seams.record(None, "metrics")
    assert (Host().run(), Host().walk()) == ("RUN", "WALK")
    for target in (one, None, one):
        seams.drop(target, "metrics")
        assert Host().run() == "RUN"
    seams.drop(other, "metrics")
    assert dict(vars(Host)) == before
    seams.drop(other, "metrics")


def test_an_object_records_to_its_own_metrics_or_to_those_for_all() -> None:
    seams, one, other = make("run"), Owner(), Owner()
    assert seams.metrics_of(one) is None
    seams.record(one, "own")
    assert (seams.metrics_of(one), seams.metrics_of(other)) == ("own", None)
    seams.record(None, "all")
    assert (seams.metrics_of(one), seams.metrics_of(other)) == ("own", "all")
    seams.drop(one, "all")
    seams.drop(None, "own")
    assert (seams.metrics_of(one), seams.metrics_of(other)) == ("own", "all")
    seams.drop(one, "own")
    assert seams.metrics_of(one) == "all"
    seams.drop(None, "all")
    assert seams.metrics_of(one) is None


def test_what_belongs_to_an_object_is_recorded_as_its() -> None:
    seams, one = make("run"), Owner()
    seams.record(None, "all")
    seams.record(one, "own")
    assert seams.metrics_where(lambda target: target is one) == "own"
    assert seams.metrics_where(lambda target: False) == "all"
    seams.drop(one, "own")
    assert seams.metrics_where(lambda target: True) == "all"
    seams.drop(None, "all")
    assert seams.metrics_where(lambda target: True) is None


def test_an_object_is_not_kept_alive() -> None:
    seams, one = make("run"), Owner()
    seams.record(one, "own")
    seams.record(None, "all")
    del one
    gc.collect()
    seams.drop(None, "all")
    assert Host().run() == "run"


def test_what_is_not_there_leaves_everything_as_it_is() -> None:
    before = dict(vars(Host))
    seams = make("run", "fly")
    with pytest.raises(ConfigurationError, match=r"test_seams\.Host has no fly of its own in the version that is installed"):
        seams.record(None, "all")
    assert dict(vars(Host)) == before
    assert seams.metrics_of(Owner()) is None


def test_a_replacement_by_somebody_else_stays_and_ours_is_not_put_there_twice() -> None:
    before = dict(vars(Host))
    seams = make("run", "walk")
    seams.record(None, "all")
    ours = Host.run
    Host.run = louder(ours)  # type: ignore[method-assign]
    theirs = Host.run
    seams.drop(None, "all")
    assert Host.run is theirs
    seams.record(None, "all")
    assert Host.run is theirs
    Host.run = ours  # type: ignore[method-assign]
    seams.drop(None, "all")
    assert dict(vars(Host)) == before


def test_what_our_code_raises_is_logged_the_first_time(caplog: pytest.LogCaptureFixture) -> None:
    guarded = Guarded("a step")
    with caplog.at_level(logging.WARNING, "measurand.integrations"):
        assert guarded(max, 1, 2) == 2
        assert guarded(int, "x") is None
        assert guarded(int, "y") is None
    assert caplog.messages == ["a step: could not be recorded; said once"]
    assert caplog.records[0].exc_info is not None


def test_what_ends_the_program_is_let_through() -> None:
    with pytest.raises(SystemExit):
        Guarded("a step")(sys.exit)
