"""Calls to services of other people: one client per service, with timeouts, and one set of words for what can go wrong.

Promises: no call waits longer than its timeout, redirects are not followed, and no proxy stands between us and this machine.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import httpx

from .errors import InvalidError, UpstreamError

MOST_CONNECTIONS = 10
# Why a call failed: no answer in time, none at all, 429, another status below 500, one from 500 on, and an answer that makes no sense.
REASONS = ("timeout", "unreachable", "rate_limited", "refused", "server_error", "invalid_answer")


class CallError(UpstreamError):
    """A call that failed. ``status`` of the answer stays 502; ``reason`` tells the cases apart.

    Args:
        message: Who did what.
        reason: One of ``REASONS``.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Outside:
    """One service elsewhere. Safe to use from many threads; close it at the end.

    Args:
        who: What it is called in messages.
        url: Where it is, as ``https://api.example.org``.
        timeout: Seconds that each step of a call (connecting, sending, each wait for bytes) may take.
        headers: Sent with every call.
    """

    def __init__(self, who: str, url: str, *, timeout: float, headers: dict[str, str] | None = None) -> None:
        self.who = who
        self.url = url.rstrip("/")
        where = httpx.URL(self.url)
        if where.scheme not in {"http", "https"} or not where.host:
            raise InvalidError(f"{url!r} is not the address of {who}; give one as https://api.example.org")
        self._client = httpx.Client(
            timeout=timeout,
            headers=headers,
            limits=httpx.Limits(max_connections=MOST_CONNECTIONS),
            trust_env=not _is_here(where.host),
            verify=where.scheme == "https",  # without TLS there is nothing to verify, and loading authorities takes its time
        )

    def get(self, path: str) -> Any:
        """The JSON that stands at a path. Raises ``CallError``."""
        return self._call("GET", path)

    def post(self, path: str, **what: Any) -> Any:
        """The JSON that is answered to ``json=``, ``data=`` (a form) and ``params=``. Raises ``CallError``."""
        return self._call("POST", path, **what)

    def close(self) -> None:
        """Close the pooled connections."""
        self._client.close()

    def _call(self, method: str, path: str, **what: Any) -> Any:
        try:
            answer = self._client.request(method, path if "://" in path else f"{self.url}{path}", **what)
        except httpx.TimeoutException as reason:
            raise CallError(f"{self.who} did not answer in time; try again later", "timeout") from reason
        except (httpx.HTTPError, httpx.InvalidURL) as reason:
            raise CallError(f"{self.who} cannot be reached; try again later", "unreachable") from reason
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise CallError(f"{self.who} has been asked too often; try again in a minute", "rate_limited")
        if answer.is_server_error:
            raise CallError(f"{self.who} failed with status {answer.status_code}; try again later", "server_error")
        if answer.status_code != httpx.codes.OK:
            raise CallError(f"{self.who} refused the request with status {answer.status_code}", "refused")
        try:
            return answer.json()
        except ValueError as reason:
            raise CallError(f"{self.who} answered what cannot be read", "invalid_answer") from reason


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
