"""Which series are sent by remote write, and when."""

from __future__ import annotations

import math

import pytest

from measurand import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from measurand.encoding.remote_write import Encoder, Version
from measurand.metrics.collecting import gather
from measurand.metrics.families import GaugeMetricFamily
from measurand.metrics.points import PointFamily, Series
from measurand.metrics.sample import Exemplar
from tests.encoding.remote_write_peer import NOW, Written, bits
from tests.support import StillClock

pytestmark = pytest.mark.once

STALE = bytes.fromhex("020000000000f07f")
VERSIONS = pytest.mark.parametrize("version", ["1.0", "2.0"])


def sent(encoder: Encoder, source: CollectorRegistry | list[PointFamily], version: Version = "2.0", now: int = NOW) -> Written:
    families = gather(source).points() if isinstance(source, CollectorRegistry) else source
    return Written(version, *(request.body for request in encoder.encode(families, version, now)))


def gauges(name: str, *series: Series) -> PointFamily:
    return PointFamily(name, "gauge", "", "", list(series))


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@VERSIONS
def test_each_kind_of_metric_has_the_series_that_a_scrape_finds(registry: CollectorRegistry, version: Version) -> None:
    Counter("orders", "Orders", registry=registry).inc(3)
    Gauge("depth", "Depth", registry=registry).set(-2.5)
    Summary("size_bytes", "Size", unit="bytes", registry=registry).observe(7)
    durations = Histogram("wait_seconds", "Wait", buckets=(0.5, 2), registry=registry)
    for value in (0.25, 0.5, 1, 8):
        durations.observe(value)
    Info("build", "Build", registry=registry).info({"version": "1.2"})
    Enum("state", "State", states=["on", "off"], registry=registry).state("off")
    written = sent(Encoder(), registry, version)
    assert written.of(name="orders_total") == (3.0, NOW)
    assert written.of(name="depth") == (-2.5, NOW)
    assert [written.of(name=f"size_bytes_{what}")[0] for what in ("count", "sum")] == [1.0, 7.0]
    assert [written.of(name="wait_seconds_bucket", le=le)[0] for le in ("0.5", "2.0", "+Inf")] == [2.0, 3.0, 4.0]
    assert [written.of(name=f"wait_seconds_{what}")[0] for what in ("count", "sum")] == [4.0, 9.75]
    assert written.of(name="build_info", version="1.2") == (1.0, NOW)
    assert [written.of(name="state", state=state)[0] for state in ("on", "off")] == [0.0, 1.0]
    assert len(written.order) == 12
    said = {text: (type_, unit) for type_, text, unit in written.metadata.values()}
    assert said["Orders"] == (1, "")
    assert said["Depth"] == (2, "")
    assert said["Wait"] == (3, "")
    assert said["Size"] == (5, "bytes")


def test_version_1_names_families_as_the_text_format_does(registry: CollectorRegistry) -> None:
    Counter("orders", "Orders", registry=registry)
    Histogram("wait_seconds", "Wait", registry=registry)
    assert sent(Encoder(), registry, "1.0").metadata.keys() == {"orders_total", "wait_seconds"}


@VERSIONS
def test_a_sum_that_can_fall_is_not_sent(registry: CollectorRegistry, version: Version) -> None:
    Histogram("change", "Change", buckets=(-1, 1), registry=registry).observe(-4)
    assert sent(Encoder(), registry, version).names() == {"change_bucket", "change_count"}


def test_labels_are_added_to_what_does_not_have_them(registry: CollectorRegistry) -> None:
    Gauge("depth", "Depth", ["job", "Zone"], registry=registry).labels("mine", "").set(1)
    Gauge("level", "Level", registry=registry).set(2)
    written = sent(Encoder({"job": "shop", "instance": "a"}), registry)
    assert written.of(name="depth", job="mine", instance="a") == (1.0, NOW)
    assert written.of(name="level", job="shop", instance="a") == (2.0, NOW)


def test_labels_stand_in_the_order_of_their_names(registry: CollectorRegistry) -> None:
    Gauge("depth", "Depth", ["b", "Zone", "a"], registry=registry).labels("1", "2", "3").set(1)
    assert sent(Encoder({"ab": "4"}), registry).order == [[("Zone", "2"), ("__name__", "depth"), ("a", "3"), ("ab", "4"), ("b", "1")]]


