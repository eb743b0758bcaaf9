"""Table C of the requirements as data: every metric of the channel bot with its type and its labels, by what it is about.

The names stand here once more on purpose: a test that read them from the code could not notice a wrong one.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One metric; the labels are those besides service, environment and le."""

    about: str
    name: str
    kind: str
    labels: str = ""


TABLE = [
    Row("HTTP", "http_requests_total", "counter", "method endpoint status"),
    Row("HTTP", "http_requests_failed_total", "counter", "method endpoint status error_type"),
    Row("HTTP", "http_request_duration_seconds", "histogram", "method endpoint"),
    Row("HTTP", "http_requests_in_progress", "gauge", "method"),
    Row("Telegram", "telegram_updates_total", "counter", "update_type outcome"),
    Row("Telegram", "telegram_update_duration_seconds", "histogram", "update_type"),
    Row("Telegram", "telegram_handler_duration_seconds", "histogram", "handler"),
    Row("Telegram", "telegram_api_requests_total", "counter", "api_method status"),
    Row("Telegram", "telegram_api_request_duration_seconds", "histogram", "api_method"),
    Row("Telegram", "telegram_flood_waits_total", "counter"),
    Row("Telegram", "telegram_retry_after_seconds", "histogram"),
    Row("system", "system_memory_percent", "gauge"),
    Row("system", "system_cpu_percent", "gauge"),
    Row("system", "system_disk_percent", "gauge", "path"),
    Row("database", "db_queries_total", "counter", "operation status"),
    Row("database", "db_query_duration_seconds", "histogram", "operation"),
    Row("database", "db_connections", "gauge", "pool state"),
    Row("database", "db_pool_size", "gauge", "pool"),
    Row("database", "db_pool_overflow", "gauge", "pool"),
    Row("database", "db_pool_wait_seconds", "histogram", "pool"),
    Row("database", "db_pool_timeouts_total", "counter", "pool"),
    Row("database", "db_connection_use_seconds", "histogram", "pool"),
    Row("Celery", "celery_tasks_published_total", "counter", "task queue"),
    Row("Celery", "celery_tasks_total", "counter", "task queue state"),
    Row("Celery", "celery_tasks_failed_total", "counter", "task error_type"),
    Row("Celery", "celery_task_duration_seconds", "histogram", "task state"),
    Row("Celery", "celery_task_queue_wait_seconds", "histogram", "queue"),
    Row("Celery", "celery_tasks_in_progress", "gauge", "queue"),
    Row("Celery", "celery_queue_length", "gauge", "queue"),
    Row("Celery", "celery_workers", "gauge", "queue"),
    Row("business", "business_channels", "gauge"),
    Row("business", "business_users", "gauge"),
    Row("business", "business_scheduled_posts", "gauge"),
    Row("business", "business_posts_sent_total", "counter", "status"),
    Row("business", "business_post_view_updates_total", "counter"),
    Row("health", "health_check_status", "gauge", "check"),
    Row("health", "health_check_duration_seconds", "histogram", "check"),
    Row("health", "service_ready", "gauge"),
    Row("HTTP client", "http_client_requests_total", "counter", "method host status"),
    Row("HTTP client", "http_client_request_duration_seconds", "histogram", "method host"),
    Row("HTTP client", "http_client_requests_in_progress", "gauge", "host"),
    Row("application", "app_info", "gauge", "version"),
]
"""In the requirements' order."""

IN_PASSING = {
    "telegram_polling_errors_total",
    "http_client_disconnects_total",
    "http_client_errors_total",
    "health_check_failures_total",
}
"""Metrics of the same sets that no row is about."""
