"""Saying once what a destination cannot have."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from measurand.exporters.protocol import Snapshot

__all__ = ["Refusals"]

LOG = logging.getLogger("measurand")

REMEMBERED = 1000
"""How many metrics and reasons are known as said; nothing more is said then."""


class Refusals:
    """What has been left out on the way to a destination. From one thread at a time.

    Args:
        destination: What the destination is called in the log.
    """

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._said: set[tuple[str, str]] = set()

    def count(self, snapshot: Snapshot, refusals: Iterable[tuple[str, str]]) -> None:
        """Count series that are left out, and say each metric and reason the first time.

        Args:
            snapshot: What is being delivered; its ``dropped`` rises.
            refusals: Of each series the metric's name, and why it is left out.
        """
        for name, reason in refusals:
            snapshot.dropped += 1
            if (name, reason) not in self._said and len(self._said) < REMEMBERED:
                self._said.add((name, reason))
                LOG.warning("%s cannot go to %s: %s; it is left out, and from now on only counted", name, self._destination, reason)
