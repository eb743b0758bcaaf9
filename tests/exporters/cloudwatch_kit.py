"""What the suites of CloudWatch share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from measurand.exporters.cloudwatch import CloudWatch
from tests.exporters.cloudwatch_stand_in import CloudWatchStandIn
from tests.servers.emulators import CloudWatchEmulator

__all__ = ["REGION", "Reader", "exporter"]

REGION = "eu-west-1"


class Reader:
    """What the emulator has."""

    def __init__(self, emulator: CloudWatchEmulator, namespace: str = "Kit") -> None:
        self._client = emulator.client()
        self._namespace = namespace

    def statistics(self, name: str, labels: dict[str, str] | None = None) -> dict[str, float] | None:
        """Of everything that was sent of a metric, of one series if there are labels."""
        found = self._client.get_metric_statistics(
            Namespace=self._namespace,
            MetricName=name,
            Dimensions=[{"Name": label, "Value": value} for label, value in (labels or {}).items()],
            StartTime=datetime(2000, 1, 1, tzinfo=UTC),
            EndTime=datetime(2100, 1, 1, tzinfo=UTC),
            Period=30 * 86400,
            Statistics=["Sum", "SampleCount", "Minimum", "Maximum"],
        )["Datapoints"]
        return found[0] if found else None

    def sum(self, name: str, labels: dict[str, str] | None = None) -> float | None:
        found = self.statistics(name, labels)
        return None if found is None else found["Sum"]


def exporter(stand_in: CloudWatchStandIn, **settings: Any) -> CloudWatch:
    return CloudWatch("Kit", **({"region": REGION, "endpoint_url": stand_in.url} | settings))


def single() -> Any:
    """The settings of a client that repeats no call."""
    from botocore.config import Config  # noqa: PLC0415 - slow to import

    return Config(retries={"total_max_attempts": 1})
