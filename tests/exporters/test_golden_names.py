"""What one small registry is called at every destination (P-31): a change of these files is a change for everybody's dashboards.

Each file in ``golden`` is what one encoder makes of the registry, in a form that people can read. If a change is meant, write them anew
with ``python -m tests.exporters.test_golden_names`` and say it in the changelog.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict

from measurand import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from measurand.encoding import cloudwatch, dogstatsd, emf, openmetrics, otlp, otlp_json, protobuf, remote_write, statsd, table, text
from measurand.exporters.deltas import Deltas
from measurand.metrics.collecting import Gathering, gather
from measurand.metrics.points import PointFamily
from measurand.testing.clock import FakeClock
from tests.encoding.protobuf_peer import families_in
from tests.encoding.remote_write_peer import Written

pytestmark = pytest.mark.once

GOLDEN = Path(__file__).parent / "golden"


def gathered() -> Gathering:
    """One metric of each kind, at a moment that is always the same."""
    with FakeClock():
        at = CollectorRegistry(common_labels={"service": "shop"})
        Counter("orders_total", "Orders", ["channel"], registry=at).labels("web").inc(3, exemplar={"trace_id": "a" * 32})
        Gauge("queue_length", "Jobs waiting", registry=at).set(-2)
        Histogram("request_seconds", "Durations", ["route"], buckets=(0.25, 1), registry=at).labels("/orders/{id}").observe(0.5)
        Histogram("query_seconds", "Queries", buckets=(1,), native=True, registry=at).observe(0.5)
        Summary("payload_bytes", "Payloads", registry=at, unit="bytes").observe(512)
        Info("build", "Build", registry=at).info({"version": "1.2"})
        Enum("phase", "Phase", states=["idle", "busy"], registry=at).state("busy")
        return gather(at)


def differences() -> list[PointFamily]:
    snapshot = gathered()
    return Deltas().change(snapshot.points(), snapshot.time).points()


def of_otlp(families: Iterable[PointFamily], *, is_delta: bool) -> str:
    metrics = [otlp.metric_of(family, 1.7e9, lambda family, series: 1.7e9 - 60, is_delta=is_delta)[0] for family in families]
    return as_json(json.loads(otlp_json.encode(metrics, {"service.name": "shop"}, "0"))["resourceMetrics"][0]["scopeMetrics"][0]["metrics"])


def of_remote_write(version: remote_write.Version) -> str:
    requests = remote_write.Encoder().encode(gathered().points(), version, 1_700_000_000_000)
    written = Written(version, *[request.body for request in requests])
    return "\n".join(", ".join(f"{name}={value}" for name, value in labels) for labels in written.order)


def as_json(content: object) -> str:
    return json.dumps(content, indent=1, sort_keys=True, default=str)


def lines(payloads: list[statsd.Payload]) -> str:
    return "\n".join(payload.data.decode() for payload in payloads)


DESTINATIONS: dict[str, Callable[[], str]] = {
    "text.txt": lambda: text.encode(gathered()).decode(),
    "openmetrics.txt": lambda: openmetrics.encode(gathered()).decode(),
    "protobuf.json": lambda: as_json([MessageToDict(family) for family in families_in(protobuf.encode(gathered()))]),
    "statsd.txt": lambda: lines(statsd.encode(differences(), prefix="p")),
    "statsd-graphite.txt": lambda: lines(statsd.encode(differences(), tags="graphite")),
    "dogstatsd.txt": lambda: lines(dogstatsd.encode(differences())),
    "dogstatsd-distributions.txt": lambda: lines(dogstatsd.encode(differences(), distributions=True)),
    "cloudwatch.json": lambda: as_json([entry.datum for entry in cloudwatch.encode(differences(), 1.7e9)[0]]),
    "emf.json": lambda: as_json([json.loads(document.data) for document in emf.encode(differences(), "Shop", 1.7e9)[0]]),
    "otlp.json": lambda: of_otlp(gathered().points(), is_delta=False),
    "otlp-delta.json": lambda: of_otlp(differences(), is_delta=True),
    "remote-write-1.txt": lambda: of_remote_write("1.0"),
    "remote-write-2.txt": lambda: of_remote_write("2.0"),
    "console.txt": lambda: table.encode(gathered().points()),
}


@pytest.mark.parametrize("name", DESTINATIONS)
def test_names_are_what_they_were(name: str) -> None:
    assert DESTINATIONS[name]().rstrip("\n").splitlines() == (GOLDEN / name).read_text().rstrip("\n").splitlines()


def test_there_is_a_file_for_each_destination_and_no_other() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(DESTINATIONS)


def test_no_destination_gets_more_series_than_there_are() -> None:
    """Neither when a series was made nor anything else that nobody has asked for."""
    assert [name for name in DESTINATIONS if "_created" in (GOLDEN / name).read_text()] == []


if __name__ == "__main__":
    for name, write in DESTINATIONS.items():
        (GOLDEN / name).write_text(write().rstrip("\n") + "\n")
