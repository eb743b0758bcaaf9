"""Each instrument by itself: values, exemplars, timing, expiry, replacing, quantiles, facts and states."""

from __future__ import annotations

import copy
import enum
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, generate_latest
from measurand.errors import LabelError, RecordingError
from measurand.testing.clock import FakeClock
from tests.metrics.kit import FORMS, Stopped, values
from tests.support import StillClock, eager_switching, in_background, wait_until

# -- counters ----------------------------------------------------------------------------------------------------------------------


def test_a_counter_adds_up_and_resets(registry: CollectorRegistry) -> None:
    counter = Counter("c", "d", registry=registry)
    counter.inc()
    counter.inc(0.5)
    counter.inc(0)
    assert values(registry) == {"c_total": 1.5}
    counter.reset()
    assert values(registry) == {"c_total": 0}


@pytest.mark.parametrize("amount", [-1, -0.001, float("-inf"), float("nan")])
def test_a_counter_never_goes_down_and_never_becomes_nan(registry: CollectorRegistry, amount: float) -> None:
    counter = Counter("c", "d", ["l"], registry=registry)
    with pytest.raises(RecordingError, match=r"non-negative amounts: c\.inc"):
        counter.labels("a").inc(amount)
    assert values(registry) == {'c_total{l="a"}': 0}


def test_integral_totals_are_exact_to_two_to_the_53(registry: CollectorRegistry) -> None:
    counter = Counter("c", "d", registry=registry)
    counter.inc(2**53 - 2)
    counter.inc()
    assert registry.get_sample_value("c_total") == 2**53 - 1


def test_the_latest_exemplar_is_kept_with_its_time(registry: CollectorRegistry, still_clock: StillClock) -> None:
    counter, histogram = Counter("c", "d", registry=registry), Histogram("h", "d", registry=registry, buckets=[1])
    counter.inc(3, {"trace_id": "1"})
    histogram.observe(0.5, {"trace_id": "2"})
    still_clock.advance(5)
    counter.inc(4, {"trace_id": "3"})
    counter.inc()
    shown = {sample.name: sample.exemplar for metric in registry.collect() for sample in metric.samples if sample.exemplar}
    assert shown["c_total"] == ({"trace_id": "3"}, 4, still_clock.wall())
    assert shown["h_bucket"] == ({"trace_id": "2"}, 0.5, still_clock.wall() - 5)


# -- gauges ------------------------------------------------------------------------------------------------------------------------


def test_a_gauge_goes_up_and_down(registry: CollectorRegistry, still_clock: StillClock) -> None:
    gauge = Gauge("g", "d", registry=registry)
    gauge.set(5)
    gauge.inc()
    gauge.dec(2.5)
    assert values(registry) == {"g": 3.5}
    gauge.set_to_current_time()
    assert values(registry) == {"g": still_clock.wall()}


def test_a_gauge_can_ask_a_function(registry: CollectorRegistry) -> None:
    queue = [1, 2]
    gauge = Gauge("g", "d", ["l"], registry=registry)
    gauge.labels("asked").set_function(lambda: len(queue))
    gauge.labels("told").set(7)
    assert values(registry) == {'g{l="asked"}': 2, 'g{l="told"}': 7}
    queue.append(3)
    gauge.labels("asked").set(100)  # has no effect any more
    assert values(registry) == {'g{l="asked"}': 3, 'g{l="told"}': 7}
    assert gauge.labels("asked").collect()[0].samples[0].value == 3


def test_what_a_function_raises_reaches_who_collects_but_costs_a_scrape_only_the_row(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "d", ["l"], registry=registry)
    gauge.labels("broken").set_function(lambda: 1 / 0)
    gauge.labels("fine").set(1)
    with pytest.raises(ZeroDivisionError):
        gauge.collect()
    with pytest.raises(ZeroDivisionError):
        gauge.labels("broken").collect()
    assert b'g{l="fine"} 1.0\n' in generate_latest(registry)


