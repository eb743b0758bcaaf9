"""The keys that an issuer signs its tokens with: fetched when needed, kept, fetched again when they change.
Publishes ``jwks_refresh_total``.

Promises: a key that was known stays in use while the issuer cannot be asked; tokens with made-up key ids make us ask the issuer at
most once per ``cooldown``. Safe to use from many threads; one asks, the others wait for it.
"""

from __future__ import annotations

import threading
import time

import jwt

from measurand import Counter

from .errors import UpstreamError
from .outside import CallError, Outside

REFRESH = Counter(
    "jwks_refresh_total",
    "Times that the issuer's keys were fetched, by why and how it went",
    ["trigger", "status"],
    label_values={"trigger": ["first_use", "expired", "unknown_key"], "status": ["success", "error"]},
)


class Jwks:
    """The keys of one issuer.

    Args:
        issuer: The issuer's service; its discovery document says where the keys are.
        max_age: Seconds after which keys are fetched again.
        cooldown: Seconds between two attempts, at least.
    """

    def __init__(self, issuer: Outside, *, max_age: float = 300, cooldown: float = 1) -> None:
        self._issuer = issuer
        self._max_age = max_age
        self._cooldown = cooldown
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._lock = threading.Lock()

    def key(self, key_id: str) -> jwt.PyJWK | None:
        """The key with this id; ``None`` when the issuer does not have it. Raises ``UpstreamError`` when no key was ever fetched."""
        with self._lock:
            if not self._keys:
                self._refresh("first_use")
            elif time.monotonic() - self._fetched_at > self._max_age:
                self._refresh("expired")
            if key_id not in self._keys:
                self._refresh("unknown_key")
            if not self._keys:
                raise UpstreamError("the issuer's keys cannot be fetched; try again later")
            return self._keys.get(key_id)

    def key_ids(self) -> list[str]:
        """The ids of the keys that are known now."""
        return sorted(self._keys)

    def _refresh(self, trigger: str) -> None:
        """Fetch the keys unless that was tried just now; a failure keeps those that are known."""
        now = time.monotonic()
        if now - self._tried_at < self._cooldown:
            return
        self._tried_at = now
        try:
            document = self._issuer.get(self._issuer.get("/.well-known/openid-configuration")["jwks_uri"])
            fetched = {key["kid"]: jwt.PyJWK(key) for key in document["keys"] if key.get("use", "sig") == "sig" and key["kty"] == "RSA"}
        except (CallError, LookupError, TypeError, jwt.PyJWTError):
            REFRESH.labels(trigger, "error").inc()
            return
        self._keys, self._fetched_at = fetched, now
        REFRESH.labels(trigger, "success").inc()
