"""Who has seen posts: an adapter of the port ``Audience`` to a service that counts readers, over HTTP.

It is asked ``GET /views/CHAT?messages=1,2,3`` and answers ``{"1": 40, "2": 7}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import httpx

from .errors import UnreachableError

TIMEOUT = 5


class HttpAudience:
    """A client of that service.

    Args:
        url: Where it is; ``None`` for nowhere: then nothing is known.
    """

    def __init__(self, url: str | None) -> None:
        self._client = None if url is None else httpx.Client(base_url=url, timeout=TIMEOUT, trust_env=False)

    def views(self, chat: int, messages: Sequence[int]) -> Mapping[int, int]:
        """See ``ports.Audience``."""
        if self._client is None:
            return {}
        try:
            answer = self._client.get(f"/views/{chat}", params={"messages": ",".join(map(str, messages))})
            answer.raise_for_status()
            return {int(message): int(views) for message, views in answer.json().items()}
        except (httpx.HTTPError, ValueError, AttributeError, TypeError) as reason:
            raise UnreachableError(f"who counts readers does not answer: {type(reason).__name__}") from reason

    def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            self._client.close()