@pytest.mark.parametrize(
    ("escaping", "name", "label"),
    [("underscores", "lag_ms", "a_b"), ("allow-utf-8", "lag.ms", "a-b"), ("values", "U__lag_2e_ms", "U__a_2d_b")],
)
def test_names_outside_the_classic_set_are_escaped_as_asked(registry: CollectorRegistry, escaping: str, name: str, label: str) -> None:
    Gauge("lag.ms", "Lag", ["a-b"], registry=registry).labels("x").set(1)
    assert sent(Encoder(escaping=escaping), registry).order == [sorted([("__name__", name), (label, "x")])]


def test_an_unknown_escaping_is_refused() -> None:
    with pytest.raises(ValueError, match="escaping"):
        Encoder(escaping="sideways")


@VERSIONS
def test_every_nan_is_one_that_says_nothing_else(version: Version) -> None:
    negative = -math.nan
    written = sent(Encoder(), [gauges("odd", Series((("what", "nan"),), (math.nan,)), Series((("what", "other"),), (negative,)))], version)
    assert {value for value, _ in written.samples.values()} == {bytes.fromhex("010000000000f87f")}


@VERSIONS
def test_zeros_become_other_numbers_and_back(registry: CollectorRegistry, version: Version) -> None:
    depth = Gauge("depth", "Depth", registry=registry)
    encoder = Encoder()
    for at, value in enumerate((0.0, 1.5, -0.0, 0.0, 2.0)):
        depth.set(value)
        assert sent(encoder, registry, version, NOW + at).samples == {frozenset({("__name__", "depth")}): (bits(value), NOW + at)}


@VERSIONS
def test_a_series_that_is_no_more_is_marked_once(registry: CollectorRegistry, version: Version) -> None:
    depth = Gauge("depth", "Depth", ["lane"], registry=registry)
    depth.labels("a").set(1)
    depth.labels("b").set(2)
    encoder = Encoder()
    sent(encoder, registry, version)
    depth.remove("a")
    written = sent(encoder, registry, version, NOW + 1)
    assert written.samples[frozenset({("__name__", "depth"), ("lane", "a")})] == (STALE, NOW + 1)
    assert written.of(name="depth", lane="b") == (2.0, NOW + 1)
    assert len(sent(encoder, registry, version, NOW + 2).samples) == 1
    depth.labels("a").set(3)
    assert sent(encoder, registry, version, NOW + 3).of(name="depth", lane="a") == (3.0, NOW + 3)


def test_a_family_that_is_no_more_is_marked_with_all_that_it_was(registry: CollectorRegistry) -> None:
    durations = Histogram("wait_seconds", "Wait", buckets=(1,), registry=registry)
    encoder = Encoder()
    sent(encoder, registry)
    registry.unregister(durations)
    written = sent(encoder, registry, now=NOW + 1)
    assert {value for value, _ in written.samples.values()} == {STALE}
    assert len(written.samples) == 4


def test_a_native_histogram_that_is_no_more_is_marked(registry: CollectorRegistry) -> None:
    durations = Histogram("wait_seconds", "Wait", native=True, registry=registry)
    encoder = Encoder()
    sent(encoder, registry)
    registry.unregister(durations)
    (histogram,) = sent(encoder, registry, now=NOW + 1).histograms.values()
    assert bits(histogram.sum) == STALE


@VERSIONS
def test_what_stands_twice_is_sent_once_and_counted(version: Version) -> None:
    twice = [gauges("depth", Series((("lane", ""),), (1.0,)), Series((), (2.0,))), gauges("depth", Series((), (3.0,)))]
    other = gauges("level", Series((), (4.0,)))
    encoder = Encoder()
    for now in (NOW, NOW + 1):
        written = sent(encoder, [*twice, other], version, now)
        assert encoder.left_out == 2
        assert written.of(name="level") == (4.0, now)
        assert len(written.samples) == 2
    assert len(sent(encoder, [twice[1], other], version, NOW + 2).samples) == 2
    assert encoder.left_out == 0


