"""The C core as an extension module: copies of it, interpreters of their own, memory given back."""

from __future__ import annotations

import gc
import importlib.util
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from math import nan
from types import ModuleType
from typing import Any

import pytest

from measurand.core.contract import Spec
from tests.core.kit import Kit, exercise
from tests.support import IS_FREE_THREADED, StillClock

gives_back = pytest.mark.skipif(
    IS_FREE_THREADED and sys.version_info < (3, 14),
    reason="once threads were started, this interpreter keeps all code and classes for ever",
)


def copy_of(native: ModuleType) -> ModuleType:
    """The extension, executed once more."""
    specification = importlib.util.spec_from_file_location(native.__name__, native.__file__)
    assert specification is not None
    assert specification.loader is not None
    copy = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(copy)
    return copy


def test_a_second_copy_of_the_module_shares_nothing_with_the_first(native: ModuleType, still_clock: StillClock) -> None:
    copy = copy_of(native)
    assert copy is not native
    for name in ("Instrument", "CounterBase", "Timer", "OutcomeTimer", "Frozen", "Layout", "freeze"):
        assert getattr(copy, name) is not getattr(native, name)
    mine, theirs = Kit(copy), Kit(native)
    counter, summary = mine.counter("a"), mine.summary()
    counter.labels("x").inc()
    with summary.time():
        still_clock.advance(2)
    assert mine.rows(counter) == {("x",): (1.0,)}
    assert mine.rows(summary) == {(): (1.0, 2.0)}
    for call in (theirs.core.freeze, theirs.core.read, theirs.core.children, theirs.core.spec):
        with pytest.raises(AttributeError):
            call(counter)
    with pytest.raises(TypeError):
        theirs.core.Layout([], 0, [(b"m", None, 0, -1)]).render(copy.freeze(counter))


def test_instruments_outlive_the_name_of_their_module(native: ModuleType) -> None:
    counter = Kit(copy_of(native)).counter("a")
    gc.collect()
    counter.labels("x").inc()
    counter.labels(a=1).inc()
    with pytest.raises(ValueError, match="non-negative"):
        counter.labels("x").inc(-1)


def test_the_types_cannot_be_changed_from_outside(native: ModuleType) -> None:
    for name in ("Frozen", "Layout"):
        with pytest.raises(TypeError):
            type("Heir", (getattr(native, name),), {})
    with pytest.raises(TypeError):
        native.Frozen()


def test_what_a_subclass_makes_in_its_place_must_be_a_new_instrument(native: ModuleType) -> None:
    class Odd(native.CounterBase):  # type: ignore[name-defined,misc]
        made: Any = None

        def __new__(cls) -> Any:
            return super().__new__(cls) if cls.made is None else cls.made

    root = Odd()
    native.define(root, Spec("m", "counter", "counter", ("a",)))
    for made in (root, "text", 1):
        Odd.made = made
        with pytest.raises(TypeError, match="must return a new instrument"):
            root.labels("x")
    Odd.made = None
    root.labels("x").inc()
    assert native.freeze(root).rows() == [(("x",), (1.0,))]


INTERPRETER = """
import sys
sys.path[:] = {path!r}
from tests.core.kit import exercise
exercise("measurand.core._native")
"""


