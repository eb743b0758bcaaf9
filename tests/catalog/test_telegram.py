"""The metrics of Telegram bots: names, labels, and what bounds them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as some

from measurand import CollectorRegistry
from measurand.catalog.telegram import STATUSES, TelegramApiCall, TelegramHandlerCall, TelegramMetrics, TelegramUpdate
from measurand.testing.readings import Readings

TEXTS = some.text(max_size=8)


def test_an_update_is_counted_by_type_and_outcome_and_timed_by_type(registry: CollectorRegistry) -> None:
    metrics, readings = TelegramMetrics(registry), Readings(registry)
    metrics.record(TelegramUpdate("message", "handled", 0.25))
    metrics.updated("message", "error", 0.5)
    assert readings.value("telegram_updates_total", update_type="message", outcome="handled") == 1
    assert readings.value("telegram_updates_total", update_type="message", outcome="error") == 1
    assert readings.value("telegram_update_duration_seconds_count", update_type="message") == 2
    assert readings.value("telegram_update_duration_seconds_sum", update_type="message") == 0.75


def test_a_handler_is_timed_by_its_name(registry: CollectorRegistry) -> None:
    metrics, readings = TelegramMetrics(registry), Readings(registry)
    metrics.record(TelegramHandlerCall("shop.bot.start", 0.5))
    metrics.handled("shop.bot.start", 1)
    assert readings.value("telegram_handler_duration_seconds_sum", handler="shop.bot.start") == 1.5


def test_a_request_is_counted_by_method_and_status_and_timed_by_method(registry: CollectorRegistry) -> None:
    metrics, readings = TelegramMetrics(registry), Readings(registry)
    metrics.record(TelegramApiCall("sendMessage", "ok", 0.25))
    metrics.called("sendMessage", "server_error", 0.5)
    metrics.called("sendMessage", "the moon is full", 0.5)
    assert readings.value("telegram_api_requests_total", api_method="sendMessage", status="ok") == 1
    assert readings.value("telegram_api_requests_total", api_method="sendMessage", status="server_error") == 1
    assert readings.value("telegram_api_requests_total", api_method="sendMessage", status="error") == 1
    assert readings.value("telegram_api_request_duration_seconds_sum", api_method="sendMessage") == 1.25
    assert readings.value("telegram_flood_waits_total") == 0


def test_a_flood_wait_is_counted_with_what_it_asks_for(registry: CollectorRegistry) -> None:
    metrics, readings = TelegramMetrics(registry), Readings(registry)
    metrics.record(TelegramApiCall("sendMessage", "rate_limited", 0.25, retry_after=35))
    assert readings.value("telegram_flood_waits_total") == 1
    assert readings.value("telegram_retry_after_seconds_sum") == 35
    assert readings.value("telegram_retry_after_seconds_bucket", le="30.0") == 0
    assert readings.value("telegram_retry_after_seconds_bucket", le="60.0") == 1


def test_a_long_poll_is_counted_and_not_timed_and_its_failures_are_polling_errors(registry: CollectorRegistry) -> None:
    metrics, readings = TelegramMetrics(registry), Readings(registry)
    for status in ("ok", "cancelled", "conflict", "conflict", "out of the list"):
        metrics.called("getUpdates", status, 30)
    assert readings.value("telegram_api_requests_total", api_method="getUpdates", status="ok") == 1
    assert readings.value("telegram_api_requests_total", api_method="getUpdates", status="cancelled") == 1
    assert readings.samples("telegram_api_request_duration_seconds_count") == []
    found = {sample.labels["error_type"]: sample.value for sample in readings.samples("telegram_polling_errors_total")}
    assert found == {"conflict": 2, "error": 1}


def test_two_sets_in_one_registry_count_together(registry: CollectorRegistry) -> None:
    for metrics in (TelegramMetrics(registry), TelegramMetrics(registry)):
        metrics.called("getMe", "ok", 1)
    assert Readings(registry).value("telegram_api_requests_total", api_method="getMe", status="ok") == 2


def test_events_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        TelegramUpdate("message", "handled", 1).duration = 2  # type: ignore[misc]


@given(some.lists(some.tuples(TEXTS, TEXTS, TEXTS), max_size=60))
def test_whatever_is_recorded_all_is_counted_and_labels_are_bounded(recorded: list[tuple[str, str, str]]) -> None:
    registry = CollectorRegistry()
    metrics = TelegramMetrics(registry, max_handlers=5)
    for method, status, handler in recorded:
        metrics.called(method, status, 0.1)
        metrics.handled(handler, 0.1)
        metrics.updated(method, "handled", 0.1)
    readings = Readings(registry)
    for name in ("telegram_api_requests_total", "telegram_updates_total", "telegram_handler_duration_seconds_count"):
        assert sum(sample.value for sample in readings.samples(name)) == len(recorded)
    assert {sample.labels["status"] for sample in readings.samples("telegram_api_requests_total")} <= STATUSES
    assert len(readings.samples("telegram_handler_duration_seconds_count")) <= 6


def test_types_methods_and_handlers_without_end_share_a_series(registry: CollectorRegistry) -> None:
    metrics, readings = TelegramMetrics(registry), Readings(registry)
    for number in range(2000):
        metrics.called(f"method{number}", "ok", 0.1)
        metrics.handled(f"handler{number}", 0.1)
        metrics.updated(f"type{number}", "handled", 0.1)
    assert readings.value("telegram_api_requests_total", api_method="__other__") == 1600
    assert readings.value("telegram_handler_duration_seconds_count", handler="__other__") == 1800
    assert readings.value("telegram_updates_total", update_type="__other__") == 1900
