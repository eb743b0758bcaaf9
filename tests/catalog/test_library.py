"""The library's own metrics."""

from measurand import CollectorRegistry, Counter, generate_latest
from measurand.catalog.library import LibraryCollector


def test_series_and_what_the_limit_kept_out_are_shown_by_metric() -> None:
    registry = CollectorRegistry()
    hits = Counter("hits_total", "Hits", ["path"], registry=registry, max_series=2)
    LibraryCollector(registry)
    for path in ("/a", "/b", "/c", "/d", "/c"):
        hits.labels(path).inc()
    assert registry.get_sample_value("measurand_series", {"metric": "hits"}) == 3  # two of its own and the overflow series
    assert registry.get_sample_value("measurand_series_dropped_total", {"metric": "hits"}) == 3
    assert b"measurand_collect_failures" not in generate_latest(registry)


def test_metrics_without_labels_are_left_out() -> None:
    registry = CollectorRegistry()
    Counter("plain_total", "Plain", registry=registry).inc()
    LibraryCollector(registry)
    assert registry.get_sample_value("measurand_series", {"metric": "plain"}) is None


def test_a_process_that_is_alone_says_so() -> None:
    registry = CollectorRegistry()
    LibraryCollector(registry)
    standing = {name: registry.get_sample_value(f"measurand_{name}") for name in ("processes", "quarantined_lanes", "unshared_series")}
    assert standing == {"processes": 1, "quarantined_lanes": 0, "unshared_series": 0}
    assert registry.get_sample_value("measurand_sharing_failed") == 0