@pytest.mark.parametrize("mode", ["mostrecent", "livemostrecent"])
def test_a_gauge_of_the_most_recent_value_is_only_set(registry: CollectorRegistry, mode: str) -> None:
    gauge = Gauge("g", "d", registry=registry, multiprocess_mode=mode)
    gauge.set(3)
    for add in (gauge.inc, gauge.dec):
        with pytest.raises(RuntimeError, match=r"must not be used with the mostrecent mode: g .* use set\(\)"):
            add()
    assert values(registry) == {"g": 3}


# -- expiry (P-25) -------------------------------------------------------------------------------------------------------------------


def test_a_series_that_is_not_written_goes_in_time_and_comes_back_with_a_write(registry: CollectorRegistry) -> None:
    with FakeClock() as clock:
        gauge = Gauge("g", "d", ["worker"], registry=registry, expire_after=60)
        kept = gauge.labels("a")
        kept.set(1)
        clock.advance(40)
        gauge.labels("b").inc(2)
        assert set(values(registry)) == {'g{worker="a"}', 'g{worker="b"}'}
        clock.advance(20.5)
        assert values(registry) == {'g{worker="b"}': 2}
        kept.inc(5)  # code that kept the series goes on, from nothing
        assert values(registry) == {'g{worker="b"}': 2, 'g{worker="a"}': 5}
        clock.advance(61)
        assert values(registry) == {}
        gauge.labels("b").dec()
        assert values(registry) == {'g{worker="b"}': -1}


def test_a_write_of_the_same_value_keeps_a_series(registry: CollectorRegistry) -> None:
    with FakeClock() as clock:
        gauge = Gauge("g", "d", ["l"], registry=registry, expire_after=60)
        for _ in range(5):
            gauge.labels("a").set(1)
            clock.advance(50)
            assert values(registry) == {'g{l="a"}': 1}


def test_a_gauge_without_labels_expires_too(registry: CollectorRegistry) -> None:
    with FakeClock() as clock:
        gauge = Gauge("g", "d", registry=registry, expire_after=60)
        gauge.set(3)
        clock.advance(61)
        assert values(registry) == {}
        assert b"g 3.0" not in generate_latest(registry)
        gauge.inc()
        assert values(registry) == {"g": 1}


def test_replaced_series_expire_from_the_moment_of_replacing(registry: CollectorRegistry) -> None:
    with FakeClock() as clock:
        gauge = Gauge("g", "d", ["l"], registry=registry, expire_after=60)
        gauge.labels("a").set(1)
        clock.advance(50)
        gauge.replace({"a": 1, "b": 2})
        clock.advance(50)
        assert values(registry) == {'g{l="a"}': 1, 'g{l="b"}': 2}
        clock.advance(11)
        assert values(registry) == {}


def test_other_gauges_and_counters_never_expire(registry: CollectorRegistry) -> None:
    with FakeClock() as clock:
        Gauge("g", "d", ["l"], registry=registry).labels("a").set(1)
        for cls in (Counter, Histogram, Summary):
            with pytest.raises(TypeError, match="expire_after"):
                cls("c", "d", registry=registry, expire_after=1)
        Counter("c", "d", ["l"], registry=registry).labels("a").inc()
        clock.advance(10**9)
        assert values(registry) == {'g{l="a"}': 1, 'c_total{l="a"}': 1}


# -- replacing (R-A3) ----------------------------------------------------------------------------------------------------------------


def test_replace_makes_the_mapping_the_only_series(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "d", ["room", "box"], registry=registry)
    gauge.labels("old", "1").set(1)
    gauge.replace({("cellar", "1"): 0.5, ("cellar", 2): 1})
    assert values(registry) == {'g{box="1",room="cellar"}': 0.5, 'g{box="2",room="cellar"}': 1}
    gauge.labels("cellar", "2").inc()
    assert values(registry)['g{box="2",room="cellar"}'] == 2
    gauge.replace({})
    assert values(registry) == {}


