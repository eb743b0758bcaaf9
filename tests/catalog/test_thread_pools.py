"""The metrics of thread pools."""

from __future__ import annotations

from measurand import CollectorRegistry
from measurand.catalog.thread_pools import PoolWork, ThreadPoolMetrics


def value(registry: CollectorRegistry, name: str, pool: str = "mail") -> float | None:
    return registry.get_sample_value(f"thread_pool_{name}", {"pool": pool})


def test_work_is_counted_in_and_out(registry: CollectorRegistry) -> None:
    series = ThreadPoolMetrics(registry).series("mail")
    series.queued()
    series.queued()
    series.unqueued()
    series.waited(0.5)
    series.begun()
    assert [value(registry, name) for name in ("queue_length", "threads_busy", "wait_seconds_sum")] == [1, 1, 0.5]
    series.ended()
    assert value(registry, "threads_busy") == 0


def test_a_wait_is_recorded(registry: CollectorRegistry) -> None:
    metrics = ThreadPoolMetrics(registry, buckets=(0.1, 1))
    metrics.record(PoolWork("mail", 0.25))
    assert (value(registry, "wait_seconds_count"), value(registry, "wait_seconds_sum")) == (1, 0.25)
    assert value(registry, "queue_length") is None


def test_sizes_are_asked_for_at_each_scrape_until_they_are_hidden(registry: CollectorRegistry) -> None:
    metrics, threads = ThreadPoolMetrics(registry), [object()]
    metrics.show_sizes("mail", lambda: 4, lambda: len(threads))
    assert (value(registry, "threads"), value(registry, "threads_max")) == (1, 4)
    threads.append(object())
    assert value(registry, "threads") == 2
    metrics.hide_sizes("mail")
    assert (value(registry, "threads"), value(registry, "threads_max")) == (None, None)


def test_how_many_threads_there_are_may_not_be_known(registry: CollectorRegistry) -> None:
    metrics = ThreadPoolMetrics(registry)
    metrics.show_sizes("mail", lambda: 4)
    assert (value(registry, "threads"), value(registry, "threads_max")) == (None, 4)
    metrics.hide_sizes("mail")
    assert value(registry, "threads_max") is None


def test_names_are_bounded(registry: CollectorRegistry) -> None:
    metrics = ThreadPoolMetrics(registry, max_pools=2)
    for number in range(5):
        metrics.series(f"pool-{number}").queued()
    assert [value(registry, "queue_length", name) for name in ("pool-0", "pool-1", "pool-2", "__other__")] == [1, 1, None, 3]
