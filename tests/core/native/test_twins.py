"""The C core is the Python twin's equal: names, signatures, documentation, results, exceptions and messages."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from decimal import Decimal
from math import inf, nan
from types import ModuleType
from typing import Any

import pytest

from measurand.core import pure
from tests.core.kit import Kit
from tests.support import StillClock

CLASSES = [name for name in pure.__all__ if inspect.isclass(getattr(pure, name))]
FUNCTIONS = [name for name in pure.__all__ if inspect.isfunction(getattr(pure, name))]
MEMBERS = [
    (name, member)
    for name in CLASSES
    for member in dir(getattr(pure, name))
    if not member.startswith("_") and callable(getattr(getattr(pure, name), member))
]
SPECIAL = ["__call__", "__enter__", "__exit__", "__len__"]


def methods(cls: type) -> list[str]:
    return [name for name in dir(cls) if not name.startswith("_")]


def shape(function: Any) -> list[tuple[str, object, object]]:
    """A signature without its annotations, which a compiled function does not carry."""
    return [(parameter.name, parameter.kind, parameter.default) for parameter in inspect.signature(function).parameters.values()]


# -- what can be seen without calling ----------------------------------------------------------------------------------------


def test_both_offer_the_same_names_and_nothing_else(native: ModuleType) -> None:
    assert sorted(native.__all__) == sorted(pure.__all__)
    assert {name for name in dir(native) if not name.startswith("_")} == set(pure.__all__)
    assert set(CLASSES) | set(FUNCTIONS) | {"implementation"} == set(pure.__all__)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_the_same_members_documentation_and_place_in_the_tree(native: ModuleType, name: str) -> None:
    ours, theirs = getattr(native, name), getattr(pure, name)
    assert methods(ours) == methods(theirs)
    assert [member for member in SPECIAL if hasattr(ours, member)] == [member for member in SPECIAL if hasattr(theirs, member)]
    assert inspect.getdoc(ours) == inspect.getdoc(theirs)
    assert (ours.__name__, ours.__qualname__) == (theirs.__name__, theirs.__qualname__)
    assert [base.__name__ for base in ours.__mro__] == [base.__name__ for base in theirs.__mro__]


@pytest.mark.parametrize("name", ["Layout", "OutcomeTimer", "Timer"])
def test_a_class_is_made_with_the_same_arguments(native: ModuleType, name: str) -> None:
    assert shape(getattr(native, name)) == shape(getattr(pure, name))


@pytest.mark.parametrize(("name", "member"), MEMBERS)
def test_a_method_has_the_same_signature_and_documentation(native: ModuleType, name: str, member: str) -> None:
    ours, theirs = getattr(getattr(native, name), member), getattr(getattr(pure, name), member)
    assert inspect.getdoc(ours) == inspect.getdoc(theirs)
    assert inspect.getdoc(ours)
    assert shape(ours)[1:] == shape(theirs)[1:]
    assert ours.__name__ == theirs.__name__


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_the_same_signature_and_documentation(native: ModuleType, name: str) -> None:
    ours, theirs = getattr(native, name), getattr(pure, name)
    assert inspect.getdoc(ours) == inspect.getdoc(theirs)
    assert inspect.getdoc(ours)
    assert shape(ours) == shape(theirs)
    assert ours.__name__ == theirs.__name__


# -- what they answer --------------------------------------------------------------------------------------------------------


class Unprintable:
    def __str__(self) -> str:
        raise LookupError("has no text")

    def __repr__(self) -> str:
        return "Unprintable()"


class Unprinted:
    def __str__(self) -> Any:
        return 1  # noqa: PLE0307 - which str() refuses

    def __repr__(self) -> str:
        return "Unprinted()"


class Unreal:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __float__(self) -> Any:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


AMOUNTS: list[Any] = [0, -0.0, 1, -1, 0.5, True, nan, -nan, inf, -inf, 10**400, -(10**400), 2**64]
AMOUNTS += [Decimal("1.5"), Decimal("-1"), Decimal("sNaN"), "1", "x", b"1", None, [], (), {}, 1j, object]
AMOUNTS += [Unreal("x"), Unreal(1), Unreal(LookupError("no value")), Unreal(2.5)]
LABELS: list[Any] = ["", "x", 1, None, True, "\udc80", b"x", Unprintable(), Unprinted(), (), ("a",), ["a"]]
EXEMPLARS: list[Any] = [None, {}, {"a": "b"}, {"a": 1}, {1: "a"}, {"": "a"}, {"__a": "b"}, {"a": "b" * 128}, "ab", 1, [("a", "b")]]


def instruments(make: Kit) -> dict[str, Any]:
    names: tuple[tuple[str, ...], ...] = ((), ("a",), ("a", "b"))
    made = {}
    for count, labels in enumerate(names):
        made[f"counter {count}"] = make.counter(*labels, name="m", max_series=3)
        made[f"gauge {count}"] = make.gauge(*labels, name="m", max_series=3)
        made[f"expiring {count}"] = make.gauge(*labels, name="m", expire_after=1e6)
        made[f"most recent {count}"] = make.gauge(*labels, name="m", additive=False)
        made[f"summary {count}"] = make.summary(*labels, name="m")
        made[f"histogram {count}"] = make.histogram(*labels, name="m", max_series=0)
        made[f"other {count}"] = make.other(*labels, name="m")
    for name, metric in list(made.items()):
        if not name.endswith("0"):
            made[f"child of {name}"] = metric.labels(*"xyz"[: len(make.core.spec(metric).labelnames)])
    return made


def argument_lists(method: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((), {}), ((1, 2, 3, 4), {}), ((), {"unknown": 1}), ((1,), {"unknown": 1})]
    if method in {"inc", "dec", "observe", "set"}:
        calls += [((amount,), {}) for amount in AMOUNTS]
        calls += [((), {"amount": 2}), ((), {"value": 2}), ((1,), {"amount": 2}), ((1,), {"value": 2})]
        calls += [((2, exemplar), {}) for exemplar in EXEMPLARS] + [((), {"amount": 2, "exemplar": exemplar}) for exemplar in EXEMPLARS]
        calls += [((-1, {"a": "b"}), {}), ((nan, {"__a": "b"}), {})]
    elif method in {"labels", "remove"}:
        calls += [((label,), {}) for label in LABELS] + [((label, "y"), {}) for label in LABELS]
        calls += [((), {"a": label}) for label in LABELS] + [((), {"b": label, "a": 1}) for label in LABELS]
        calls += [((1,), {"a": 1}), ((1,), {"b": 1}), ((), {"a": 1, "c": 1}), ((), {"a": 1, "b": 1, "c": 1}), ((), {"self": 1})]
    elif method == "remove_by_labels":
        mappings = [{}, {"a": "x"}, {"a": 1, "b": 2}, {"c": 1}, {1: 1}, {"a": Unprintable()}, [], None, "a", [("a", 1)]]
        calls += [((mapping,), {}) for mapping in mappings] + [((), {"labels": {"a": "x"}})]
    elif method == "replace":
        calls += [(({label: 1} if label.__hash__ else [label],), {}) for label in LABELS] + [(({"x": amount},), {}) for amount in AMOUNTS]
        calls += [(({("x", "y"): amount},), {}) for amount in AMOUNTS] + [((thing,), {}) for thing in ([], None, "a", {}, {(): 1})]
        calls += [((), {"values": {"x": 1}}), (({number: number for number in range(9)},), {})]
        calls += [(({(number, "y"): number for number in range(9)},), {})]
    elif method == "set_function":
        calls += [((int,), {}), ((None,), {}), ((), {"f": int})]
    return calls


def outcome(call: Callable[[], Any], describe: Callable[[Any], Any]) -> Any:
    """What a call came to, in words that can be compared between the twins."""
    try:
        return "returned", describe(call())
    except Exception as failure:
        return type(failure), str(failure)


INTERPRETERS_OWN = re.compile(r"takes no (keyword )?arguments")
"""What the interpreter itself says to a call with arguments of a compiled function that takes none."""


def state(make: Kit, metric: Any) -> Any:
    root = make.core.root(metric)
    rows = [(key, tuple(map(repr, cells))) for key, cells in make.core.freeze(root).rows()]
    own = (make.core.key(metric), repr(make.core.read(metric)), make.core.payload(metric))
    exemplars = [(row, {cell: one[:2] for cell, one in kept.items()}) for row, kept in make.core.freeze(root).exemplars()]
    return rows, own, make.core.dropped(root), exemplars


KINDS = list(instruments(Kit(pure)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_answers_every_call_alike(
    twins: tuple[Kit, Kit], kind: str, still_clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    made = [instruments(make)[kind] for make in twins]
    assert methods(type(made[0])) == methods(type(made[1]))
    seen = set()
    for method in methods(type(made[0])):
        for positional, named in argument_lists(method):
            results = []
            for make, metric in zip(twins, made, strict=True):
                caplog.clear()
                core = make.core
                answer = outcome(
                    lambda metric=metric, method=method, positional=positional, named=named: getattr(metric, method)(*positional, **named),
                    lambda value, core=core: core.key(value) if isinstance(value, core.Instrument) else type(value).__name__,
                )
                results.append((answer, state(make, metric), [record.getMessage() for record in caplog.records]))
            if INTERPRETERS_OWN.search(str(results[1][0][1])):
                results = [((answer[0], "no such argument"), *rest) for answer, *rest in results]
            assert results[0] == results[1], f"{method}(*{positional}, **{named})"
            seen.add(results[0][0][0])
    assert len(seen) >= 2


def function_calls(make: Kit) -> list[tuple[str, Callable[[], Any]]]:
    core = make.core
    labelled, single, expiring = make.other("a", name="m"), make.other(name="m"), make.gauge("a", name="m", expire_after=1.0)
    child = labelled.labels("x")
    frozen = core.freeze(make.counter(name="m"))
    layout = core.Layout([], 0, [(b"m", None, 0, -1)])
    calls: list[tuple[str, Callable[[], Any]]] = []
    for name in ("children", "created", "dropped", "exemplars", "key", "payload", "read", "spec"):
        function = getattr(core, name)
        for series in (labelled, single, child, expiring):
            calls.append((name, lambda function=function, series=series: function(series) is not None))
        for wrong in (None, 1, "m"):
            calls.append((f"{name} of a {type(wrong).__name__}", lambda function=function, wrong=wrong: function(wrong)))
        calls.append((f"{name} of nothing", lambda function=function: function()))
        calls.append((f"{name} of two", lambda function=function: function(single, single)))
    for index in (0, -1, 2, -3, 3, -4, 10**30, "0", None, 0.0, True):
        calls.append((f"write {index!r}", lambda index=index: core.write(single, index, 1)))
    for value in AMOUNTS:
        calls.append((f"write {value!r:.40}", lambda value=value: (core.write(single, 0, value), repr(core.read(single)))[1]))
        calls.append((f"put {value!r:.40}", lambda value=value: (frozen.put(0, value), repr(frozen.rows()))[1]))
        calls.append((f"format {value!r:.40}", lambda value=value: core.format_number(value) if isinstance(value, float) else None))
    for row in (0, -1, 1, -2, 10**30):
        calls.append((f"put {row}", lambda row=row: frozen.put(row, 1)))
    for rows in ([], [5], [-1], (), None, 1, ["0"]):
        calls.append((f"drop {rows}", lambda rows=rows: (frozen.drop(rows), len(frozen))[1]))
    calls += [
        ("write to a root", lambda: core.write(labelled, 0, 1)),
        ("attach to a root", lambda: core.set_payload(labelled, 1)),
        ("define", lambda: core.define(make.Counter(), None)),
        ("define twice wrong", lambda: core.define(single, "m")),
        ("freeze nothing", lambda: core.freeze(None)),
        ("freeze a child", lambda: core.freeze(child).rows()),
        ("children of a child", lambda: core.children(child)),
        ("render nothing", lambda: layout.render(None)),
        ("render", lambda: layout.render(core.freeze(single))),
        ("layout of nothing", core.Layout),
        ("layout of text", lambda: core.Layout([("a", 0)], 1, [(b"m", None, 0, -1)])),
        ("layout of numbers", lambda: core.Layout(1, 2, 3)),
        ("render a label too many", lambda: core.Layout([(b'a="', 5)], 1, [(b"m", None, 0, -1)]).render(core.freeze(labelled))),
        ("render a cell too many", lambda: core.Layout([], 0, [(b"m", None, 5, -1)]).render(core.freeze(single))),
        ("timer of nothing", core.Timer),
        ("timer of no method", lambda: core.Timer(single, "no_such_method").since(0.0)),
        ("timer of a wrong reading", lambda: core.Timer(make.summary(name="m"), "observe").since("x")),
        ("timer of no callable", lambda: core.Timer(make.summary(name="m"), "observe")(1)),
        ("outcomes of nothing", core.OutcomeTimer),
        ("outcomes of no method", lambda: core.OutcomeTimer(single, "no_such_method", (), ()).since(0.0)),
        ("outcomes of a wrong reading", lambda: core.OutcomeTimer(make.summary(name="m"), "observe", (), ()).since("x")),
        ("outcomes of wrong labels", lambda: core.OutcomeTimer(labelled, "inc", ("a",) * 9, ()).since(0.0)),
        ("outcomes that nobody began", lambda: core.OutcomeTimer.__new__(core.OutcomeTimer).since(0.0)),
        ("timer attributes", lambda: core.Timer(single, "x").duration),
    ]
    return calls


def show(value: Any) -> Any:
    return value if isinstance(value, bool | bytes | str | int | list) else type(value).__name__


def test_every_function_answers_every_call_alike(twins: tuple[Kit, Kit]) -> None:
    different = {}
    for (name, their_call), (_, our_call) in zip(*map(function_calls, twins), strict=True):
        results = [outcome(call, show) for call in (their_call, our_call)]
        refused = [isinstance(kind, type) and issubclass(kind, AttributeError | TypeError) for kind, _ in results]
        if results[0] != results[1] and not all(refused):
            different[name] = results
    assert different == {}