@pytest.mark.parametrize(
    ("given_", "error", "message"),
    [
        ({"only one": 1}, LabelError, r"Incorrect label count for g: expected 2 \(room, box\)"),
        ([("a", "b")], TypeError, r"g\.replace\(\) takes a mapping"),
        ({("a", "b"): "much"}, ValueError, "much"),
    ],
)
def test_a_bad_replacement_changes_nothing(registry: CollectorRegistry, given_: Any, error: type[Exception], message: str) -> None:
    gauge = Gauge("g", "d", ["room", "box"], registry=registry)
    gauge.replace({("a", "b"): 1})
    with pytest.raises(error, match=message):
        gauge.replace(given_)
    assert values(registry) == {'g{box="b",room="a"}': 1}
    with pytest.raises(LabelError, match="No label names were set when constructing gauge:plain"):
        Gauge("plain", "d", registry=registry).replace({"a": 1})


def test_no_scrape_sees_a_part_of_a_replacement(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "d", ["l"], registry=registry)
    states = [dict.fromkeys("abc", 1.0), dict.fromkeys("cdefg", 2.0), {}]
    gauge.replace(states[0])
    whole = [{f'g{{l="{key}"}}': value for key, value in state.items()} for state in states]

    def replace() -> None:
        for state in states:
            gauge.replace(state)

    with eager_switching(), in_background(replace):
        first = values(registry)
        for _ in range(2000):
            assert values(registry) in whole
        wait_until(lambda: values(registry) != first)  # the two do run at once


# -- timing (P-19) -------------------------------------------------------------------------------------------------------------------

TIMED: dict[str, Callable[[CollectorRegistry], Any]] = {
    "histogram": lambda registry: Histogram("m", "d", registry=registry),
    "summary": lambda registry: Summary("m", "d", registry=registry),
    "gauge": lambda registry: Gauge("m", "d", registry=registry),
    "series of a histogram": lambda registry: Histogram("m", "d", ["l"], registry=registry).labels("x"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("target", TIMED)
@pytest.mark.parametrize("failure", [None, KeyError("k"), Stopped()], ids=["succeeding", "failing", "stopped"])
def test_time_measures_the_body_in_every_form(
    registry: CollectorRegistry, still_clock: StillClock, form: Any, target: str, failure: BaseException | None
) -> None:
    metric = TIMED[target](registry)

    def body() -> None:
        still_clock.advance(0.25)
        if failure is not None:
            raise failure

    if failure is None:
        form(metric.time, body)
    else:
        with pytest.raises(type(failure)):
            form(metric.time, body)
    found = {name.partition("{")[0]: value for name, value in values(registry).items() if "_bucket" not in name}
    assert found == ({"m": 0.25} if target == "gauge" else {"m_count": 1, "m_sum": 0.25})


def test_a_timer_tells_the_duration_and_can_choose_its_series_inside(registry: CollectorRegistry, still_clock: StillClock) -> None:
    histogram = Histogram("h", "d", ["status"], registry=registry, buckets=[1])
    with histogram.time() as timer:
        still_clock.advance(2)
        timer.labels(status="late")
    assert timer.duration == 2
    assert values(registry)['h_sum{status="late"}'] == 2


def test_calls_of_a_decorated_function_are_timed_apart(registry: CollectorRegistry, still_clock: StillClock) -> None:
    summary = Summary("s", "d", registry=registry)

    @summary.time()
    def descend(depth: int) -> None:
        still_clock.advance(1)
        if depth:
            descend(depth - 1)

    descend(2)
    assert values(registry) == {"s_count": 3, "s_sum": 3 + 2 + 1}


# -- quantiles -----------------------------------------------------------------------------------------------------------------------


def test_a_histogram_tells_its_quantiles_over_all_its_series() -> None:
    histogram = Histogram("h", "d", ["l"], registry=None, buckets=[1, 2, 3])
    assert math.isnan(histogram.p50)
    for _ in range(98):
        histogram.labels("fast").observe(0.5)
    histogram.labels("slow").observe(2.5)
    histogram.labels("slow").observe(100)
    assert histogram.p50 == pytest.approx(50 / 98)
    assert histogram.p95 == histogram.quantile(0.95) == pytest.approx(95 / 98)
    assert histogram.p99 == 3
    assert histogram.labels("slow").p50 == 3
    assert histogram.labels("slow").quantile(1) == 3
    with pytest.raises(RecordingError, match="for a percentile divide by 100"):
        histogram.quantile(95)


@given(observed=st.lists(st.floats(0, 12), min_size=1, max_size=40), q=st.floats(0, 1))
def test_the_estimate_is_within_the_bucket_of_the_true_quantile(observed: list[float], q: float) -> None:
    histogram = Histogram("h", "d", registry=None)
    for value in observed:
        histogram.observe(value)
    true = sorted(observed)[max(math.ceil(q * len(observed)) - 1, 0)]
    bounds = [0.0, *Histogram.DEFAULT_BUCKETS]
    upper = next(index for index, bound in enumerate(bounds) if true <= bound)
    assert bounds[max(upper - 1, 0)] <= histogram.quantile(q) <= min(bounds[max(upper, 1)], 10.0)


# -- facts and states ----------------------------------------------------------------------------------------------------------------


class Phase(str, enum.Enum):  # noqa: UP042 - a StrEnum is its value already; of this one str() gives the name
    STARTING = "starting"
    RUNNING = "running"


def test_facts_are_replaced_as_a_whole(registry: CollectorRegistry) -> None:
    info = Info("build", "d", ["part"], registry=registry)
    info.labels("a").info({"version": "1", "commit": "abc"})
    info.labels("a").info({"version": 2, "phase": Phase.RUNNING})  # type: ignore[dict-item]
    info.labels("b")
    assert values(registry) == {'build_info{part="a",phase="running",version="2"}': 1, 'build_info{part="b"}': 1}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"part": "x"}, r"Overlapping labels for Info metric.*build has \['part'\] already"),
        ({"version": None}, r"Label value cannot be None: build\.info\(\) was given no value for 'version'"),
    ],
)
def test_bad_facts_leave_the_earlier_ones(registry: CollectorRegistry, facts: Any, message: str) -> None:
    info = Info("build", "d", ["part"], registry=registry)
    info.labels("a").info({"version": "1"})
    with pytest.raises(RecordingError, match=message):
        info.labels("a").info(facts)
    assert values(registry) == {'build_info{part="a",version="1"}': 1}


