"""CloudWatch: clients, credentials, addresses, and what cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from measurand import CollectorRegistry, Counter
from measurand.errors import ConfigurationError, ExportFailed
from measurand.exporters.addresses import from_address
from measurand.exporters.cloudwatch import CloudWatch
from measurand.exporters.delivery import Delivery
from tests.exporters.cloudwatch_kit import REGION, Reader, exporter, single
from tests.exporters.cloudwatch_stand_in import CloudWatchStandIn
from tests.servers.emulators import CloudWatchEmulator
from tests.support import run_python

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("aws_credentials")]


class TestAClientOfTheUsers:
    def test_it_is_used_and_left_alone(self, cloudwatch: CloudWatchEmulator, stand_in: CloudWatchStandIn) -> None:
        client = cloudwatch.client(stand_in.url, config=single())
        registry = CollectorRegistry()
        Counter("orders", "d", registry=registry).inc(3)
        one = CloudWatch("Kit", client=client)
        one.check()
        Delivery(one, registry).deliver()
        one.close()
        client.put_metric_data(Namespace="Kit", MetricData=[{"MetricName": "mine", "Value": 1.0}])
        assert (Reader(cloudwatch).sum("orders_total"), Reader(cloudwatch).sum("mine")) == (3, 1)

    def test_one_that_repeats_calls_is_refused(self, cloudwatch: CloudWatchEmulator) -> None:
        with pytest.raises(ConfigurationError, match="must not repeat calls by itself"):
            CloudWatch("Kit", client=cloudwatch.client())


class TestWhatIsMissing:
    def test_credentials(self, monkeypatch: pytest.MonkeyPatch, stand_in: CloudWatchStandIn) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        one = exporter(stand_in)
        with pytest.raises(ConfigurationError, match="there are no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
            one.check()
        registry = CollectorRegistry()
        counter = Counter("orders", "d", registry=registry)
        counter.inc(3)
        delivery = Delivery(one, registry)
        with pytest.raises(ExportFailed, match="there are no AWS credentials") as failure:
            delivery.deliver()
        assert failure.value.dropped == 0
        one.close()

    def test_a_region(self, monkeypatch: pytest.MonkeyPatch) -> None:
        one = CloudWatch("Kit")
        with pytest.raises(
            ConfigurationError, match="there is no AWS region; give CloudWatch region='eu-west-1', or set AWS_DEFAULT_REGION"
        ):
            one.check()
        with pytest.raises(ExportFailed, match="there is no AWS region"):
            Delivery(one, registry_of_one()).deliver()
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        one.check()

    def test_boto3(self) -> None:
        done = run_python(
            "import sys\nsys.modules['boto3'] = None\nfrom measurand.exporters import CloudWatch\n"
            "try:\n    CloudWatch('Kit')\nexcept ImportError as reason:\n    print(type(reason).__name__, reason)"
        )
        assert done.stdout.strip() == "MissingExtra boto3 is not installed; run: pip install 'measurand[cloudwatch]'", done.stderr


def registry_of_one() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("orders", "d", registry=registry).inc()
    return registry


def test_nothing_is_loaded_before_something_is_sent() -> None:
    done = run_python(
        "import sys\nfrom measurand.exporters import CloudWatch\nCloudWatch('Kit', region='eu-west-1')\n"
        "print([name for name in sys.modules if name.startswith('boto')])"
    )
    assert done.stdout.strip() == "[]", done.stderr


FORKING = """
import os
from measurand import CollectorRegistry, Gauge
from measurand.exporters.cloudwatch import CloudWatch
from measurand.exporters.delivery import Delivery

registry = CollectorRegistry()
Gauge("level", "d", registry=registry).set(1)
delivery = Delivery(CloudWatch("Kit", region="eu-west-1", endpoint_url="{url}"), registry)
delivery.deliver()
delivery.deliver()
child = os.fork()
delivery.deliver()
if child:
    assert os.waitpid(child, 0)[1] == 0
os._exit(0)
"""


def test_a_forked_child_has_a_connection_of_its_own(stand_in: CloudWatchStandIn) -> None:
    done = run_python(FORKING.replace("{url}", stand_in.url))
    assert done.returncode == 0, done.stderr
    ports = [call.peer for call in stand_in.calls]
    assert len(ports) == 4
    assert ports[0] == ports[1]
    assert sorted(map(ports.count, set(ports))) == [1, 3]


def test_an_address_says_all_of_it(cloudwatch: CloudWatchEmulator, stand_in: CloudWatchStandIn) -> None:
    address = (
        f"cloudwatch://Shop/Web%20site?region={REGION}&endpoint_url={stand_in.url}&dimension.Stage=live&delivery=at-least-once"
        "&compress=0&storage_resolution=1&max_calls=3&interval=10&timeout=30&name=cw"
    )
    one: Any = from_address(address)
    assert (one.name, one.interval, repr(one)) == ("cw", 10, "CloudWatch('Shop/Web site')")
    Delivery(one, registry_of_one()).deliver()
    one.close()
    assert Reader(cloudwatch, "Shop/Web site").sum("orders_total", {"Stage": "live"}) == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: CloudWatch("AWS/Shop"), "a namespace of CloudWatch has 1 to 255 printable ASCII characters"),
        (lambda: CloudWatch("Shop", delivery="exactly-once"), "delivery of CloudWatch must be 'at-most-once' or 'at-least-once'"),  # type: ignore[arg-type]
        (lambda: CloudWatch("Shop", storage_resolution=30), "storage_resolution of CloudWatch must be 1 or 60 seconds, not 30"),
        (lambda: CloudWatch("Shop", timeout=0), "timeout of CloudWatch must be a number of seconds above 0, not 0"),
        (lambda: CloudWatch("Shop", max_calls=0), "max_calls of CloudWatch must be at least 1, not 0"),
        (lambda: CloudWatch("Shop", dimensions={"Stage": ""}), "a dimension of CloudWatch has a name and a value"),
        (lambda: from_address("cloudwatch://"), "a namespace of CloudWatch"),
        (lambda: from_address("cloudwatch://Shop?regoin=x"), "has no option 'regoin'; is 'region' meant?"),
    ],
)
def test_what_cannot_be_used_is_said_at_once(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make()