def test_names_that_belong_to_the_receiver_are_left_out_and_counted() -> None:
    encoder = Encoder()
    written = sent(encoder, [gauges("depth", Series((("__name__", "other"),), (1.0,)), Series((), (2.0,))), gauges("", Series((), (3.0,)))])
    assert written.samples.keys() == {frozenset({("__name__", "depth")})}
    assert encoder.left_out == 2


@VERSIONS
def test_what_has_a_time_of_its_own_stands_in_a_request_of_its_own(version: Version) -> None:
    family = gauges("depth", Series((("lane", "a"),), (1.0,), None, 1234.5), Series((("lane", "b"),), (2.0,)))
    encoder = Encoder()
    plain, timed = encoder.encode([family], version, NOW)
    assert Written(version, plain.body).of(name="depth", lane="b") == (2.0, NOW)
    assert Written(version, timed.body).of(name="depth", lane="a") == (1.0, 1234500)
    assert encoder.encode([], version, NOW + 1)[0].samples == 1  # the one that had no time of its own is marked


def test_a_time_that_is_none_is_the_snapshots() -> None:
    family = gauges("depth", Series((), (1.0,), None, math.nan), Series((("lane", "b"),), (1.0,), None, math.inf))
    assert {moment for _, moment in sent(Encoder(), [family]).samples.values()} == {NOW}


@VERSIONS
def test_native_histograms_are_native_in_both_versions_in_a_request_of_their_own(registry: CollectorRegistry, version: Version) -> None:
    Counter("orders", "Orders", registry=registry).inc()
    durations = Histogram("wait_seconds", "Wait", native=True, registry=registry)
    for value in (-1, 0, 1e-9, 0.3, 0.3, 7, 1e9):
        durations.observe(value)
    plain, native = Encoder().encode(gather(registry).points(), version, NOW)
    assert Written(version, plain.body).names() == {"orders_total"}
    (histogram,) = Written(version, native.body).histograms.values()
    assert (histogram.count_int, histogram.zero_count_int, histogram.timestamp) == (7, 3, NOW)
    assert histogram.sum == -1 + 1e-9 + 0.3 + 0.3 + 7 + 1e9
    assert sum(span.length for span in histogram.positive_spans) == len(histogram.positive_deltas)


def test_native_histograms_are_classic_ones_if_asked(registry: CollectorRegistry) -> None:
    durations = Histogram("wait_seconds", "Wait", buckets=(1, 10), native=True, registry=registry)
    durations.observe(0.3)
    durations.observe(7, exemplar={"trace_id": "abc"})
    written = sent(Encoder(native=False), registry)
    assert [written.of(name="wait_seconds_bucket", le=le)[0] for le in ("1.0", "10.0", "+Inf")] == [1.0, 2.0, 2.0]
    assert [dict(labels)["le"] for labels in written.exemplars] == ["10.0"]


@VERSIONS
def test_an_exemplar_is_sent_once(registry: CollectorRegistry, version: Version, still_clock: StillClock) -> None:
    orders = Counter("orders", "Orders", registry=registry)
    durations = Histogram("wait_seconds", "Wait", buckets=(1, 2), registry=registry)
    encoder = Encoder()
    orders.inc(exemplar={"trace_id": "one"})
    durations.observe(1.5, exemplar={"trace_id": "two", "b": "1"})
    moment = round(still_clock.wall() * 1000)
    written = sent(encoder, registry, version)
    of_orders, of_bucket = frozenset({("__name__", "orders_total")}), frozenset({("__name__", "wait_seconds_bucket"), ("le", "2.0")})
    assert written.exemplars == {
        of_orders: [({"trace_id": "one"}, 1.0, moment)],
        of_bucket: [({"trace_id": "two", "b": "1"}, 1.5, moment)],
    }
    assert written.of(name="orders_total") == (1.0, NOW)
    assert sent(encoder, registry, version, NOW + 1).exemplars == {}
    still_clock.advance(1)
    orders.inc(exemplar={"trace_id": "three"})
    assert sent(encoder, registry, version, NOW + 2).exemplars == {of_orders: [({"trace_id": "three"}, 1.0, moment + 1000)]}


