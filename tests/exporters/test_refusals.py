"""What a destination cannot have is counted, and said once."""

from __future__ import annotations

import logging

import pytest

from measurand.exporters.deltas import Deltas
from measurand.exporters.refusals import REMEMBERED, Refusals

pytestmark = pytest.mark.once


def test_each_metric_and_reason_is_said_once_and_counted_always(caplog: pytest.LogCaptureFixture) -> None:
    change = Deltas().change([], 1.0)
    refusals = Refusals("the moon")
    with caplog.at_level(logging.WARNING, "measurand"):
        for _ in range(3):
            refusals.count(change, [("orders", "too far"), ("orders", "too far"), ("orders", "too heavy"), ("level", "too far")])
    assert change.dropped == 12
    assert caplog.messages == [
        f"{name} cannot go to the moon: {reason}; it is left out, and from now on only counted"
        for name, reason in (("orders", "too far"), ("orders", "too heavy"), ("level", "too far"))
    ]


def test_what_is_remembered_has_an_end(caplog: pytest.LogCaptureFixture) -> None:
    change = Deltas().change([], 1.0)
    with caplog.at_level(logging.WARNING, "measurand"):
        Refusals("the moon").count(change, [(f"metric{number}", "too far") for number in range(REMEMBERED + 100)])
    assert change.dropped == REMEMBERED + 100
    assert len(caplog.messages) == REMEMBERED
