"""The client of a parts distributor: what can be bought, by keyword or by the distributor's part number. Publishes ``mouser_api_…``.

Promises: an error that the distributor reports inside an answer is an error here, too; its limit of calls is told to our own caller as "not
now" rather than as a failure. The HTTP API is Mouser's, version 1 (https://api.mouser.com/api/docs/ui/index).
"""

from __future__ import annotations

from typing import Any

from measurand import Counter, Histogram

from .errors import BusyError
from .outside import REASONS, CallError, Outside

KEYWORD, PART_NUMBER = "search_by_keyword", "search_by_part_number"
ENDPOINTS = [KEYWORD, PART_NUMBER]
REQUESTS = Counter(
    "mouser_api_requests_total",
    "Calls to the distributor's API, by how they went",
    ["endpoint", "status"],
    label_values={"endpoint": ENDPOINTS, "status": ["success", "failed", *REASONS]},
)
DURATION = Histogram(
    "mouser_api_duration_seconds",
    "Time of a call to the distributor's API, failed ones included",
    ["endpoint"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    label_values={"endpoint": ENDPOINTS},
)

SECONDS_UNTIL_THE_NEXT_CALL = 60  # the distributor counts calls by the minute


class Distributor:
    """One account with the distributor.

    Args:
        url: Where the API is, as ``https://api.mouser.com``.
        key: The API key.
        timeout: Seconds that an answer may take.
    """

    def __init__(self, url: str, *, key: str, timeout: float = 10) -> None:
        self._key = key
        self._outside = Outside("the distributor", url, timeout=timeout)

    def by_keyword(self, keyword: str, *, limit: int) -> list[dict[str, Any]]:
        """The first parts that a keyword finds. Raises ``UpstreamError`` or ``BusyError``."""
        wanted = {"SearchByKeywordRequest": {"keyword": keyword, "records": limit, "startingRecord": 0}}
        return self._search(KEYWORD, "/api/v1/search/keyword", wanted)

    def by_part_number(self, number: str) -> list[dict[str, Any]]:
        """The parts with a part number; mostly one or none. Raises ``UpstreamError`` or ``BusyError``."""
        return self._search(PART_NUMBER, "/api/v1/search/partnumber", {"SearchByPartRequest": {"mouserPartNumber": number}})

    def close(self) -> None:
        """Close the connections."""
        self._outside.close()

    def _search(self, endpoint: str, path: str, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        status = "failed"
        try:
            with DURATION.labels(endpoint).time():
                found = _read(self._outside.post(path, params={"apiKey": self._key}, json=wanted))
            status = "success"
        except CallError as reason:
            status = reason.reason
            if status == "rate_limited":
                raise BusyError(str(reason), retry_after=SECONDS_UNTIL_THE_NEXT_CALL) from reason
            raise
        finally:
            REQUESTS.labels(endpoint, status).inc()
        return found


def _read(answer: Any) -> list[dict[str, Any]]:
    try:
        if answer["Errors"]:
            raise CallError(f"the distributor refused the search: {answer['Errors'][0]['Message']}", "refused")
        return [
            {
                "part_number": part["MouserPartNumber"],
                "manufacturer": part["Manufacturer"],
                "manufacturer_code": part["ManufacturerPartNumber"],
                "description": part["Description"],
                "in_stock": int(part["AvailabilityInStock"] or 0),
                "prices": [{"from": step["Quantity"], "each": step["Price"]} for step in part["PriceBreaks"]],
            }
            for part in answer["SearchResults"]["Parts"]
        ]
    except (LookupError, TypeError, ValueError) as reason:
        raise CallError("the distributor answered what cannot be read", "invalid_answer") from reason


