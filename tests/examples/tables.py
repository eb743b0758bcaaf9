"""The requirements' metrics in the requirements' order and notation: ``name``, or ``name{label, label}``, after its type."""

from __future__ import annotations

import re
from typing import NamedTuple


class Required(NamedTuple):
    """One metric."""

    name: str
    kind: str
    labels: frozenset[str]


def required(text: str) -> list[Required]:
    """Read that notation: a line for each publisher, which is not part of it; what says no type has the one before."""
    found, kind = [], ""
    for said, name, labels in re.findall(r"(?:\b(counters?|gauges?|histograms?) )?\b([a-z0-9_]+_[a-z0-9_]+)(?:\{([^}]*)\})?", text):
        kind = said.rstrip("s") or kind
        found.append(Required(name, kind, frozenset(labels.replace(",", " ").split())))
    return found


BY_MODEL = "model, verbosity, reasoning_effort"

INVENTORY = required(f"""
counter inventory_quantity_changes_total{{operation}}
gauges inventory_total_parts, inventory_total_quantity, inventory_low_stock_parts, inventory_parts_without_docs,
    inventory_recent_changes_7d, inventory_recent_changes_30d, inventory_box_utilization_percent{{box_no}}, inventory_total_boxes,
    inventory_parts_by_type{{type_name}}
counters kits_created_total, kits_archived_total, kits_unarchived_total, kits_overview_requests_total{{status}},
    gauges kits_active_count, kits_archived_count, counters kit_detail_views_total, kit_content_mutations_total{{action}},
    histogram kit_content_update_duration_seconds
counter pick_list_created_total, histogram pick_list_lines_per_creation, counters pick_list_line_picked_total,
    pick_list_line_undo_total{{outcome}}, histogram pick_list_line_undo_duration_seconds, counters pick_list_detail_requests_total,
    pick_list_list_requests_total, pick_list_line_quantity_updated_total, histogram pick_list_line_quantity_delta
counter pick_list_pdf_generated_total, histograms pick_list_pdf_line_count, pick_list_pdf_box_count,
    pick_list_pdf_generation_duration_seconds{{status}}
counter kit_shopping_list_push_total{{outcome, honor_reserved}}, histogram kit_shopping_list_push_seconds{{honor_reserved}},
    counter kit_shopping_list_unlink_total{{outcome}}
counters shopping_list_lines_marked_ordered_total{{mode}}, shopping_list_lines_received_total, shopping_list_receive_quantity_total
counters sse_gateway_connections_total{{action}}, sse_gateway_events_sent_total{{service, status}},
    histogram sse_gateway_send_duration_seconds{{service}}, gauge sse_gateway_active_connections
counter auth_validation_total{{status}}, histogram auth_validation_duration_seconds, counters jwks_refresh_total{{trigger, status}},
    oidc_token_exchange_total{{status}}, auth_token_refresh_total{{status}}
counter ai_analysis_requests_total{{status, {BY_MODEL}}}, histogram ai_analysis_duration_seconds{{{BY_MODEL}}},
    counters ai_analysis_tokens_total{{type, {BY_MODEL}}}, ai_analysis_cost_dollars_total{{{BY_MODEL}}}
counter ai_duplicate_search_requests_total{{outcome}}, histograms ai_duplicate_search_duration_seconds,
    ai_duplicate_search_matches_found{{confidence}}, gauge ai_duplicate_search_parts_dump_size
counter mouser_api_requests_total{{endpoint, status}}, histogram mouser_api_duration_seconds{{endpoint}}
counter part_kit_usage_requests_total{{has_results}}
gauges active_tasks_at_shutdown, application_shutting_down, histogram graceful_shutdown_duration_seconds
""")

GOVERNANCE = required("""
gauge uptime_seconds, counter service_starts_total
histogram http_request_duration_seconds{method, endpoint}
counters http_requests_total{method, endpoint, status}, http_requests_failed_total{method, endpoint, status, error_type}
""")
"""What is fixed by name; what is counted of the constitution the example names itself."""

CHANNELBOT = required("""
counters http_requests_total{method, endpoint, status}, http_requests_failed_total{method, endpoint, status, error_type},
    histogram http_request_duration_seconds{method, endpoint}, gauge http_requests_in_progress{method}
counter telegram_api_requests_total{api_method, status}, histogram telegram_api_request_duration_seconds{api_method}
counter telegram_updates_total{update_type, outcome}, histograms telegram_update_duration_seconds{update_type},
    telegram_handler_duration_seconds{handler}, counter telegram_flood_waits_total, histogram telegram_retry_after_seconds
gauges system_memory_percent, system_cpu_percent, system_disk_percent{path}
counter db_queries_total{operation, status}, histogram db_query_duration_seconds{operation}, gauges db_connections{pool, state},
    db_pool_size{pool}, db_pool_overflow{pool}, histogram db_pool_wait_seconds{pool}, counter db_pool_timeouts_total{pool},
    histogram db_connection_use_seconds{pool}
counters celery_tasks_published_total{task, queue}, celery_tasks_total{task, queue, state}, celery_tasks_failed_total{task, error_type},
    histograms celery_task_duration_seconds{task, state}, celery_task_queue_wait_seconds{queue}, gauges celery_tasks_in_progress{queue},
    celery_queue_length{queue}, celery_workers{queue}
gauges business_channels, business_users, business_scheduled_posts, counters business_posts_sent_total{status},
    business_post_view_updates_total
gauge health_check_status{check}, histogram health_check_duration_seconds{check}
gauge app_info{version}
""")