def test_of_a_native_histogram_the_newest_exemplar_is_sent_and_then_all_that_are_new(
    registry: CollectorRegistry, still_clock: StillClock
) -> None:
    durations = Histogram("wait_seconds", "Wait", native=True, registry=registry)
    encoder = Encoder()

    def observe(*values: float) -> list[float]:
        for value in values:
            durations.observe(value, exemplar={"trace_id": str(value)})
            still_clock.advance(1)
        return [value for known in sent(encoder, registry).exemplars.values() for _, value, _ in known]

    assert observe(8, 1) == [1]
    assert observe() == []
    assert observe(100, 0.1, 10) == [100, 0.1, 10]


@pytest.mark.parametrize(
    "exemplar",
    [
        Exemplar({"trace_id": "abc"}, 1.0, None),
        Exemplar({"trace_id": "x" * 200}, 1.0, 5.0),
        Exemplar({"trace_id": "abc"}, "much", 5.0),  # type: ignore[arg-type]
        Exemplar({"trace_id": "abc"}, 1.0, math.nan),
        "none at all",
    ],
    ids=["without a time", "too long", "without a value", "without a real time", "no exemplar"],
)
def test_an_exemplar_that_cannot_be_sent_costs_nothing_else(exemplar: Exemplar) -> None:
    family = PointFamily("orders", "counter", "", "", [Series((), (1.0,), None, None, {0: exemplar})])
    written = sent(Encoder(), [family])
    assert written.exemplars == {}
    assert written.of(name="orders_total") == (1.0, NOW)


def test_version_2_says_since_when_a_series_counts(registry: CollectorRegistry, still_clock: StillClock) -> None:
    still_clock.date = (NOW - 5000) / 1000
    Counter("orders", "Orders", registry=registry).inc()
    Histogram("wait_seconds", "Wait", native=True, registry=registry)
    Gauge("depth", "Depth", registry=registry).set(1)
    written = sent(Encoder(), registry)
    assert set(written.created.values()) == {NOW - 5000}
    assert {dict(labels)["__name__"] for labels in written.created} == {"orders_total", "wait_seconds"}


@pytest.mark.parametrize(("born", "said"), [(NOW, NOW - 1), (NOW + 1, NOW - 1), (NOW + 60_000, None), (0, None), (NOW - 1, NOW - 1)])
def test_a_series_has_begun_before_its_first_number(born: int, said: int | None) -> None:
    family = PointFamily("orders", "counter", "", "", [Series((), (1.0,), born / 1000)])
    encoder = Encoder()
    for now in (NOW, NOW + 5):
        assert list(sent(encoder, [family], now=now).created.values()) == ([] if said is None else [said])


def test_a_series_that_begins_again_says_so(registry: CollectorRegistry, still_clock: StillClock) -> None:
    encoder = Encoder()
    for seconds in (1000.0, 2000.0):
        family = PointFamily("orders", "counter", "", "", [Series((), (1.0,), seconds)])
        assert list(sent(encoder, [family]).created.values()) == [seconds * 1000]


def test_a_help_text_that_changes_is_sent_anew() -> None:
    encoder = Encoder()
    for text in ("old", "new"):
        written = sent(encoder, [PointFamily("depth", "gauge", text, "", [Series((), (1.0,))])])
        assert {help_ for _, help_, _ in written.metadata.values()} == {text}
        assert written.of(name="depth") == (1.0, NOW)


def test_nothing_is_no_request() -> None:
    assert Encoder().encode([], "2.0", NOW) == []
    assert Encoder().encode([gauges("depth")], "1.0", NOW) == []


def test_a_custom_collectors_metrics_are_sent(registry: CollectorRegistry) -> None:
    class Collector:
        def collect(self) -> list[GaugeMetricFamily]:
            family = GaugeMetricFamily("queue_depth", "Depth", labels=["queue"])
            family.add_metric(["mail"], 4)
            return [family]

    registry.register(Collector())
    assert sent(Encoder(), registry).of(name="queue_depth", queue="mail") == (4.0, NOW)
