"""AWS's own library for Python, which has PutMetricData and nothing that keeps numbers for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from benchmarks.adapters import LABEL_NAMES, Adapter, Touch
from benchmarks.adapters._destinations import cloudwatch_client
from benchmarks.sinks import Sink

PER_CALL = 1000


class Library(Adapter):
    title = "boto3"
    distribution = "boto3"
    order = 91
    groups = ("deliveries",)
    remarks: ClassVar = {
        "delivery_cloudwatch": "boto3: `put_metric_data` with 1,000 metrics in a call, from a dict of the series. measurand calls boto3, "
        "too: what is compared is what stands before the call."
    }

    def delivery(self, destination: str, sink: Sink) -> tuple[Touch, Callable[[], object]] | None:
        if destination != "cloudwatch":
            return None
        client = cloudwatch_client(sink)
        counts: dict[tuple[str, str, str], float] = {}

        def touch(method: str, endpoint: str, status: str, value: float) -> None:
            counts[method, endpoint, status] = value

        def deliver() -> None:
            data: list[dict[str, Any]] = [
                {
                    "MetricName": "requests",
                    "Dimensions": [{"Name": name, "Value": label} for name, label in zip(LABEL_NAMES, values, strict=True)],
                    "Value": value,
                }
                for values, value in counts.items()
            ]
            for start in range(0, len(data), PER_CALL):
                client.put_metric_data(Namespace="Benchmark", MetricData=data[start : start + PER_CALL])

        return touch, deliver
