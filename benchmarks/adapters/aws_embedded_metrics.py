"""AWS's own library for the embedded metric format, which sends documents to the CloudWatch agent."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ClassVar

from benchmarks.adapters import LABEL_NAMES, Adapter, Touch
from benchmarks.sinks import Sink


class Library(Adapter):
    title = "aws-embedded-metrics"
    distribution = "aws-embedded-metrics"
    order = 92
    groups = ("deliveries",)
    environment: ClassVar = {"AWS_EMF_ENVIRONMENT": "default"}
    remarks: ClassVar = {
        "delivery_emf": "aws-embedded-metrics: a document for each set of dimensions, from a dict of the series, without its "
        "default dimensions."
    }

    def delivery(self, destination: str, sink: Sink) -> tuple[Touch, Callable[[], object]] | None:
        if destination != "emf":
            return None
        os.environ["AWS_EMF_AGENT_ENDPOINT"] = f"tcp://{sink.tcp}"  # has to stand there before the import
        from aws_embedded_metrics.logger.metrics_logger_factory import create_metrics_logger  # noqa: PLC0415 - imported when it is measured

        logger = create_metrics_logger()
        logger.set_namespace("Benchmark")
        counts: dict[tuple[str, str, str], float] = {}

        def touch(method: str, endpoint: str, status: str, value: float) -> None:
            counts[method, endpoint, status] = value

        def deliver() -> None:
            for values, value in counts.items():
                logger.set_dimensions(dict(zip(LABEL_NAMES, values, strict=True)))
                logger.put_metric("requests", value)
                logger.flush_sync()

        return touch, deliver
