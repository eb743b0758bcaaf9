"""Every operation of a core, interrupted at every point by every other: nothing is lost, and what is left is consistent. Both twins.

The points are those at which the interpreter switches threads and runs signal handlers: on entry to a Python function, after a call, and
where a loop begins anew. All are found and interrupted, one after the other, which leaves nothing to chance.
"""

from __future__ import annotations

import dis
import inspect
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import measurand
from measurand.core.contract import OVERFLOW_VALUE
from tests.core.kit import Kit
from tests.support import StillClock

pytestmark = pytest.mark.usefixtures("quiet")

Operation = Callable[[], object]
PACKAGE = str(Path(measurand.__file__).parent)
INTERRUPTIBLE = ("RESUME", "CALL", "JUMP_BACKWARD")


class Watch:
    """Runs an interruption at one of the points that an operation passes."""

    def __init__(self, point: int, interruption: Operation) -> None:
        self.point, self.interruption = point, interruption
        self.passed = itertools.count()
        self.reached = False
        self.executed: dict[FrameType, str] = {}

    def run(self, operation: Operation) -> None:
        before, here = sys.gettrace(), inspect.currentframe()
        assert here is not None
        here.f_trace_opcodes = True  # from 3.12 on tracing looks at this when it begins
        sys.settrace(self.trace)
        try:
            operation()
        finally:
            sys.settrace(before)

    def trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if self.reached or not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace, frame.f_trace_opcodes, frame.f_trace_lines = self.trace, True, False
        if event == "opcode":
            if self.executed.get(frame, "").startswith(INTERRUPTIBLE) and next(self.passed) == self.point:
                sys.settrace(None)
                self.reached = True
                self.interruption()
            self.executed[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        return self.trace


def at_every_point(prepare: Callable[[], tuple[Operation, Operation, Operation]]) -> int:
    """Prepare an operation, an interruption and a check, and try them at each point in turn; how many points there are."""
    for point in itertools.count():
        operation, interruption, check = prepare()
        watch = Watch(point, interruption)
        watch.run(operation)
        if not watch.reached:
            interruption()
        check()
        if not watch.reached:
            return point
    raise AssertionError


def test_the_points_are_found(make: Kit) -> None:
    metric, interruptions, numbers = make.counter("a"), itertools.count(), itertools.count()
    points = at_every_point(lambda: (lambda: metric.labels(next(numbers)), lambda: next(interruptions), lambda: None))
    assert points >= (5 if make.core.implementation == "c" else 10)
    assert next(interruptions) == points + 1
    assert len(make.rows(metric)) == points + 1


# -- nothing is lost ---------------------------------------------------------------------------------------------------------

RECORDING: dict[str, Callable[[Any], Operation]] = {
    "kept": lambda metric: metric.labels("x").inc,
    "known": lambda metric: lambda: metric.labels("x").inc(),
    "by keyword": lambda metric: lambda: metric.labels(a="x").inc(),
    "converted": lambda metric: lambda: metric.labels(1).inc(),
    "with exemplar": lambda metric: lambda: metric.labels("x").inc(1, {"trace": "1"}),
    "new": lambda metric: lambda: metric.labels("new").inc(),
    "another": lambda metric: lambda: metric.labels(a="another").inc(),
    "overflow": lambda metric: lambda: metric.labels(OVERFLOW_VALUE).inc(),
}


@pytest.mark.parametrize("limit", [None, 2])
@pytest.mark.parametrize("first", RECORDING)
def test_both_increments_count_whichever_interrupts_the_other(make: Kit, first: str, limit: int | None) -> None:
    for interruption in RECORDING.values():

        def prepare(interruption: Callable[[Any], Operation] = interruption) -> tuple[Operation, Operation, Operation]:
            metric = make.counter("a", max_series=limit)
            metric.labels("x")
            metric.labels("1").inc()

            def check() -> None:
                rows = make.rows(metric)
                assert sum(value for (value,) in rows.values()) == 3
                assert limit is None or len(rows.keys() - {(OVERFLOW_VALUE,)}) <= limit + (make.core.implementation == "python")

            return RECORDING[first](metric), interruption(metric), check

        at_every_point(prepare)


@pytest.mark.parametrize("kind", ["summary", "histogram"])
def test_an_observation_is_seen_wholly_or_not_at_all_by_what_interrupts_it(make: Kit, kind: str) -> None:
    def prepare() -> tuple[Operation, Operation, Operation]:
        metric = getattr(make, kind)("a")
        metric.labels("x").observe(3)

        def look() -> None:
            for cells in make.rows(metric).values():
                assert cells[-1] == 3 * cells[-2]

        def check() -> None:
            look()
            assert make.rows(metric)[("x",)][-2:] == (2.0, 6.0)

        return lambda: metric.labels("x").observe(3), look, check

    at_every_point(prepare)


def test_a_copy_that_is_interrupted_still_shows_one_moment(make: Kit) -> None:
    def prepare() -> tuple[Operation, Operation, Operation]:
        metric = make.counter("a")
        series = [metric.labels(number) for number in range(5)]
        copies: list[Any] = []

        def check() -> None:
            (values,) = ([value for (_, (value,)) in copy.rows()] for copy in copies)
            assert values in ([0.0] * 5, [1.0] * 5)

        return lambda: copies.append(make.core.freeze(metric)), lambda: [one.inc() for one in series], check

    at_every_point(prepare)


def test_a_replacement_is_seen_wholly_or_not_at_all_by_what_interrupts_it(make: Kit) -> None:
    def prepare() -> tuple[Operation, Operation, Operation]:
        gauge = make.gauge("a")
        gauge.replace({"old": 1, "both": 1})

        def look() -> None:
            assert make.rows(gauge) in ({("old",): (1.0,), ("both",): (1.0,)}, {("both",): (2.0,), ("new",): (2.0,)})

        return lambda: gauge.replace({"both": 2, "new": 2}), look, look

    at_every_point(prepare)


@pytest.mark.parametrize("interrupted", ["the copy", "the recording"])
@pytest.mark.parametrize("renewed", [False, True])
def test_what_is_recorded_while_its_series_expires_is_seen(make: Kit, still_clock: StillClock, interrupted: str, renewed: bool) -> None:
    def prepare() -> tuple[Operation, Operation, Operation]:
        gauge = make.gauge("a", expire_after=10.0)
        kept = gauge.labels("x")
        kept.set(7)
        still_clock.advance(11)

        def record() -> None:
            if renewed:
                gauge.remove("x")
            (gauge.labels("x") if renewed else kept).inc()

        def check() -> None:
            assert make.rows(gauge) in ({("x",): (1.0,)}, {("x",): (8.0,)})
            kept.set(5)
            assert make.rows(gauge) == {("x",): (5.0,)}

        if interrupted == "the copy":
            return lambda: make.core.freeze(gauge), record, check
        return record, lambda: make.core.freeze(gauge), check

    at_every_point(prepare)


# -- what is left is consistent ----------------------------------------------------------------------------------------------

OPERATIONS: dict[str, Callable[[Kit, Any, Any], Operation]] = {
    "inc": lambda make, gauge, kept: kept.inc,
    "new": lambda make, gauge, kept: lambda: gauge.labels("new"),
    "overflow": lambda make, gauge, kept: lambda: [gauge.labels(number) for number in (3, 4)],
    "remove": lambda make, gauge, kept: lambda: gauge.remove_by_labels({"a": "x"}),
    "clear": lambda make, gauge, kept: gauge.clear,
    "replace": lambda make, gauge, kept: lambda: gauge.replace({"x": 1, "new": 2, "y": 3}),
    "set_function": lambda make, gauge, kept: lambda: kept.set_function(int),
    "freeze": lambda make, gauge, kept: lambda: make.core.freeze(gauge),
    "children": lambda make, gauge, kept: lambda: make.core.children(gauge),
    "define": lambda make, gauge, kept: lambda: make.core.define(gauge, make.core.spec(gauge)),
}
"""Each is made for a gauge and one of its series, "x"."""


@pytest.mark.parametrize("state", ["fresh", "expiring", "expired"])
@pytest.mark.parametrize("first", [name for name in OPERATIONS if name != "set_function"])
def test_whatever_interrupts_whatever_the_table_stays_consistent(make: Kit, still_clock: StillClock, first: str, state: str) -> None:
    limit = 2

    def prepare(second: str) -> tuple[Operation, Operation, Operation]:
        gauge = make.gauge("a", max_series=limit, expire_after=None if state == "fresh" else 10.0)
        kept = gauge.labels("x")
        gauge.labels("y").set(1)
        if state != "fresh":
            still_clock.advance(11)
        if state == "expired":
            make.core.freeze(gauge)

        def check() -> None:
            children = [child for child in make.core.children(gauge) if make.core.key(child) in make.rows(gauge)]
            keys = [make.core.key(child) for child in children]
            assert len(set(keys)) == len(keys)
            assert state == "expired" or len(set(keys) - {(OVERFLOW_VALUE,)}) <= limit + (make.core.implementation == "python")
            assert [gauge.labels(*key) for key in keys] == children
            for number, child in enumerate(children):
                child.set(number)
            assert make.rows(gauge) == {key: (float(number),) for number, key in enumerate(keys)}
            gauge.replace({"last": 1})
            gauge.labels("last").inc()
            assert make.rows(gauge) == {("last",): (2.0,)}

        return OPERATIONS[first](make, gauge, kept), OPERATIONS[second](make, gauge, kept), check

    for second in OPERATIONS.keys() - {"overflow", "children"}:
        at_every_point(lambda second=second: prepare(second))
