"""Signing in with OpenID Connect: the authorization code flow with PKCE, and fresh tokens for old ones.
Publishes ``oidc_token_exchange_total`` and ``auth_token_refresh_total``.

Promises: a code or a refresh token that the issuer turns down is the visitor's problem (401); an issuer that fails is ours (502).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from measurand import Counter

from .auth import Verifier
from .errors import UnauthorizedError
from .jwks import Jwks
from .outside import CallError, Outside

STATUSES = ["success", "refused", "error"]
TOKEN_EXCHANGE = Counter(
    "oidc_token_exchange_total", "Authorization codes exchanged for tokens, by outcome", ["status"], label_values={"status": STATUSES}
)
TOKEN_REFRESH = Counter(
    "auth_token_refresh_total", "Refresh tokens exchanged for new tokens, by outcome", ["status"], label_values={"status": STATUSES}
)


@dataclass(frozen=True)
class Tokens:
    """What the issuer gave out."""

    access: str
    refresh: str
    lifetime: int  # of the access token, in seconds


@dataclass(frozen=True)
class Attempt:
    """A sign-in that has begun; the visitor's browser keeps it in a cookie until the issuer sends it back."""

    state: str
    verifier: str


class Oidc:
    """This service as a client of one issuer.

    Args:
        issuer: Its URL, as it stands in the tokens.
        client_id: Who we are; also the audience of the tokens.
        client_secret: How we show it.
        timeout: Seconds that the issuer may take to answer.
    """

    def __init__(self, issuer: str, *, client_id: str, client_secret: str, timeout: float = 5) -> None:
        self._issuer = Outside("the issuer", issuer, timeout=timeout)
        self._client = {"client_id": client_id, "client_secret": client_secret}
        self.keys = Jwks(self._issuer)
        self.verifier = Verifier(self.keys, issuer=self._issuer.url, audience=client_id)

    def begin(self, redirect_uri: str) -> tuple[str, Attempt]:
        """Where to send a visitor, and what to remember of it. Raises ``CallError``."""
        attempt = Attempt(secrets.token_urlsafe(16), secrets.token_urlsafe(48))
        digest = hashlib.sha256(attempt.verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self._client["client_id"],
            "redirect_uri": redirect_uri,
            "scope": "openid profile offline_access",
            "state": attempt.state,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        return f"{self._endpoint('authorization_endpoint')}?{urlencode(asked)}", attempt

    def exchange(self, code: str, attempt: Attempt, redirect_uri: str) -> Tokens:
        """Tokens for the code that the issuer sent the visitor back with. Raises ``UnauthorizedError`` or ``CallError``."""
        asked = {"code": code, "redirect_uri": redirect_uri, "code_verifier": attempt.verifier}
        return self._tokens(TOKEN_EXCHANGE, "authorization_code", asked)

    def refresh(self, refresh_token: str) -> Tokens:
        """New tokens for a refresh token, which is used up by this. Raises ``UnauthorizedError`` or ``CallError``."""
        return self._tokens(TOKEN_REFRESH, "refresh_token", {"refresh_token": refresh_token})

    def close(self) -> None:
        """Close the connections."""
        self._issuer.close()

    def _endpoint(self, name: str) -> str:
        try:
            return str(self._issuer.get("/.well-known/openid-configuration")[name])
        except (LookupError, TypeError) as reason:
            raise CallError("the issuer answered what cannot be read", "invalid_answer") from reason

    def _tokens(self, counter: Counter, grant: str, asked: dict[str, str]) -> Tokens:
        status = "error"
        try:
            answer: Any = self._issuer.post(self._endpoint("token_endpoint"), data=self._client | {"grant_type": grant} | asked)
            tokens = Tokens(str(answer["access_token"]), str(answer["refresh_token"]), int(answer["expires_in"]))
            status = "success"
        except CallError as reason:
            if reason.reason != "refused":
                raise
            status = "refused"
            raise UnauthorizedError("the issuer did not accept this; sign in again at /api/auth/login") from reason
        except (LookupError, TypeError, ValueError) as reason:
            raise CallError("the issuer answered what cannot be read", "invalid_answer") from reason
        finally:
            counter.labels(status).inc()
        return tokens
