"""Datadog's client when it is told to add up counts before it sends them."""

from __future__ import annotations

from typing import ClassVar

from benchmarks.adapters import datadog


class Library(datadog.Library):
    title = "datadog, aggregating"
    order = 82
    groups = ("backends",)
    remarks: ClassVar = {}
    settings: ClassVar = {"disable_aggregation": False, "disable_buffering": False}
