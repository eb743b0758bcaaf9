"""A stand-in for an OpenID Connect issuer: discovery, keys, sign-in without a question, tokens with real RS256 signatures, key rotation.

Everybody who comes to ``/authorize`` is signed in as Kim, who is an administrator; programs (``client_credentials``) are no administrators.
Codes and refresh tokens work once. ``POST /rotate`` makes a new signing key at once; the one before stays published, older ones do not.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from .server import Answer, Asked, Standin

CLIENT_ID, CLIENT_SECRET = "workshop-inventory", "not-a-secret-in-a-demo"
KIM = {"sub": "kim", "name": "Kim", "roles": ["admin", "member"]}
SCANNER = {"sub": "scanner", "name": "Goods-in scanner", "roles": ["member"]}
PUBLISHED_KEYS = 2
MOST_GRANTS = 1000  # codes and refresh tokens that are remembered, each


class Issuer(Standin):
    """The issuer.

    Args:
        port: Where to listen; 0 for a free port.
        lifetime: Seconds that an access token is valid.
    """

    def __init__(self, port: int = 0, *, lifetime: int = 300) -> None:
        super().__init__(port)
        self.lifetime = lifetime
        self._lock = threading.Lock()
        self._keys: list[tuple[str, rsa.RSAPrivateKey]] = []
        self._codes: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._refresh_tokens: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self.rotate()

    def rotate(self) -> str:
        """Sign with a new key from now on; returns its id."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        key_id = secrets.token_hex(4)
        with self._lock:
            self._keys = [(key_id, key), *self._keys][:PUBLISHED_KEYS]
        return key_id

    def token(self, owner: dict[str, Any], **changed: Any) -> str:
        """An access token; ``changed`` claims make one that is not as it should be."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + self.lifetime} | owner | changed
        key_id, key = self._keys[0]
        return jwt.encode(claims, key, algorithm="RS256", headers={"kid": key_id})

    def answer(self, asked: Asked) -> Answer:
        match asked.method, asked.path:
            case "GET", "/.well-known/openid-configuration":
                return Answer(200, self._discovery())
            case "GET", "/jwks":
                return Answer(200, {"keys": [self._published(key_id, key) for key_id, key in self._keys]})
            case "GET", "/authorize":
                return self._authorize(asked.query)
            case "POST", "/token":
                return self._grant(asked.form())
            case "POST", "/rotate":
                return Answer(200, {"kid": self.rotate()})
        return Answer(404, {"error": "not_found"})

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    @staticmethod
    def _published(key_id: str, key: rsa.RSAPrivateKey) -> dict[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return {name: public[name] for name in ("kty", "n", "e")} | {"kid": key_id, "use": "sig", "alg": "RS256"}

    def _authorize(self, query: dict[str, str]) -> Answer:
        known = query.get("client_id") == CLIENT_ID and query.get("code_challenge_method") == "S256"
        if not known or urlsplit(query["redirect_uri"]).hostname not in {"127.0.0.1", "::1", "localhost"}:
            return Answer(400, {"error": "invalid_request"})
        code = secrets.token_urlsafe(16)
        with self._lock:
            _remember(self._codes, code, {"redirect_uri": query["redirect_uri"], "challenge": query["code_challenge"]})
        return Answer(302, headers={"Location": f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"})

    def _grant(self, form: dict[str, str]) -> Answer:
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return Answer(401, {"error": "invalid_client"})
        owner: dict[str, Any] | None = None
        with self._lock:
            match form["grant_type"]:
                case "client_credentials":
                    owner = SCANNER
                case "refresh_token":
                    owner = self._refresh_tokens.pop(form["refresh_token"], None)
                case "authorization_code":
                    begun = self._codes.pop(form["code"], None)
                    if begun and begun["redirect_uri"] == form["redirect_uri"] and begun["challenge"] == _challenge(form["code_verifier"]):
                        owner = KIM
            if owner is None:
                return Answer(400, {"error": "invalid_grant"})
            refresh = secrets.token_urlsafe(24)
            _remember(self._refresh_tokens, refresh, owner)
        answer = {"access_token": self.token(owner), "token_type": "Bearer", "expires_in": self.lifetime, "refresh_token": refresh}
        return Answer(200, answer)


def _remember(grants: OrderedDict[str, dict[str, Any]], key: str, value: dict[str, Any]) -> None:
    grants[key] = value
    while len(grants) > MOST_GRANTS:
        grants.popitem(last=False)


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
