"""What results in a row make of a check."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand.health.reasons import Reason
from measurand.health.verdict import FAIL_AFTER, STALE_AFTER, Verdict

pytestmark = pytest.mark.once

OUTCOMES = st.lists(st.sampled_from([None, Reason.TIMEOUT, Reason.DNS]))


def after(*failures: Reason | None) -> Verdict:
    verdict = Verdict()
    for moment, failure in enumerate(failures):
        verdict = verdict.after(failure, 0.25, float(moment), 1000.0 + moment)
    return verdict


def test_before_the_first_result_a_check_is_pending_and_unhealthy() -> None:
    assert after() == (False, Reason.PENDING, None, 0, None, None)


def test_one_passing_run_makes_it_healthy() -> None:
    assert after(None) == (True, None, 0.25, 0, 0.0, 1000.0)
    assert after(Reason.DNS, Reason.DNS, Reason.DNS, None).healthy


def test_one_that_never_passed_is_unhealthy_from_its_first_failure() -> None:
    assert after(Reason.DNS) == (False, Reason.DNS, 0.25, 1, 0.0, 1000.0)


def test_one_that_passed_is_unhealthy_after_two_failures_in_a_row() -> None:
    assert after(None, Reason.DNS).healthy
    assert after(None, Reason.DNS).reason is None
    assert after(None, Reason.DNS, Reason.TIMEOUT)[:2] == (False, Reason.TIMEOUT)
    assert after(None, Reason.DNS, None, Reason.DNS).healthy


def test_one_that_failed_again_shows_the_latest_reason() -> None:
    assert after(None, Reason.DNS, Reason.DNS, Reason.TIMEOUT).reason is Reason.TIMEOUT


def test_that_there_is_no_result_is_not_forgiven_once_and_no_result_either() -> None:
    assert after(None, None, Reason.STALE) == (False, Reason.STALE, 0.25, 1, 2.0, 1001.0)


def test_a_failure_without_a_run_keeps_the_latest_latency() -> None:
    assert after(None).after(Reason.TIMEOUT, None, 9.0, 9.0).latency == 0.25


def test_a_result_counts_for_three_intervals() -> None:
    assert STALE_AFTER == 3
    verdict = after(None)
    assert not verdict.is_stale(15.0, 5.0)
    assert verdict.is_stale(15.1, 5.0)
    assert not Verdict().is_stale(1e9, 5.0)


@given(OUTCOMES)
def test_a_check_is_healthy_exactly_if_it_passed_and_fewer_than_two_results_since_failed(outcomes: list[Reason | None]) -> None:
    since = next((count for count, outcome in enumerate(reversed(outcomes)) if outcome is None), None)
    verdict = after(*outcomes)
    assert verdict.healthy == (since is not None and since < FAIL_AFTER)
    assert verdict.failures == (len(outcomes) if since is None else since)
    assert (verdict.reason is None) == verdict.healthy
