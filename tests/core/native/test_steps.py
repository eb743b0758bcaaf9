"""Both twins and a model made of dictionaries take the same random steps and must agree on everything after each."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from math import inf, nan
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from measurand import clock
from measurand.core.contract import Spec
from tests.core.kit import Kit
from tests.support import SCALE, StillClock

BOUNDS = (1.0, 2.0)
EXPIRY = 10.0
LIMIT = 3
WIDTH = {"counter": 1, "gauge": 1, "expiring": 1, "histogram": len(BOUNDS) + 2}
NAMES = {"counter": ("a", "b"), "gauge": ("a",), "expiring": ("a",), "histogram": ("a",)}
METHODS = {
    "counter": ("inc", "reset"),
    "gauge": ("inc", "dec", "set"),
    "expiring": ("inc", "dec", "set"),
    "histogram": ("observe",),
}

kinds = st.sampled_from([*WIDTH, "expiring"])
label = st.sampled_from(["x", "y", "z", "x", "y", "z", 1, "1", None, "\udc80", "__other__"])
amount = st.sampled_from([0, 1, 2.5, True, Decimal("0.5"), -1, -0.5, nan, inf, 10**400, "1", "x", None])


class Refused(Exception):
    """The model's only exception: the twins say it better."""


class Cell:
    """One series of the model."""

    def __init__(self, metric: Model, key: tuple[str, ...]) -> None:
        self.key, self.era, self.touched = key, metric.era, metric.clock.monotonic()
        self.values = [0.0] * WIDTH[metric.kind]


class Model:
    """What a core does, written with no thought of speed, threads or memory."""

    def __init__(self, kind: str, still: StillClock) -> None:
        self.kind, self.clock, self.era = kind, still, 0
        self.names = NAMES[kind]
        self.table: dict[tuple[str, ...], Cell] = {}
        self.dropped = 0
        self.other = ("__other__",) * len(self.names)

    def define(self) -> None:
        self.era += 1
        self.table, self.dropped = {}, 0

    def key(self, values: tuple[object, ...]) -> tuple[str, ...]:
        if len(values) != len(self.names):
            raise Refused
        return tuple(str(value).replace("\udc80", "\ufffd") for value in values)

    def labels(self, values: tuple[object, ...]) -> Cell:
        key = self.key(values)
        if key not in self.table and key != self.other and len(self.table.keys() - {self.other}) >= LIMIT:
            self.dropped += 1
            key = self.other
        return self.table.setdefault(key, Cell(self, key))

    def record(self, cell: Cell, method: str, given: Any) -> None:
        if method == "reset":
            cell.values = [0.0]
            return
        if not isinstance(given, int | float | Decimal) and not (method == "set" and given == "1"):
            raise Refused
        try:
            value = float(given)
        except OverflowError:
            raise Refused from None
        if self.kind == "counter" and not value >= 0:
            raise Refused
        if self.kind == "histogram":
            if not math.isnan(value):
                cell.values[sum(value > bound for bound in BOUNDS)] += 1
                cell.values[-1] += value
            return
        if self.kind == "expiring":
            if cell.era == self.era:
                cell = self.table.setdefault(cell.key, cell)
            cell.touched = self.clock.monotonic()
        cell.values[0] = value if method == "set" else cell.values[0] + (value if method == "inc" else -value)

    def remove(self, values: tuple[object, ...]) -> None:
        self.table.pop(self.key(values), None)

    def remove_by_labels(self, wanted: dict[str, object]) -> None:
        if wanted.keys() - set(self.names):
            raise Refused
        pairs = {(name, str(value).replace("\udc80", "\ufffd")) for name, value in wanted.items()}
        for key in list(self.table):
            if pairs and pairs <= set(zip(self.names, key, strict=True)):
                del self.table[key]

    def replace(self, values: dict[tuple[object, ...], Any]) -> None:
        new: dict[tuple[str, ...], float] = {}
        for given, value in values.items():
            key = self.key(given)
            try:
                number = float(value)
            except (TypeError, ValueError, OverflowError):
                raise Refused from None
            if key == self.other or (key not in new and len(new.keys() - {self.other}) >= LIMIT):
                new[self.other] = new.get(self.other, 0.0) + number
            else:
                new[key] = number
        old, self.table = self.table, {}
        for key, number in new.items():
            cell = self.table[key] = old.get(key) or Cell(self, key)
            cell.values, cell.touched = [number], self.clock.monotonic()

    def rows(self) -> list[tuple[tuple[str, ...], list[float]]]:
        if self.kind == "expiring":
            for key, cell in list(self.table.items()):
                if self.clock.monotonic() - cell.touched > EXPIRY:
                    cell.values = [0.0]
                    del self.table[key]
        rows = []
        for key, cell in self.table.items():
            values = list(cell.values)
            if self.kind == "histogram":
                for index in range(1, len(values) - 1):
                    values[index] += values[index - 1]
            rows.append((key, values))
        return rows


def attempt(call: Callable[[], Any]) -> tuple[Any, Any]:
    """What a call returned, and what it raised."""
    try:
        return call(), None
    except Exception as failure:
        return None, failure


