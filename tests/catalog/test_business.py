"""The metrics of channels and their posts."""

from __future__ import annotations

import pytest

from measurand import CollectorRegistry
from measurand.catalog.business import STATUSES, BusinessMetrics, BusinessSnapshot
from measurand.errors import RecordingError

pytestmark = pytest.mark.once

COUNTS = ("business_channels", "business_users", "business_scheduled_posts")


def test_a_snapshot_says_how_many_there_are_now():
    registry = CollectorRegistry()
    metrics = BusinessMetrics(registry)
    metrics.record(BusinessSnapshot(channels=3, users=20, scheduled_posts=5))
    metrics.record(BusinessSnapshot(channels=2, users=21, scheduled_posts=0))
    assert [registry.get_sample_value(name) for name in COUNTS] == [2, 21, 0]


def test_views_are_counted_by_n_in_one_call_and_posts_by_how_they_ended():
    registry = CollectorRegistry()
    metrics = BusinessMetrics(registry)
    metrics.views_updated(1500)
    metrics.views_updated(0)
    for status in ("sent", "sent", "failed"):
        metrics.post_sent(status)
    assert registry.get_sample_value("business_post_view_updates_total") == 1500
    assert registry.get_sample_value("business_posts_sent_total", {"status": "sent"}) == 2
    assert registry.get_sample_value("business_posts_sent_total", {"status": "failed"}) == 1


def test_views_do_not_become_fewer():
    metrics = BusinessMetrics(CollectorRegistry())
    with pytest.raises(RecordingError):
        metrics.views_updated(-1)


def test_ways_to_end_are_bounded_and_none_is_lost():
    registry = CollectorRegistry()
    metrics = BusinessMetrics(registry)
    for number in range(3 * STATUSES):
        metrics.post_sent(f"status-{number}")
    (family,) = [family for family in registry.collect() if family.name == "business_posts_sent"]
    counts = [sample.value for sample in family.samples if sample.name == "business_posts_sent_total"]
    assert sum(counts) == 3 * STATUSES
    assert len(counts) <= STATUSES + 1


def test_who_takes_no_snapshots_shows_no_zeros_of_what_it_does_not_look_at():
    registry = CollectorRegistry()
    metrics = BusinessMetrics(registry, snapshots=False)
    metrics.record(BusinessSnapshot(1, 1, 1))
    metrics.post_sent("sent")
    assert [registry.get_sample_value(name) for name in COUNTS] == [None, None, None]
    assert registry.get_sample_value("business_posts_sent_total", {"status": "sent"}) == 1


def test_two_sets_in_one_registry_share_their_metrics():
    registry = CollectorRegistry()
    one, other = BusinessMetrics(registry), BusinessMetrics(registry)
    one.record(BusinessSnapshot(1, 2, 3))
    other.views_updated(2)
    one.views_updated(3)
    assert registry.get_sample_value("business_users") == 2
    assert registry.get_sample_value("business_post_view_updates_total") == 5