def test_it_works_in_further_interpreters_and_after_they_ended(native: ModuleType) -> None:
    """Those that share the interpreter lock; in a process of its own, as what goes wrong there takes the process along."""
    code = f"""
import sys
sys.path[:] = {sys.path!r}
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
from tests.core.kit import exercise
exercise("measurand.core._native")
for _ in range(3):
    shared_lock = ("legacy",) if hasattr(interpreters, "new_config") else ()
    interpreter = interpreters.create(*shared_lock) if shared_lock else interpreters.create(isolated=False)
    try:
        failure = interpreters.run_string(interpreter, {INTERPRETER.format(path=sys.path)!r})
        assert failure is None, failure
    finally:
        interpreters.destroy(interpreter)
exercise("measurand.core._native")
print("done")
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (shown.returncode, shown.stdout) == (0, "done\n"), shown.stderr


def grown(step: Callable[[], object], memory: Callable[[], int] = sys.getallocatedblocks, steps: int = 100, most: int = 50) -> int:
    """How much memory some steps leave behind.

    The interpreter's own reserves grow by and by, so this is done again until it was less than ``most`` twice: what leaks never is.
    """
    gc.collect()
    gc.freeze()  # what was there before is neither looked through again and again nor given back meanwhile
    try:
        small = 0
        for _ in range(20):
            before = memory()
            for _ in range(steps):
                step()
            gc.collect()
            left = memory() - before
            small += left < most
            if small == 2:
                return left
        return max(left, most)
    finally:
        gc.unfreeze()


def refuse_everything(make: Kit) -> None:
    """Many calls that fail, each half-way through something."""
    gauge, histogram, single = make.gauge("a", "b", name="m"), make.histogram(name="m"), make.counter(name="m")
    no_text = type("NoText", (), {"__str__": lambda self: 1 / 0, "__float__": lambda self: 1 / 0})()
    refusing = make.counter("a", name="m", adopt=lambda child: 1 / 0)
    core = make.core
    frozen, layout = core.freeze(histogram), core.Layout([], 0, [(b"m", None, 0, 0)])
    calls: list[Callable[[], Any]] = [
        lambda: gauge.labels("x", no_text),
        lambda: gauge.labels(a="x", b=no_text),
        lambda: gauge.labels("x"),
        lambda: gauge.labels(a="x", c="y"),
        lambda: gauge.labels("x", "y").labels("z"),
        lambda: gauge.labels("x", "y").set(no_text),
        lambda: gauge.labels("x", "y").inc(no_text),
        gauge.inc,
        lambda: gauge.remove("x", no_text),
        lambda: gauge.remove_by_labels({"a": no_text}),
        lambda: gauge.remove_by_labels({"c": 1}),
        lambda: gauge.replace({("x", "y"): 1, ("z", no_text): 2}),
        lambda: gauge.replace({("x", "y"): 1, ("z", "z"): no_text}),
        lambda: refusing.labels("x"),
        lambda: refusing.labels(a="x"),
        lambda: single.inc(-1),
        lambda: single.inc(nan),
        lambda: single.inc(10**400),
        lambda: single.inc(1, {"": "x"}),
        lambda: single.inc(1, exemplar=1),
        lambda: single.inc(unknown=1),
        lambda: single.labels("x"),
        lambda: histogram.observe("x"),
        lambda: histogram.observe(1, {"a": 1}),
        lambda: core.write(histogram, 99, 1),
        lambda: core.write(histogram, "0", 1),
        lambda: core.write(histogram, 0, no_text),
        lambda: core.define(make.Counter(), None),
        lambda: core.define(make.Counter(), Spec("m", "counter", "counter", width="x")),  # type: ignore[arg-type]
        lambda: core.Layout([(b"a", 0, 0)], 0, []),
        lambda: core.Layout([(b"a", 0)], 0, [(b"m",)]),
        lambda: core.Layout([], 0, [(b"m", None, 99, -1)]).render(frozen),
        lambda: layout.render(None),
        core.Timer,
        lambda: core.Timer(single, "no_such_method").since(1.0),
        core.OutcomeTimer,
        lambda: core.OutcomeTimer(histogram, "observe", ("x",), ()).since(1.0),
        lambda: core.OutcomeTimer(histogram, "observe", (), ()).since("x"),
        lambda: core.format_number("x"),
        lambda: frozen.put(99, 1),
        lambda: core.freeze(None),
    ]
    histogram.observe(1, {"trace": "x"})
    calls.append(lambda: layout.render(core.freeze(histogram), lambda exemplar: 1 / 0))  # type: ignore[arg-type,return-value]
    for position, call in enumerate(calls):
        try:
            call()
        except Exception:
            continue
        raise AssertionError(f"call {position} was accepted")


def test_memory_that_is_not_given_back_would_be_seen() -> None:
    kept: list[object] = []
    assert grown(lambda: kept.append([])) >= 50


@gives_back
def test_memory_is_given_back_by_what_works(make: Kit, quiet: None) -> None:
    assert grown(lambda: exercise(make.core.__name__)) < 50


@gives_back
def test_memory_is_given_back_by_what_fails(make: Kit, quiet: None) -> None:
    assert grown(lambda: refuse_everything(make)) < 50


def test_memory_does_not_grow_with_series_that_come_and_go(make: Kit, quiet: None) -> None:
    gauge, expiring = make.gauge("a", "b", max_series=None), make.gauge("a", expire_after=0.0)
    layout = make.core.Layout([(b'a="', 0), (b',b="', 1)], 2, [(b"m", None, 0, -1)])

    def step() -> None:
        for number in range(50):
            gauge.labels(number, b := f"{number} {id(gauge)}").set(1)
            gauge.labels(a=number, b=b).inc()
            gauge.labels(number, b).note = b
        layout.render(make.core.freeze(gauge))
        gauge.replace({(number, "x"): number for number in range(30)})
        gauge.remove(1, "x")
        gauge.remove_by_labels({"a": 2})
        gauge.clear()
        for number in range(50):
            expiring.labels(number).set(1)
        make.core.freeze(expiring)

    assert grown(step, steps=60) < 50
    tracemalloc.start()
    try:
        assert grown(step, lambda: tracemalloc.get_traced_memory()[0], steps=10, most=10_000) < 10_000
    finally:
        tracemalloc.stop()
