"""measurand's destinations, set up as its documentation says; none is imported before it is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from benchmarks.sinks import Sink

INTERVAL = 0.25
"""Seconds between two deliveries while recordings are timed: many more than a service has."""

MAKE: dict[str, Callable[[Any, Sink], Any]] = {
    "statsd": lambda module, sink: module.StatsD(sink.udp),
    "dogstatsd": lambda module, sink: module.DogStatsD(sink.unix, transport="unix"),
    "pushgateway": lambda module, sink: module.Pushgateway(sink.http, "benchmark"),
    "otlp": lambda module, sink: module.OTLP(f"http://{sink.http}", compression=None),
    "remote_write": lambda module, sink: module.RemoteWrite(f"http://{sink.http}/api/v1/write", version="1.0"),
    "statsd_tcp": lambda module, sink: module.StatsD(sink.tcp, transport="tcp"),
    "emf": lambda module, sink: module.EMF("Benchmark", destination=f"tcp://{sink.tcp}"),
    "cloudwatch": lambda module, sink: module.CloudWatch("Benchmark", client=cloudwatch_client(sink)),
}
FIVE = tuple(MAKE)[:5]


def cloudwatch_client(sink: Sink) -> Any:
    """boto3's client, which takes the sink for CloudWatch."""
    import boto3  # noqa: PLC0415 - a library under test
    from botocore.config import Config  # noqa: PLC0415

    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    return boto3.client(
        "cloudwatch", region_name="eu-west-1", endpoint_url=f"http://{sink.http}", config=Config(retries={"total_max_attempts": 1}), **keys
    )


def made(destination: str, sink: Sink) -> Any:
    """The exporter."""
    from measurand import exporters  # noqa: PLC0415 - imported when it is measured

    return MAKE[destination](exporters, sink)


def delivering(destination: str, registry: Any, sink: Sink) -> Callable[[], None]:
    """What delivers once, as a service does in each interval."""
    from measurand.exporters.delivery import Delivery  # noqa: PLC0415 - imported when it is measured

    return Delivery(made("statsd_tcp" if destination == "statsd" else destination, sink), registry).deliver


class _Delivered:
    """An exporter that delivers often, and can be asked whether it has."""

    def __init__(self, exporter: Any) -> None:
        self.name, self.interval = exporter.name, INTERVAL
        self.temporality = getattr(exporter, "temporality", "cumulative")
        self.times = 0
        self._exporter = exporter

    def export(self, snapshot: Any) -> None:
        self._exporter.export(snapshot)
        self.times += 1


Having = Callable[[int], AbstractContextManager[Callable[[], bool]]]
"""Gives a service so many destinations for a while."""


@contextmanager
def running(registry: Any, sink: Sink) -> Iterator[Having]:
    """A service that can be given destinations for a while."""
    import measurand  # noqa: PLC0415 - imported when it is measured

    @contextmanager
    def having(count: int) -> Iterator[Callable[[], bool]]:
        exporters = [_Delivered(made(name, sink)) for name in FIVE[:count]]
        runtime.exporters.add(*exporters)
        try:
            yield lambda: all(exporter.times > 1 for exporter in exporters)
        finally:
            for exporter in exporters:
                runtime.exporters.remove(exporter.name)

    with measurand.start("benchmark", registry=registry, drain_delay=0) as runtime:
        yield having
