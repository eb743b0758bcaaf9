"""A stand-in for a parts distributor: Mouser's search API over a small catalogue, with its limit of calls a minute."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from .server import Answer, Asked, Standin

KEY = "standin-key"
CALLS, SECONDS = 30, 60.0  # what the real one allows
KINDS = ("Resistor", "Capacitor", "Microcontroller", "Sensor", "Connector", "Bolt")
GRADES = ("standard", "precision", "miniature", "high temperature", "low noise", "automotive")


class DistributorStandin(Standin):
    """The distributor.

    Args:
        port: Where to listen; 0 for a free port.
        calls: Calls allowed in each window.
        window: Its length in seconds.
    """

    def __init__(self, port: int = 0, *, calls: int = CALLS, window: float = SECONDS) -> None:
        super().__init__(port)
        self._calls = calls
        self._window = window
        self._recent: deque[float] = deque()
        self._lock = threading.Lock()

    def answer(self, asked: Asked) -> Answer:
        if asked.method != "POST":
            return Answer(405)
        if asked.query.get("apiKey") != KEY:
            return Answer(200, _refused("API Key", "Invalid unique identifier."))
        if self._is_too_often():
            return Answer(429, _refused("", "Maximum calls per minute exceeded."))
        match asked.path:
            case "/api/v1/search/keyword":
                wanted = asked.json()["SearchByKeywordRequest"]
                words = wanted["keyword"].lower().split()
                found = [part for part in CATALOGUE if all(word in part["Description"].lower() for word in words)]
                page = found[wanted["startingRecord"] : wanted["startingRecord"] + wanted["records"]]
            case "/api/v1/search/partnumber":
                number = asked.json()["SearchByPartRequest"]["mouserPartNumber"]
                page = found = [part for part in CATALOGUE if number in {part["MouserPartNumber"], part["ManufacturerPartNumber"]}]
            case _:
                return Answer(404)
        return Answer(200, {"Errors": [], "SearchResults": {"NumberOfResult": len(found), "Parts": page}})

    def _is_too_often(self) -> bool:
        now = time.monotonic()
        with self._lock:
            while self._recent and self._recent[0] <= now - self._window:
                self._recent.popleft()
            if len(self._recent) >= self._calls:
                return True
            self._recent.append(now)
            return False


def _refused(where: str, why: str) -> dict[str, Any]:
    return {"Errors": [{"Id": 0, "Code": "Invalid", "Message": why, "PropertyName": where}], "SearchResults": None}


def _part(number: int, kind: str, grade: str) -> dict[str, Any]:
    code = f"{kind[:3].upper()}-{1000 + number}"
    return {
        "MouserPartNumber": f"{100 + number}-{code}",
        "ManufacturerPartNumber": code,
        "Manufacturer": ("Northern Parts", "Tiny Works", "Old Reliable")[number % 3],
        "Description": f"{kind}, {grade}",
        "AvailabilityInStock": str(number * 137 % 5000),
        "PriceBreaks": [{"Quantity": pieces, "Price": f"${0.9 / pieces**0.2:.3f}", "Currency": "USD"} for pieces in (1, 10, 100)],
    }


CATALOGUE = [_part(number, kind, grade) for number, (kind, grade) in enumerate((kind, grade) for kind in KINDS for grade in GRADES)]
