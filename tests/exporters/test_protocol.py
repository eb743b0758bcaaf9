"""What a destination is."""

from __future__ import annotations

import inspect

import pytest

from measurand.exporters.protocol import Exporter
from measurand.exporters.pushgateway import Pushgateway
from measurand.exporters.textfile import Textfile

pytestmark = pytest.mark.once


@pytest.mark.parametrize("exporter", [Textfile("job.prom"), Pushgateway("127.0.0.1:9091", "job")])
def test_every_destination_keeps_to_the_protocol(exporter: Exporter) -> None:
    assert isinstance(exporter.name, str)
    assert exporter.interval > 0
    assert list(inspect.signature(exporter.export).parameters) == ["snapshot"]
