"""p50, p95 and p99 of this service's requests, for people who have a browser and no query language; whichever worker is asked."""

from __future__ import annotations

from math import isnan
from typing import Any

from fastapi import APIRouter

from measurand import REGISTRY, Histogram

routes = APIRouter()

DURATIONS = "http_request_duration_seconds"
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@routes.get("/v1/latency")
def latencies() -> dict[str, Any]:
    """Seconds within which 50, 95 and 99 of a hundred requests were answered, since the start."""
    histogram = REGISTRY.find(DURATIONS)
    if not isinstance(histogram, Histogram):
        return {"unit": "seconds", "all": None, "endpoints": []}
    counts = {
        (sample.labels["method"], sample.labels["endpoint"]): sample.value
        for family in REGISTRY.restricted_registry([f"{DURATIONS}_count"]).collect()
        for sample in family.samples
        if sample.name.endswith("_count")
    }
    rows = [{"method": key[0], "endpoint": key[1], **_summary(histogram.labels(*key), counts[key])} for key in sorted(counts)]
    return {"unit": "seconds", "all": _summary(histogram, sum(counts.values())), "endpoints": rows}


def _summary(histogram: Any, count: float) -> dict[str, Any]:
    values = {name: histogram.quantile(q) for name, q in QUANTILES.items()}
    return {"requests": int(count), **{name: None if isnan(value) else round(value, 6) for name, value in values.items()}}
