"""Whether a bearer token is what it claims to be. Publishes everything called ``auth_validation_…``.

Promises: only RS256 is accepted, whatever a token says about itself; issuer, audience, expiry and subject are required; every check is
counted by its outcome. The messages say what is wrong and nothing of what the token contains.
"""

from __future__ import annotations

from dataclasses import dataclass

import jwt

from measurand import Counter, Histogram

from .errors import ForbiddenError, UnauthorizedError
from .jwks import Jwks

VALIDATION = Counter(
    "auth_validation_total",
    "Tokens checked, by outcome",
    ["status"],
    label_values={"status": ["success", "missing", "malformed", "expired", "unknown_key", "bad_signature", "bad_claims", "no_keys"]},
)
VALIDATION_DURATION = Histogram(
    "auth_validation_duration_seconds",
    "Time to check a token, with fetching the issuer's keys where that was needed",
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
)
# What PyJWT raises, the most special first: how it is counted, and what the caller is told.
REFUSALS = {
    jwt.ExpiredSignatureError: ("expired", "the token has expired; get a new one"),
    jwt.InvalidSignatureError: ("bad_signature", "the signature of the token is wrong"),
    jwt.InvalidAlgorithmError: ("bad_signature", "the token is not signed with RS256"),
    jwt.DecodeError: ("malformed", "the token cannot be read"),
    jwt.PyJWTError: ("bad_claims", "the token is not meant for this service, or lacks a claim"),
}


@dataclass(frozen=True)
class Identity:
    """Who a token belongs to."""

    subject: str
    name: str
    roles: frozenset[str]

    def require(self, role: str) -> None:
        """Raise ``ForbiddenError`` unless the owner has a role."""
        if role not in self.roles:
            raise ForbiddenError(f"this needs the role {role!r}")


class Verifier:
    """Checks tokens of one issuer for one audience. Safe to use from many threads."""

    def __init__(self, keys: Jwks, *, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    def verify(self, token: str | None) -> Identity:
        """The owner of a token.

        Raises:
            UnauthorizedError: There is no token, or it is not valid (any longer).
            UpstreamError: The issuer's keys were never fetched.
        """
        status = "no_keys"
        try:
            with VALIDATION_DURATION.time():
                if not token:
                    raise _Refused("missing", "send a token: Authorization: Bearer …, or sign in at /api/auth/login")
                identity = self._checked(token)
            status = "success"
        except _Refused as reason:
            status = reason.status
            raise UnauthorizedError(str(reason)) from reason
        finally:
            VALIDATION.labels(status).inc()
        return identity

    def _checked(self, token: str) -> Identity:
        try:
            key = self._keys.key(str(jwt.get_unverified_header(token).get("kid")))
            if key is None:
                raise _Refused("unknown_key", "the token is signed with a key that its issuer does not have")
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._audience,
                issuer=self._issuer,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as reason:
            status, message = next(says for kind, says in REFUSALS.items() if isinstance(reason, kind))
            raise _Refused(status, message) from reason
        roles = claims.get("roles")
        subject, name = claims["sub"], str(claims.get("name", claims["sub"]))
        return Identity(subject, name, frozenset(map(str, roles)) if isinstance(roles, list) else frozenset())


class _Refused(Exception):
    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


