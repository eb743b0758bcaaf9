"""Table A of the requirements as data: every metric of this service with its type and its labels, and who publishes it.

The names stand here once more on purpose: a test that read them from the code could not notice a wrong one.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One metric."""

    publisher: str
    name: str
    kind: str
    labels: tuple[str, ...]


def _rows(publisher: str, kind: str, *names: str) -> list[Row]:
    """Names as the requirements write them: ``name`` or ``name{label, label}``."""
    rows = []
    for name in names:
        bare, _, labels = name.rstrip("}").partition("{")
        rows.append(Row(publisher, bare, kind, tuple(filter(None, labels.replace(" ", "").split(",")))))
    return rows


BY_MODEL = "model, verbosity, reasoning_effort"

TABLE = [
    *_rows("inventory", "counter", "inventory_quantity_changes_total{operation}"),
    *_rows(
        "dashboard",
        "gauge",
        "inventory_total_parts",
        "inventory_total_quantity",
        "inventory_low_stock_parts",
        "inventory_parts_without_docs",
        "inventory_recent_changes_7d",
        "inventory_recent_changes_30d",
        "inventory_box_utilization_percent{box_no}",
        "inventory_total_boxes",
        "inventory_parts_by_type{type_name}",
    ),
    *_rows(
        "kits",
        "counter",
        "kits_created_total",
        "kits_archived_total",
        "kits_unarchived_total",
        "kits_overview_requests_total{status}",
        "kit_detail_views_total",
        "kit_content_mutations_total{action}",
    ),
    *_rows("kits", "gauge", "kits_active_count", "kits_archived_count"),
    *_rows("kits", "histogram", "kit_content_update_duration_seconds"),
    *_rows(
        "pick_lists",
        "counter",
        "pick_list_created_total",
        "pick_list_line_picked_total",
        "pick_list_line_undo_total{outcome}",
        "pick_list_detail_requests_total",
        "pick_list_list_requests_total",
        "pick_list_line_quantity_updated_total",
    ),
    *_rows(
        "pick_lists",
        "histogram",
        "pick_list_lines_per_creation",
        "pick_list_line_undo_duration_seconds",
        "pick_list_line_quantity_delta",
    ),
    *_rows("pick_list_pdf", "counter", "pick_list_pdf_generated_total"),
    *_rows(
        "pick_list_pdf",
        "histogram",
        "pick_list_pdf_line_count",
        "pick_list_pdf_box_count",
        "pick_list_pdf_generation_duration_seconds{status}",
    ),
    *_rows(
        "kit_shopping",
        "counter",
        "kit_shopping_list_push_total{outcome, honor_reserved}",
        "kit_shopping_list_unlink_total{outcome}",
    ),
    *_rows("kit_shopping", "histogram", "kit_shopping_list_push_seconds{honor_reserved}"),
    *_rows(
        "shopping_lines",
        "counter",
        "shopping_list_lines_marked_ordered_total{mode}",
        "shopping_list_lines_received_total",
        "shopping_list_receive_quantity_total",
    ),
    *_rows("events", "counter", "sse_gateway_connections_total{action}", "sse_gateway_events_sent_total{service, status}"),
    *_rows("events", "histogram", "sse_gateway_send_duration_seconds{service}"),
    *_rows("events", "gauge", "sse_gateway_active_connections"),
    *_rows("auth", "counter", "auth_validation_total{status}"),
    *_rows("auth", "histogram", "auth_validation_duration_seconds"),
    *_rows("jwks", "counter", "jwks_refresh_total{trigger, status}"),
    *_rows("oidc", "counter", "oidc_token_exchange_total{status}", "auth_token_refresh_total{status}"),
    *_rows(
        "ai_analysis",
        "counter",
        f"ai_analysis_requests_total{{status, {BY_MODEL}}}",
        f"ai_analysis_tokens_total{{type, {BY_MODEL}}}",
        f"ai_analysis_cost_dollars_total{{{BY_MODEL}}}",
    ),
    *_rows("ai_analysis", "histogram", f"ai_analysis_duration_seconds{{{BY_MODEL}}}"),
    *_rows("duplicates", "counter", "ai_duplicate_search_requests_total{outcome}"),
    *_rows("duplicates", "histogram", "ai_duplicate_search_duration_seconds", "ai_duplicate_search_matches_found{confidence}"),
    *_rows("duplicates", "gauge", "ai_duplicate_search_parts_dump_size"),
    *_rows("distributor", "counter", "mouser_api_requests_total{endpoint, status}"),
    *_rows("distributor", "histogram", "mouser_api_duration_seconds{endpoint}"),
    *_rows("api.parts", "counter", "part_kit_usage_requests_total{has_results}"),
    *_rows("the library", "gauge", "active_tasks_at_shutdown", "application_shutting_down"),
    *_rows("the library", "histogram", "graceful_shutdown_duration_seconds"),
]
