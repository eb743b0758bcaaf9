"""Several snapshots of one registry at the same moment."""

from __future__ import annotations

from typing import Any

from measurand import CollectorRegistry, Gauge, Histogram
from tests.metrics.kit import Custom, gauge, snapshot
from tests.support import in_background, run_threads, wait_until


def test_scrapes_at_once_each_see_everything(registry: CollectorRegistry) -> None:
    histogram = Histogram("h", "d", registry=registry, buckets=[1])
    Gauge("asking", "d", registry=registry).set_function(lambda: 1)
    registry.register(Custom(lambda: [gauge("custom")]))

    def scrape() -> None:
        for _ in range(50):
            shown = snapshot(registry)
            assert shown["asking"] == shown["custom"] == 1
            assert shown['h_bucket{le="+Inf"}'] == shown["h_count"]
            assert len(shown) == 6

    with in_background(lambda: histogram.observe(0.5)):
        run_threads(*[scrape] * 4)


def test_a_slow_collector_is_in_the_scrapes_of_two_servers_at_once(registry: CollectorRegistry) -> None:
    scraping: list[int] = []

    def slow() -> list[Any]:
        wait_until(lambda: len(scraping) == 2)
        return [gauge("custom")]

    def scrape() -> None:
        scraping.append(1)
        assert snapshot(registry) == {"custom": 1}

    registry.register(Custom(slow))
    run_threads(scrape, scrape)


def test_a_collector_that_scrapes_its_own_registry_is_no_failure(registry: CollectorRegistry) -> None:
    Gauge("own", "d", registry=registry).set(2)
    registry.register(Custom(lambda: [gauge("seen", len(snapshot(registry)))]))
    assert snapshot(registry) == {"own": 2, "seen": 1}