def test_an_enum_is_in_one_state_the_first_one_at_the_start(registry: CollectorRegistry) -> None:
    state = Enum("task", "d", states=["starting", "running"], registry=registry)
    assert values(registry) == {'task{task="starting"}': 1, 'task{task="running"}': 0}
    state.state("running")
    assert values(registry) == {'task{task="starting"}': 0, 'task{task="running"}': 1}
    with pytest.raises(RecordingError, match="'gone' is not in list of states of task: starting, running"):
        state.state("gone")
    assert values(registry)['task{task="running"}'] == 1


def test_states_may_be_members_of_an_enumeration(registry: CollectorRegistry) -> None:
    state = Enum("task", "d", ["l"], states=list(Phase), registry=registry)
    state.labels("a").state(Phase.RUNNING)
    state.labels("b").state("starting")
    assert values(registry) == {
        'task{l="a",task="starting"}': 0,
        'task{l="a",task="running"}': 1,
        'task{l="b",task="starting"}': 1,
        'task{l="b",task="running"}': 0,
    }


@pytest.mark.parametrize("kind", [Counter, Gauge, Summary, Histogram, Info])
def test_subclasses_may_pass_on_what_prometheus_client_wants_passed_on(kind: Any, registry: CollectorRegistry) -> None:
    class Mine(kind):  # type: ignore[misc]
        def __init__(self, name: str, registry: CollectorRegistry, _labelvalues: Any = None) -> None:
            super().__init__(name, "d", [], "", "", "", registry, _labelvalues)

    assert Mine("m", registry).collect()


def test_a_copy_of_a_metric_is_the_metric(registry: CollectorRegistry) -> None:
    counter = Counter("c", "d", ["l"], registry=registry)
    assert copy.copy(counter) is counter
    assert copy.copy(counter.labels("x")) is counter.labels("x")
