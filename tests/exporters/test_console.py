"""A table on the terminal."""

from __future__ import annotations

import io
import re
import sys

import pytest

from measurand import CollectorRegistry, Counter
from measurand.errors import ConfigurationError
from measurand.exporters.addresses import from_address
from measurand.exporters.console import Console
from measurand.exporters.delivery import Delivery

pytestmark = pytest.mark.once


@pytest.fixture
def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    Counter("orders", "d", registry=made).inc(3)
    return made


def test_it_writes_a_table_and_when_it_was_true(registry: CollectorRegistry) -> None:
    stream = io.StringIO()
    delivery = Delivery(Console(stream), registry)
    delivery.deliver()
    delivery.deliver()
    table = r"-- metrics at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d --\norders_total    3\n"
    assert re.fullmatch(table * 2, stream.getvalue())


def test_it_writes_to_standard_error_as_it_is_at_that_moment(registry: CollectorRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    Delivery(Console(), registry).deliver()
    said = capsys.readouterr()
    assert "orders_total    3\n" in said.err
    assert said.out == ""


def test_a_program_without_streams_is_not_harmed(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    Delivery(Console(), registry).deliver()


def test_an_address_says_all_of_it(registry: CollectorRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    exporter = from_address("console://stdout?interval=5&name=table")
    assert (exporter.name, exporter.interval, repr(exporter)) == ("table", 5.0, "Console()")
    Delivery(exporter, registry).deliver()
    assert "orders_total    3\n" in capsys.readouterr().out
    assert from_address("console:").interval == 60
    with pytest.raises(ConfigurationError, match="the console writes to stderr or stdout, as in console://stdout, not to 'printer'"):
        from_address("console://printer")
