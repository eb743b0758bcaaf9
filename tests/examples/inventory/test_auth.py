"""Tokens: only what the issuer really signed for this service gets in, and every check is counted by what came of it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import jwt
import pytest
from flask.testing import FlaskClient

from examples.inventory.errors import UnauthorizedError, UpstreamError
from examples.inventory.jwks import Jwks
from examples.inventory.oidc import Oidc
from examples.inventory.outside import Outside
from examples.inventory.standins.issuer import KIM, SCANNER, Issuer
from tests.support import wait_until

VALIDATION = "auth_validation_total"
SECONDS = "auth_validation_duration_seconds_count"
REFRESH = "jwks_refresh_total"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def encoded(**content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@contextmanager
def keys_of(issuer: Issuer, **how: float) -> Iterator[Jwks]:
    with closing(Outside("the issuer", issuer.url, timeout=2)) as outside:
        yield Jwks(outside, **how)


def test_a_token_of_the_issuer_gets_in(members: FlaskClient, login: Issuer, metrics):
    answer = members.get("/api/me", headers=bearer(login.token(KIM)))
    assert answer.get_json() == {"subject": "kim", "name": "Kim", "roles": ["admin", "member"]}
    assert metrics.delta(VALIDATION, status="success") == 1
    assert metrics.delta(VALIDATION) == 1
    assert metrics.delta(SECONDS) == 1


def test_what_is_for_administrators_is_for_nobody_else(members: FlaskClient, login: Issuer, metrics):
    assert members.get("/api/admin/status", headers=bearer(login.token(KIM))).get_json()["listeners"] == 0
    refused = members.get("/api/admin/status", headers=bearer(login.token(SCANNER)))
    assert (refused.status_code, refused.get_json()["error"]) == (403, "this needs the role 'admin'")
    assert metrics.delta(VALIDATION, status="success") == 2  # they are who they say


def unsigned(login: Issuer) -> str:
    _, claims, _ = login.token(KIM).split(".")
    return f"{encoded(alg='none', typ='JWT', kid='any')}.{claims}."


def confused(login: Issuer) -> str:
    """Signed with the public key as if it were a shared secret."""
    header, claims, _ = login.token(KIM).split(".")
    kid = jwt.get_unverified_header(login.token(KIM))["kid"]
    stolen = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signed = f"{encoded(alg='HS256', typ='JWT', kid=kid)}.{claims}"
    return f"{signed}.{base64.urlsafe_b64encode(stolen.sign(signed.encode(), header.encode())).decode().rstrip('=')}"


def another_key(login: Issuer) -> str:
    with Issuer() as stranger:
        return stranger.token(KIM, iss=login.url)


def tampered(login: Issuer) -> str:
    header, _, signature = login.token(SCANNER).split(".")
    _, claims, _ = login.token(KIM).split(".")
    return f"{header}.{claims}.{signature}"


@pytest.mark.parametrize(
    ("forged", "status"),
    [
        (unsigned, "unknown_key"),
        (confused, "bad_signature"),
        (another_key, "unknown_key"),
        (tampered, "bad_signature"),
        (lambda login: login.token(KIM, exp=int(time.time()) - 10), "expired"),
        (lambda login: login.token(KIM, aud="another-service"), "bad_claims"),
        (lambda login: login.token(KIM, iss="http://127.0.0.1:1"), "bad_claims"),
        (lambda login: login.token({"name": "Nobody"}), "bad_claims"),
        (lambda login: login.token(KIM, nbf=int(time.time()) + 1000), "bad_claims"),
        (lambda _login: "not.a.token", "malformed"),
        (lambda _login: "x" * 10_000, "malformed"),
        (lambda login: login.token(KIM).rpartition(".")[0] + ".AAAA", "bad_signature"),
    ],
)
def test_a_token_that_is_not_as_it_should_be_is_refused_and_counted_by_why(
    members: FlaskClient, login: Issuer, metrics, forged: Callable[[Issuer], str], status: str
):
    answer = members.get("/api/me", headers=bearer(forged(login)))
    assert answer.status_code == 401
    assert answer.get_json()["error"]
    assert metrics.delta(VALIDATION, status=status) == 1
    assert metrics.delta(VALIDATION) == 1
    assert metrics.delta(SECONDS) == 1


@pytest.mark.parametrize("headers", [{}, {"Authorization": ""}, {"Authorization": "Bearer "}, {"Authorization": "Basic a2ltOmtpbQ=="}])
def test_no_token_at_all_is_counted_as_missing(members: FlaskClient, metrics, headers):
    answer = members.get("/api/me", headers=headers)
    assert (answer.status_code, "sign in at /api/auth/login" in answer.get_json()["error"]) == (401, True)
    assert metrics.delta(VALIDATION, status="missing") == 1


def test_keys_are_fetched_once_and_used_for_all_tokens(oidc: Oidc, login: Issuer, metrics):
    for _ in range(3):
        oidc.verifier.verify(login.token(KIM))
    assert metrics.delta(REFRESH, trigger="first_use", status="success") == 1
    assert metrics.delta(REFRESH) == 1


def test_a_new_key_is_fetched_when_a_token_needs_it_and_the_old_one_stays_good(login: Issuer, metrics):
    old = jwt.get_unverified_header(login.token(KIM))["kid"]
    with keys_of(login, cooldown=0) as keys:
        assert keys.key(old) is not None
        assert keys.key(login.rotate()) is not None
        assert keys.key(old) is not None
        assert len(keys.key_ids()) == 2
    assert metrics.delta(REFRESH, trigger="unknown_key", status="success") == 1
    assert metrics.delta(REFRESH) == 2


def test_made_up_key_ids_make_us_ask_once_in_a_while_only(login: Issuer, metrics):
    with keys_of(login, cooldown=3600) as keys:
        assert [keys.key(f"made-up-{number}") for number in range(50)] == [None] * 50
    assert metrics.delta(REFRESH) == 1


def test_keys_that_are_too_old_are_fetched_again(login: Issuer, metrics):
    key_id = jwt.get_unverified_header(login.token(KIM))["kid"]
    with keys_of(login, max_age=0, cooldown=0) as keys:
        assert keys.key(key_id) is not None
        wait_until(lambda: keys.key(key_id) and metrics.delta(REFRESH, trigger="expired", status="success"))
    assert metrics.delta(REFRESH, trigger="first_use") == 1


def test_known_keys_stay_in_use_while_the_issuer_is_away(metrics):
    with ExitStack() as stack:
        with Issuer() as issuer:
            keys = stack.enter_context(keys_of(issuer, max_age=0, cooldown=0))
            key_id = jwt.get_unverified_header(issuer.token(KIM))["kid"]
            assert keys.key(key_id) is not None
        wait_until(lambda: keys.key(key_id) and metrics.delta(REFRESH, trigger="expired", status="error"))
        assert keys.key(key_id) is not None


def test_without_any_keys_nobody_gets_in_and_that_is_our_fault(metrics):
    with Issuer() as issuer:
        token = issuer.token(KIM)
    gone = Oidc(issuer.url, client_id="x", client_secret="x", timeout=1)
    with pytest.raises(UpstreamError, match="keys cannot be fetched"):
        gone.verifier.verify(token)
    gone.close()
    assert metrics.delta(VALIDATION, status="no_keys") == 1
    assert metrics.delta(REFRESH, trigger="first_use", status="error") == 1


def test_a_refusal_says_nothing_of_what_the_token_contains(oidc: Oidc, login: Issuer):
    with pytest.raises(UnauthorizedError) as caught:
        oidc.verifier.verify(login.token(KIM | {"email": "kim@example.org"}, aud="elsewhere"))
    assert "kim" not in str(caught.value)


def test_the_published_keys_are_public(login: Issuer):
    with closing(Outside("the issuer", login.url, timeout=5)) as outside:
        keys = outside.get("/jwks")["keys"]
    assert [set(key) for key in keys] == [{"kty", "n", "e", "kid", "use", "alg"}] * len(keys)
    assert keys


def test_where_no_issuer_is_configured_that_is_said(client: FlaskClient):
    answer = client.get("/api/me", headers=bearer("x"))
    assert (answer.status_code, "set OIDC_ISSUER" in answer.get_json()["error"]) == (501, True)
