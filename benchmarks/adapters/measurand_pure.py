"""measurand on its pure-Python core."""

from __future__ import annotations

from typing import ClassVar

from benchmarks.adapters import measurand


class Library(measurand.Library):
    title = "measurand, pure Python"
    order = 1
    environment: ClassVar = {"MEASURAND_PURE": "1"}
