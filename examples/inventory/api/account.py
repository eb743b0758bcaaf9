"""Routes of people: signing in and out, who one is, and what only an administrator may see."""

from __future__ import annotations

import hmac

from flask import Blueprint, Response, after_this_request, redirect, request, url_for
from flask.typing import ResponseReturnValue

from ..auth import Identity
from ..errors import InvalidError
from ..events import listeners
from ..oidc import Attempt, Tokens
from .common import features, oidc

routes = Blueprint("account", __name__, url_prefix="/api")

ACCESS, REFRESH, ATTEMPT = "access_token", "refresh_token", "sign_in"
SECONDS_TO_SIGN_IN = 600
SECONDS_TO_STAY = 30 * 24 * 3600


def identity() -> Identity:
    """Whose request this is: by its bearer token, else by its cookies; an access token that has gone is replaced on the way.

    Raises ``UnauthorizedError``, or ``UpstreamError`` when the issuer is needed and does not answer.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return oidc().verifier.verify(token.strip())
    access, refresh = request.cookies.get(ACCESS), request.cookies.get(REFRESH)
    if refresh and not access:  # browsers drop the access token's cookie when it expires
        tokens = oidc().refresh(refresh)
        access = tokens.access

        @after_this_request
        def keep(answer: Response) -> Response:
            return _keep(answer, tokens)

    return oidc().verifier.verify(access)


@routes.get("/me")
def me() -> ResponseReturnValue:
    """Who you are, by your token."""
    owner = identity()
    return {"subject": owner.subject, "name": owner.name, "roles": sorted(owner.roles)}


@routes.get("/admin/status")
def status() -> ResponseReturnValue:
    """What goes on inside; for administrators."""
    identity().require("admin")
    return {"listeners": listeners(), "signing_keys": oidc().keys.key_ids(), "features": features()}


@routes.get("/auth/login")
def login() -> ResponseReturnValue:
    """Sign in: off to the issuer."""
    where, attempt = oidc().begin(url_for("account.callback", _external=True))
    answer = redirect(where)
    _cookie(answer, ATTEMPT, f"{attempt.state}.{attempt.verifier}", SECONDS_TO_SIGN_IN)
    return answer


@routes.get("/auth/callback")
def callback() -> ResponseReturnValue:
    """Where the issuer sends a visitor back to."""
    state, _, verifier = request.cookies.get(ATTEMPT, "").partition(".")
    code = request.args.get("code", "")
    if not (state and code and hmac.compare_digest(state.encode(), request.args.get("state", "").encode())):
        raise InvalidError("this sign-in did not begin here, or was given up; begin again at /api/auth/login")
    tokens = oidc().exchange(code, Attempt(state, verifier), url_for("account.callback", _external=True))
    answer = redirect("/")
    answer.delete_cookie(ATTEMPT)
    return _keep(answer, tokens)


@routes.post("/auth/logout")
def logout() -> ResponseReturnValue:
    """Sign out."""
    answer = Response(status=204)
    answer.delete_cookie(ACCESS)
    answer.delete_cookie(REFRESH)
    return answer


def _keep(answer: Response, tokens: Tokens) -> Response:
    _cookie(answer, ACCESS, tokens.access, tokens.lifetime)
    _cookie(answer, REFRESH, tokens.refresh, SECONDS_TO_STAY)
    return answer


def _cookie(answer: Response, name: str, value: str, seconds: int) -> None:
    answer.set_cookie(name, value, max_age=seconds, httponly=True, samesite="Lax", secure=request.is_secure)
