"""Logs are lines of JSON, and whoever logs waits for nobody."""

from __future__ import annotations

import io
import json
import logging
import threading

import pytest

from examples.governance.logs import writing
from measurand.testing.readings import Readings

pytestmark = pytest.mark.once

LOG = logging.getLogger("tests.governance")


def test_a_record_is_one_line_with_its_fields_and_its_exception():
    output = io.StringIO()
    with writing(output=output, service="api", environment="test"):
        LOG.info("recorded %s", 7, extra={"sequence": 7, "act": "vote"})
        try:
            raise ValueError("two\nlines")
        except ValueError:
            LOG.exception("failed")
        LOG.debug("not this")
    first, second = map(json.loads, output.getvalue().splitlines())
    assert first.pop("time").endswith("+00:00")
    common = {"logger": "tests.governance", "service": "api", "environment": "test"}
    assert first == {"level": "info", "message": "recorded 7", "sequence": 7, "act": "vote", **common}
    assert (second["level"], second["exception"].splitlines()[-1]) == ("error", "lines")


class Stuck(io.StringIO):
    """An output that takes nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def write(self, text: str) -> int:
        self.go_on.wait(30)
        return super().write(text)


def test_a_stuck_output_holds_nobody_up_and_what_is_dropped_is_counted(metrics: Readings):
    output = Stuck()
    with writing(output=output, longest=10):
        for number in range(50):
            LOG.info("%s", number)
        dropped = metrics.delta("log_records_dropped_total")
        output.go_on.set()
    assert 39 <= dropped <= 40  # one may be in the hands of the writing thread
    assert len(output.getvalue().splitlines()) == 50 - dropped


def test_an_output_that_stays_stuck_does_not_hold_up_the_end():
    output = Stuck()
    with writing(output=output, longest=1):
        LOG.info("first")
        LOG.info("second")
    assert output.getvalue() == ""
    output.go_on.set()
