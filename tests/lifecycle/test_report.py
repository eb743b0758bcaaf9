"""What is told of a shutdown."""

from __future__ import annotations

from measurand.lifecycle.report import ShutdownReport, Step

CLEAN = (Step("waiter", "requests", 0.1), Step("shutdown", "pool", 0.2), Step("flush", "textfile", 0.01), Step("flush", "statsd", 0.02))


def test_a_clean_end_in_one_line() -> None:
    report = ShutdownReport(True, 5.254, 30.0, CLEAN)
    assert report.is_clean
    assert str(report) == "shut down in 5.25 s of 30 s; flushed: textfile, statsd; lost: nothing"


def test_everything_that_went_wrong_is_in_the_line() -> None:
    wrong = (
        Step("waiter", "requests", 20.0, "not done"),
        Step("shutdown", "pool", 0.2, "raised ValueError"),
        Step("flush", "gateway", 0.02, "3 packets"),
    )
    report = ShutdownReport(True, 29.0, 30.0, CLEAN + wrong)
    assert not report.is_clean
    assert (report.unfinished, report.failed) == (("requests",), {"pool": "raised ValueError"})
    assert (report.flushed, report.lost) == (("textfile", "statsd"), {"gateway": "3 packets"})
    assert str(report).endswith(
        "flushed: textfile, statsd; lost: gateway (3 packets); not done in time: requests; failed: pool (raised ValueError)"
    )


def test_nothing_to_flush_is_said_too() -> None:
    assert str(ShutdownReport(True, 0.0, 30.0, ())) == "shut down in 0.00 s of 30 s; flushed: nothing; lost: nothing"
