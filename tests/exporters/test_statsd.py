"""StatsD's own server gets what was recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from measurand import CollectorRegistry, Counter
from measurand.errors import ConfigurationError, ExportFailed
from measurand.exporters.addresses import from_address
from measurand.exporters.delivery import Delivery
from measurand.exporters.protocol import Exporter
from measurand.exporters.statsd import StatsD, line_of
from measurand.testing.exporters import ExporterConformance
from tests.servers import StatsdServer
from tests.support import CLOSINGS, run_python, wait_until

pytestmark = pytest.mark.once


class OnStatsd(ExporterConformance):
    answers = False
    closings = CLOSINGS

    @pytest.fixture(autouse=True)
    def _server(self, statsd_server: StatsdServer) -> None:
        self.server = statsd_server

    def forget(self) -> None:
        self.server.forget()

    def counted(self, name: str, labels: dict[str, str]) -> float | None:
        return self.server.counters().get(f"kit.{name}_total.{labels['run']}")

    def measured(self, name: str, labels: dict[str, str]) -> float | None:
        return self.server.gauges().get(f"kit.{name}.{labels['run']}")

    def observed(self, name: str, labels: dict[str, str]) -> tuple[float | None, float | None]:
        counters = self.server.counters()
        return tuple(counters.get(f"kit.{name}.{part}.{labels['run']}") for part in ("count", "sum"))  # type: ignore[return-value]


class TestOverTcp(OnStatsd):
    def exporter(self, address: str | None, timeout: float) -> Exporter:
        return StatsD(f"127.0.0.1:{self.server.tcp}", prefix="kit", transport="tcp", timeout=timeout)

    def test_it_is_understood(self) -> None:
        self.test_labels_of_any_content_harm_nobody()
        self.test_numbers_that_a_format_may_not_have_harm_nobody()
        assert self.server.bad_lines() == 0


class TestOverUdp(OnStatsd):
    def exporter(self, address: str | None, timeout: float) -> Exporter:
        return StatsD(f"127.0.0.1:{self.server.udp}", prefix="kit", timeout=timeout)


def test_a_thousand_series_arrive_over_udp_because_they_are_sent_with_pauses(statsd_server: StatsdServer) -> None:
    registry = CollectorRegistry()
    hits = Counter("hits", "d", ["page"], registry=registry)
    for number in range(1000):
        hits.labels(f"page{number}").inc(number + 1)
    exporter = StatsD(f"127.0.0.1:{statsd_server.udp}", max_packet_size=100)
    Delivery(exporter, registry).deliver()
    expected = {f"hits_total.page{number}": number + 1.0 for number in range(1000)}
    wait_until(lambda: expected.items() <= statsd_server.counters().items(), what=lambda: f"{len(statsd_server.counters())} arrived")
    exporter.close()


def test_what_was_refused_is_sent_again_and_once(statsd_server: StatsdServer) -> None:
    registry = CollectorRegistry()
    hits = Counter("hits", "d", registry=registry)
    exporter = StatsD(f"127.0.0.1:{statsd_server.tcp}", transport="tcp", timeout=5)
    delivery = Delivery(exporter, registry)
    hits.inc(3)
    delivery.deliver()
    statsd_server.stop()
    hits.inc(4)
    with pytest.raises(ExportFailed, match=f"127.0.0.1:{statsd_server.tcp} cannot be reached"):
        delivery.deliver()
    with pytest.raises(ExportFailed):
        exporter.check()
    statsd_server.start()
    exporter.check()
    hits.inc(5)
    delivery.deliver()
    wait_until(lambda: statsd_server.counters().get("hits_total") == 9, what=lambda: str(statsd_server.counters()))


def test_an_address_says_all_of_it() -> None:
    assert line_of(urlsplit("statsd://host:8125")) == ("host:8125", "udp")
    assert line_of(urlsplit("statsd+tcp://[::1]:1")) == ("[::1]:1", "tcp")
    assert line_of(urlsplit("statsd+unix:///var/run/a%20b")) == ("/var/run/a b", "unix")
    exporter = from_address("statsd+tcp://127.0.0.1?prefix=shop&tags=influx&max_packet_size=512&interval=2&timeout=1&name=mine")
    assert (exporter.name, exporter.interval, repr(exporter)) == ("mine", 2.0, "StatsD('127.0.0.1')")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: StatsD("127.0.0.1:port"), "'127.0.0.1:port' is no address to send to: give host:port, such as 127.0.0.1:8125"),
        (lambda: StatsD(""), "'' is no address"),
        (lambda: StatsD("x", transport="tls"), "the transport of x must be udp, tcp or unix, not 'tls'"),
        (lambda: StatsD("x", transport="unix"), "the address of a unix socket is a path such as /var/run/datadog/dsd.socket, not 'x'"),
        (lambda: StatsD("x", max_packet_size=10), "max_packet_size of x must be from 100 to 65000 bytes, not 10"),
        (lambda: StatsD("x", tags="json"), "tags of StatsD must be names, dogstatsd, graphite, influx, not 'json'"),
        (lambda: from_address("statsd+quic://x"), r"the transport of statsd\+quic:// must be udp, tcp or unix"),
        (lambda: from_address("statsd://x?prefx=a"), "statsd://x has no option 'prefx'; is 'prefix' meant?"),
        (lambda: from_address("statsd://x?interval=soon"), "interval of statsd://x must be a number, not 'soon'"),
    ],
)
def test_what_cannot_be_used_is_said_at_once(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make()


def test_neither_importing_nor_making_asks_for_an_address() -> None:
    code = """
        import sys
        sys.addaudithook(lambda event, args: event.startswith("socket.") and sys.exit(f"{event} {args}"))
        from measurand.exporters import DogStatsD, StatsD
        StatsD("no-such-host.invalid:8125"); StatsD("no-such-host.invalid", transport="tcp"); DogStatsD("/no/such/socket", transport="unix")
    """
    ran = run_python("\n".join(line.strip() for line in code.splitlines()))
    assert ran.returncode == 0, ran.stderr


def test_a_name_that_nobody_knows_is_a_failure_that_says_so() -> None:
    for transport in ("udp", "tcp"):
        exporter = StatsD("no-such-host.invalid", transport=transport)  # type: ignore[arg-type]
        with pytest.raises(ExportFailed, match=r"no-such-host\.invalid:8125"):
            exporter.check()
