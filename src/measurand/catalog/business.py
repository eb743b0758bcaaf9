"""What a service that publishes posts to channels is there for: channels, users, posts that wait, posts sent, views seen.

How many there are of something is known to the database, so a poll reads it and records a :class:`BusinessSnapshot`; what happens is
counted where it happens. Recording is safe from any thread and after a fork, and never blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Counter, Gauge
from measurand.metrics.registry import CollectorRegistry

__all__ = ["BusinessMetrics", "BusinessSnapshot"]

STATUSES = 20
"""How many ways in which sending a post may end are told apart; further ones share a series, so that the total stays right."""


@dataclass(frozen=True, slots=True)
class BusinessSnapshot:
    """How many there were at one moment.

    Attributes:
        channels: Channels that are published to.
        users: People who are known.
        scheduled_posts: Posts that wait for their time.
    """

    channels: int
    users: int
    scheduled_posts: int


class BusinessMetrics:
    """The metrics of channels and their posts.

    ====================================  =======  ======
    ``business_channels``                 gauge
    ``business_users``                    gauge
    ``business_scheduled_posts``          gauge
    ``business_posts_sent_total``         counter  status
    ``business_post_view_updates_total``  counter
    ====================================  =======  ======

    Args:
        registry: Where the metrics are registered; a second set in the same registry shares them.
        snapshots: Whether this service takes snapshots; one that only sends posts, as a worker does, leaves the gauges out, so that it
            does not show zeros of what it does not look at.

    Attributes:
        posts_sent: The counter of :meth:`post_sent`, for whoever wants to move it by a transaction's commit.
        view_updates: The counter of :meth:`views_updated`, likewise.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, snapshots: bool = True) -> None:
        self._gauges: tuple[Gauge, ...] = ()
        if snapshots:
            self._gauges = (
                Gauge("business_channels", "Channels that are published to", registry=registry),
                Gauge("business_users", "People who are known", registry=registry),
                Gauge("business_scheduled_posts", "Posts that wait for their time", registry=registry),
            )
        self.posts_sent = Counter(
            "business_posts_sent_total",
            "Posts whose sending has ended, by how it ended",
            ["status"],
            registry=registry,
            max_series=STATUSES,
        )
        self.view_updates = Counter("business_post_view_updates_total", "Views of posts that updates have brought", registry=registry)

    def record(self, event: BusinessSnapshot) -> None:
        """Say how many there are now; does nothing in a set without snapshots."""
        counts = (event.channels, event.users, event.scheduled_posts)
        for gauge, count in zip(self._gauges, counts, strict=False):
            gauge.set(count)

    def post_sent(self, status: str) -> None:
        """The sending of a post has ended.

        Args:
            status: How, from a short list of one's own: ``sent`` or ``failed``, for example.
        """
        self.posts_sent.labels(status).inc()

    def views_updated(self, count: int) -> None:
        """Views have been seen that were not known of before.

        Args:
            count: How many; all in one call.

        Raises:
            RecordingError: It is negative.
        """
        self.view_updates.inc(count)
