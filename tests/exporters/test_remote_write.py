"""What remote write does when a receiver does not do as it should."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from measurand import Counter, Gauge, Histogram
from measurand.errors import ExportFailed
from measurand.metrics.collecting import gather
from measurand.metrics.families import Metric
from tests.exporters.receiver import Receiver, Shop, receiving
from tests.servers.process import free_port
from tests.support import StillClock, run_python

pytestmark = pytest.mark.once

NOTHING_WRITTEN = {"X-Prometheus-Remote-Write-Samples-Written": "0"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def new_shop(receiver: Receiver) -> Iterator[Callable[..., Shop]]:
    with ExitStack() as stack:

        def new(to: Receiver = receiver, **settings: Any) -> Shop:
            one = Shop(to, **settings)
            stack.callback(one.exporter.close)
            return one

        yield new


@pytest.fixture
def shop(new_shop: Callable[..., Shop]) -> Shop:
    return new_shop()


def values(receiver: Receiver, begin: int = 0) -> list[float]:
    return [request.written.of(name="depth")[0] for request in receiver.requests[begin:]]


def test_a_request_says_what_it_is(receiver: Receiver, new_shop: Callable[..., Shop]) -> None:
    for version, content_type, number in (
        ("2.0", "application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
        ("1.0", "application/x-protobuf", "0.1.0"),
    ):
        one = new_shop(version=version, headers={"X-Scope-OrgID": "tenant"}, username="ada", password="lovelace")
        one.send(1)
        request = receiver.requests.pop()
        assert request.path == "/api/v1/write"
        assert request.headers["content-type"] == content_type
        assert request.headers["content-encoding"] == "snappy"
        assert request.headers["x-prometheus-remote-write-version"] == number
        assert request.headers["x-scope-orgid"] == "tenant"
        assert request.headers["authorization"] == "Basic YWRhOmxvdmVsYWNl"
        assert request.headers["user-agent"]
        assert request.written.of(name="depth")[0] == 1.0


# -- failures that pass --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_what_failed_is_sent_again_unchanged_before_what_is_new(
    receiver: Receiver, shop: Shop, still_clock: StillClock, status: int
) -> None:
    receiver.answer(status, body="busy")
    failed = shop.fail(1, match=rf"answered {status} busy; 1 samples wait")
    assert failed.dropped == 0
    moment = round(still_clock.wall() * 1000)
    still_clock.advance(60)
    shop.send(2)
    assert receiver.requests[1].body == receiver.requests[0].body
    assert [request.written.of(name="depth") for request in receiver.requests[1:]] == [(1.0, moment), (2.0, moment + 60_000)]


def test_snapshots_go_on_being_taken_while_a_receiver_is_left_alone(receiver: Receiver, shop: Shop, still_clock: StillClock) -> None:
    receiver.answer(429, headers={"Retry-After": "50"})
    shop.fail(1)
    for value in (2, 3, 4):
        still_clock.advance(15)
        shop.fail(value, match="left alone")
    assert len(receiver.requests) == 1
    still_clock.advance(15)
    shop.send(5)
    assert values(receiver, 1) == [1, 2, 3, 4, 5]


def test_pauses_grow_with_each_failure_and_end_with_a_success(receiver: Receiver, shop: Shop, still_clock: StillClock) -> None:
    def pause() -> int:
        """The seconds until the next attempt, which fails too."""
        before = len(receiver.requests)
        for seconds in range(200):
            receiver.answers = [(500, {}, "")]
            shop.fail(seconds)
            if len(receiver.requests) > before:
                return seconds
            still_clock.advance(1)
        raise AssertionError("it was never tried again")

    pauses = [pause() for _ in range(9)]
    assert pauses[0] == 0
    assert pauses[1] <= 1
    assert 30 <= pauses[-1] <= 60
    receiver.answers = []
    still_clock.advance(61)
    shop.send(1)
    assert pause() == 0


def test_at_the_end_there_is_no_pause_and_what_waits_goes_first(receiver: Receiver, shop: Shop, still_clock: StillClock) -> None:
    receiver.answer(429, headers={"Retry-After": "500"})
    shop.fail(1)
    still_clock.advance(1)
    shop.send(2, seconds=20.0)
    assert values(receiver, 1) == [1, 2]


def test_a_receiver_that_is_not_there_gets_everything_later(new_shop: Callable[..., Shop], still_clock: StillClock) -> None:
    port = free_port()
    shop = new_shop(Receiver(port))
    shop.fail(1, match="cannot be reached.*; 1 samples wait")
    still_clock.advance(15)
    shop.fail(2, match="cannot be reached.*; 2 samples wait")
    with receiving(port) as receiver:
        still_clock.advance(15)
        shop.send(3)
        assert values(receiver) == [1, 2, 3]


def test_what_waits_is_bounded_and_the_oldest_is_given_up(
    receiver: Receiver, new_shop: Callable[..., Shop], still_clock: StillClock
) -> None:
    shop = new_shop(max_pending_bytes=200)
    receiver.answer(*[503] * 10)
    dropped = []
    for value in range(1, 9):
        dropped.append(shop.fail(value, seconds=20.0).dropped)
        still_clock.advance(15)
    assert sum(dropped) > 0
    receiver.answers = []
    shop.send(9, seconds=20.0)
    arrived = values(receiver, 8)
    assert arrived == [float(value) for value in range(sum(dropped) + 1, 10)]
    assert sum(len(request.body) for request in receiver.requests[8:-1]) <= 200


def test_a_snapshot_that_is_larger_than_what_may_wait_is_sent_all_the_same(receiver: Receiver, new_shop: Callable[..., Shop]) -> None:
    shop = new_shop(max_pending_bytes=1)
    shop.send(1)
    assert values(receiver) == [1]


# -- failures that stay --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_what_is_refused_is_given_up_and_counted(
    receiver: Receiver, new_shop: Callable[..., Shop], still_clock: StillClock, version: str, status: int
) -> None:
    shop = new_shop(version=version)
    receiver.answer(status, headers=NOTHING_WRITTEN, body="no")
    assert shop.fail(1, match=f"answered {status} no").dropped == 1
    still_clock.advance(15)
    shop.send(2)
    assert values(receiver) == [1, 2]


def test_of_a_request_that_is_refused_in_part_only_the_rest_is_given_up(receiver: Receiver, new_shop: Callable[..., Shop]) -> None:
    shop = new_shop()
    Counter("orders", "Orders", registry=shop.registry)
    Counter("visits", "Visits", registry=shop.registry)
    receiver.answer(400, headers={"X-Prometheus-Remote-Write-Samples-Written": "2"}, body="one is too old")
    assert shop.fail(1, match="too old").dropped == 1


def test_one_request_that_is_refused_does_not_cost_the_others(receiver: Receiver, new_shop: Callable[..., Shop]) -> None:
    shop = new_shop(max_samples=1)
    Counter("orders", "Orders", registry=shop.registry).inc(2)
    receiver.answer(400, headers=NOTHING_WRITTEN)
    assert shop.fail(1).dropped == 1
    assert receiver.requests[1].written.of(name="orders_total")[0] == 2.0


def test_what_was_accepted_and_not_written_is_counted(receiver: Receiver, shop: Shop) -> None:
    receiver.answer(200, headers=NOTHING_WRITTEN)
    assert shop.fail(1, match="did not say that it has written all").dropped == 1


# -- which version -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "why"), [(415, "says so"), (204, "stores nothing"), (200, "stores nothing"), (400, "cannot read it")])
def test_a_receiver_that_does_not_take_2_gets_the_same_as_1(
    receiver: Receiver, shop: Shop, still_clock: StillClock, status: int, why: str
) -> None:
    receiver.answer(status)
    shop.send(1)
    assert [request.version for request in receiver.requests] == ["2.0", "1.0"], why
    assert receiver.requests[1].written.samples == receiver.requests[0].written.samples
    for value in (2, 3):
        still_clock.advance(15)
        shop.send(value)
    assert [request.version for request in receiver.requests[2:]] == ["1.0", "1.0"]
    still_clock.advance(3600)
    shop.send(4)
    assert receiver.requests[-1].version == "2.0"
    assert values(receiver, 1) == [1, 2, 3, 4]


def test_all_that_waits_is_made_into_1(receiver: Receiver, shop: Shop, still_clock: StillClock) -> None:
    receiver.answer(503, 503, 503, 415)
    for value in (1, 2, 3):
        shop.fail(value, seconds=20.0)
        still_clock.advance(15)
    shop.send(4, seconds=20.0)
    assert [request.version for request in receiver.requests] == ["2.0"] * 4 + ["1.0"] * 4
    assert values(receiver, 4) == [1, 2, 3, 4]


def test_one_that_has_taken_2_is_believed_when_it_refuses(receiver: Receiver, shop: Shop) -> None:
    shop.send(1)
    receiver.answer(400)
    assert shop.fail(2).dropped == 1
    assert [request.version for request in receiver.requests] == ["2.0", "2.0"]


def test_one_that_has_taken_2_and_does_not_any_more_gets_1(receiver: Receiver, shop: Shop) -> None:
    shop.send(1)
    receiver.answer(415)
    shop.send(2)
    assert [request.version for request in receiver.requests] == ["2.0", "2.0", "1.0"]


@pytest.mark.parametrize("status", [204, 415])
def test_where_2_is_demanded_nothing_else_is_sent(receiver: Receiver, new_shop: Callable[..., Shop], status: int) -> None:
    shop = new_shop(version="2.0")
    receiver.answer(status)
    assert shop.fail(1).dropped == 1
    shop.send(2)
    assert [request.version for request in receiver.requests] == ["2.0", "2.0"]


def test_native_histograms_become_classic_ones_where_they_are_switched_off(receiver: Receiver, new_shop: Callable[..., Shop]) -> None:
    shop = new_shop()
    Histogram("wait_seconds", "Wait", buckets=(1,), native=True, registry=shop.registry).observe(0.5)
    receiver.answers = [(204, NOTHING_WRITTEN | {"X-Prometheus-Remote-Write-Samples-Written": "1"}, "")]
    receiver.answer(500, headers=NOTHING_WRITTEN, body="native histograms are disabled")
    assert shop.fail(1, match="classic").dropped == 1
    shop.send(2)
    assert receiver.requests[-1].written.of(name="wait_seconds_bucket", le="1.0")[0] == 1.0
    assert receiver.requests[-1].written.of(name="depth")[0] == 2.0


# -- what is sent --------------------------------------------------------------------------------------------------------------


def test_a_large_snapshot_is_sent_in_several_requests(receiver: Receiver, new_shop: Callable[..., Shop]) -> None:
    shop = new_shop(max_samples=100)
    levels = Gauge("level", "Level", ["number"], registry=shop.registry)
    for number in range(450):
        levels.labels(str(number)).set(number)
    shop.send(1)
    assert [len(request.written.samples) for request in receiver.requests] == [100, 100, 100, 100, 51]
    assert len({moment for request in receiver.requests for _, moment in request.written.samples.values()}) == 1
    assert len({key for request in receiver.requests for key in request.written.samples}) == 451


@pytest.mark.parametrize(("step", "follows"), [(0.0, False), (-5.0, False), (-500.0, False), (-3600.0, True)])
def test_times_do_not_go_back_with_a_clock_unless_it_was_quite_wrong(
    receiver: Receiver, shop: Shop, still_clock: StillClock, step: float, follows: bool
) -> None:
    shop.send(1)
    still_clock.date += step
    shop.send(2)
    (_, first), (_, second) = (request.written.of(name="depth") for request in receiver.requests)
    assert second == (round(still_clock.wall() * 1000) if follows else first + 1)


def test_a_body_without_the_library_is_one_that_it_reads(receiver: Receiver, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cramjam", None)
    receiver.answer(415)
    shop.send(1)
    monkeypatch.undo()
    assert [request.version for request in receiver.requests] == ["2.0", "1.0"]
    assert values(receiver) == [1, 1]


def test_what_cannot_be_sent_is_counted_and_no_failure(receiver: Receiver, shop: Shop) -> None:
    class Twice:
        def collect(self) -> Iterator[Metric]:
            family = Metric("level", "Level", "gauge")
            family.add_sample("level", {"lane": ""}, 1)
            family.add_sample("level", {}, 2)
            yield family

    shop.registry.register(Twice())
    shop.send(4)
    assert values(receiver) == [4]
    assert shop.delivery.dropped == 1


def test_what_is_not_whole_is_not_sent(receiver: Receiver, shop: Shop) -> None:
    snapshot = gather(shop.registry)
    snapshot.is_whole = False
    with pytest.raises(ExportFailed, match="other processes"):
        shop.exporter.export(snapshot)
    assert receiver.requests == []


def test_a_forked_child_leaves_to_its_parent_what_waits_there(receiver: Receiver, tmp_path: Path) -> None:
    receiver.answer(500)
    done = run_python(
        f"""
import os
from measurand import CollectorRegistry, Gauge
from measurand.errors import ExportFailed
from measurand.exporters.delivery import Delivery
from measurand.exporters.remote_write import RemoteWrite
registry = CollectorRegistry()
depth = Gauge("depth", "Depth", registry=registry, multiprocess_mode="mostrecent")
delivery = Delivery(RemoteWrite({receiver.url!r}), registry)
depth.set(1)
try:
    delivery.deliver(20.0)
except ExportFailed:
    pass
child = os.fork()
if child == 0:
    depth.set(2)
    delivery.deliver(20.0)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
depth.set(3)
delivery.deliver(20.0)
""",
        MEASURAND_FAMILY_DIR=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert values(receiver) == [1, 2, 1, 3]