class Steps(RuleBasedStateMachine):
    """Everything is kept per metric: the model, one root for each twin, and the series that somebody kept."""

    def __init__(self, twins: tuple[Kit, ...]) -> None:
        super().__init__()
        self.clock = StillClock()
        self.before = clock.use(self.clock)
        self.twins = twins
        self.models = {kind: Model(kind, self.clock) for kind in WIDTH}
        self.roots = {kind: [self.root(make, kind) for make in twins] for kind in WIDTH}
        self.kept: dict[str, list[tuple[Cell, list[Any]]]] = {kind: [] for kind in WIDTH}

    def teardown(self) -> None:
        clock.use(self.before)

    def root(self, make: Kit, kind: str) -> Any:
        root = {"counter": make.Counter, "histogram": make.Histogram}.get(kind, make.Gauge)()
        make.core.define(root, self.spec(kind))
        return root

    def spec(self, kind: str) -> Spec:
        layout: Any = "gauge" if kind == "expiring" else kind
        bounds = BOUNDS if kind == "histogram" else ()
        expiry = EXPIRY if kind == "expiring" else None
        return Spec(kind, layout, layout, NAMES[kind], bounds, WIDTH[kind], LIMIT, expiry)

    def step(self, kind: str, on_model: Callable[[Model], Any], on_twin: Callable[[Any], Any], on: list[Any] | None = None) -> Any:
        """Take one step everywhere, and compare what came of it."""
        expected, refused = attempt(lambda: on_model(self.models[kind]))
        answers = [attempt(lambda target=target: on_twin(target)) for target in (self.roots[kind] if on is None else on)]
        for _, failure in answers:
            assert (failure is None) == (refused is None), failure
            assert type(failure) is type(answers[0][1])
            assert str(failure) == str(answers[0][1])
        return expected, [answer for answer, _ in answers]

    @rule(kind=kinds, values=st.lists(label, min_size=0, max_size=3).map(tuple), by_name=st.booleans())
    def labels(self, kind: str, values: tuple[object, ...], by_name: bool) -> None:
        named = dict(zip((*NAMES[kind], "unknown", "more"), values, strict=False))
        call = (lambda root: root.labels(**named)) if by_name and values else (lambda root: root.labels(*values))
        cell, children = self.step(kind, lambda model: model.labels(values), call)
        if cell is not None:
            self.kept[kind].append((cell, children))

    @rule(kind=kinds, values=st.tuples(label, label), which=st.integers(0, 2), given=amount)
    def record(self, kind: str, values: tuple[object, ...], which: int, given: Any) -> None:
        values = values[: len(NAMES[kind])]
        cell, children = self.step(kind, lambda model: model.labels(values), lambda root: root.labels(*values))
        self.record_on(kind, cell, children, which, given)

    @rule(kind=kinds, choice=st.integers(0, 1000), which=st.integers(0, 2), given=amount)
    def record_on_what_was_kept(self, kind: str, choice: int, which: int, given: Any) -> None:
        if self.kept[kind]:
            self.record_on(kind, *self.kept[kind][choice % len(self.kept[kind])], which, given)

    def record_on(self, kind: str, cell: Cell, children: list[Any], which: int, given: Any) -> None:
        method = METHODS[kind][which % len(METHODS[kind])]
        arguments = () if method == "reset" else (given,)
        self.step(kind, lambda model: model.record(cell, method, given), lambda child: getattr(child, method)(*arguments), children)

    @rule(kind=kinds, values=st.lists(label, min_size=1, max_size=2).map(tuple))
    def remove(self, kind: str, values: tuple[object, ...]) -> None:
        self.step(kind, lambda model: model.remove(values), lambda root: root.remove(*values))

    @rule(kind=kinds, wanted=st.dictionaries(st.sampled_from("aab"), label))
    def remove_by_labels(self, kind: str, wanted: dict[str, object]) -> None:
        self.step(kind, lambda model: model.remove_by_labels(wanted), lambda root: root.remove_by_labels(wanted))

    @rule(kind=kinds)
    def clear(self, kind: str) -> None:
        self.step(kind, lambda model: model.table.clear(), lambda root: root.clear())

    @rule(
        kind=st.sampled_from(["gauge", "expiring"]),
        values=st.dictionaries(st.tuples(label) | st.tuples(label, label), amount, max_size=6),
    )
    def replace(self, kind: str, values: dict[tuple[object, ...], Any]) -> None:
        self.step(kind, lambda model: model.replace(values), lambda root: root.replace(values))

    @rule(seconds=st.sampled_from([4.0, 7.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(kind=kinds)
    def define(self, kind: str) -> None:
        self.models[kind].define()
        for make, root in zip(self.twins, self.roots[kind], strict=True):
            make.core.define(root, self.spec(kind))

    @invariant()
    def agree(self) -> None:
        for kind, model in self.models.items():
            rows = [(key, list(map(repr, values))) for key, values in model.rows()]
            for position, make in enumerate(self.twins):
                root = self.roots[kind][position]
                assert [(key, list(map(repr, values))) for key, values in make.core.freeze(root).rows()] == rows
                assert make.core.dropped(root) == model.dropped
                assert [make.core.key(child) for child in make.core.children(root)] == list(model.table)
                for cell, children in self.kept[kind][-8:]:
                    assert make.core.key(children[position]) == cell.key
                    assert list(map(repr, make.core.read(children[position]))) == list(map(repr, cell.values))


def test_random_steps_lead_both_twins_and_the_model_to_the_same_place(built: tuple[Kit, ...]) -> None:
    run_state_machine_as_test(lambda: Steps(built), settings=settings(max_examples=int(100 * min(SCALE, 20)), stateful_step_count=50))
