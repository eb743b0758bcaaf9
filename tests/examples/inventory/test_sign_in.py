"""Signing in: the whole round by way of the issuer, fresh tokens for old ones, and what is counted when it goes wrong."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from contextlib import closing
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from examples.inventory.oidc import Oidc
from examples.inventory.standins.issuer import CLIENT_ID, CLIENT_SECRET, Issuer

EXCHANGE = "oidc_token_exchange_total"
REFRESH = "auth_token_refresh_total"


def fetch(url: str) -> tuple[int, str]:
    """Ask the issuer; the status, and where it sends us on to."""
    where = urlsplit(url)
    with closing(http.client.HTTPConnection(str(where.hostname), where.port, timeout=10)) as connection:
        connection.request("GET", f"{where.path}?{where.query}")
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Location", "")


def sign_in(members: FlaskClient):
    """The round that a browser makes."""
    to_issuer = members.get("/api/auth/login")
    assert to_issuer.status_code == 302
    status, back = fetch(to_issuer.headers["Location"])
    assert status == 302
    return members.get(f"{urlsplit(back).path}?{urlsplit(back).query}")


def test_after_the_round_one_is_known_and_can_leave(members: FlaskClient, metrics):
    answer = sign_in(members)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    cookies = answer.headers.getlist("Set-Cookie")
    assert all("HttpOnly" in cookie and "SameSite=Lax" in cookie for cookie in cookies if "_token=" in cookie)
    assert members.get("/api/me").get_json()["name"] == "Kim"
    assert metrics.delta(EXCHANGE, status="success") == 1
    assert members.post("/api/auth/logout").status_code == 204
    assert members.get("/api/me").status_code == 401


def test_the_issuer_is_told_no_more_than_it_must_know(members: FlaskClient):
    asked = parse_qs(urlsplit(members.get("/api/auth/login").headers["Location"]).query)
    assert asked["redirect_uri"] == ["http://localhost/api/auth/callback"]
    assert (asked["client_id"], asked["code_challenge_method"]) == ([CLIENT_ID], ["S256"])
    assert CLIENT_SECRET not in str(asked)


def test_a_code_works_once(members: FlaskClient, metrics):
    status, back = fetch(members.get("/api/auth/login").headers["Location"])
    kept = members.get_cookie("sign_in", path="/")
    path = f"{urlsplit(back).path}?{urlsplit(back).query}"
    assert (status, members.get(path).status_code) == (302, 302)
    members.set_cookie("sign_in", kept.value)
    assert members.get(path).status_code == 401
    assert metrics.delta(EXCHANGE, status="success") == 1
    assert metrics.delta(EXCHANGE, status="refused") == 1


@pytest.mark.parametrize("query", ["", "code=x", "state=x", "code=x&state=x", "error=access_denied"])
def test_a_sign_in_that_did_not_begin_here_reaches_no_issuer(members: FlaskClient, metrics, query):
    members.get("/api/auth/login")
    assert members.get(f"/api/auth/callback?{query}").status_code == 400
    assert metrics.delta(EXCHANGE) == 0


def test_when_the_access_token_has_gone_a_new_one_is_fetched_on_the_way(members: FlaskClient, metrics):
    sign_in(members)
    before = members.get_cookie("refresh_token").value
    members.delete_cookie("access_token")  # as browsers do when it has expired
    assert members.get("/api/me").status_code == 200
    assert metrics.delta(REFRESH, status="success") == 1
    assert members.get_cookie("refresh_token").value != before
    assert members.get("/api/me").status_code == 200
    assert metrics.delta(REFRESH) == 1


def test_a_refresh_token_that_was_used_up_is_refused(members: FlaskClient, metrics):
    sign_in(members)
    used = members.get_cookie("refresh_token").value
    members.delete_cookie("access_token")
    members.get("/api/me")
    members.delete_cookie("access_token")
    members.set_cookie("refresh_token", used)
    refused = members.get("/api/me")
    assert (refused.status_code, "sign in again" in refused.get_json()["error"]) == (401, True)
    assert metrics.delta(REFRESH, status="refused") == 1


def test_an_issuer_that_is_away_is_our_fault(connected: Callable[..., FlaskClient], metrics):
    with Issuer() as issuer:
        members = connected(oidc=Oidc(issuer.url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, timeout=1))
        sign_in(members)
    members.delete_cookie("access_token")
    assert members.get("/api/me").status_code == 502
    assert members.get("/api/auth/login").status_code == 502
    assert metrics.delta(REFRESH, status="error") == 1


def test_a_client_that_cannot_say_who_it_is_gets_nothing(connected: Callable[..., FlaskClient], login: Issuer, metrics):
    members = connected(oidc=Oidc(login.url, client_id=CLIENT_ID, client_secret="guessed"))
    assert sign_in(members).status_code == 401
    assert metrics.delta(EXCHANGE, status="refused") == 1


def test_the_issuer_sends_nobody_to_another_machine(login: Issuer):
    asked = "client_id=workshop-inventory&code_challenge_method=S256&code_challenge=x&state=x"
    assert fetch(f"{login.url}/authorize?{asked}&redirect_uri=https://evil.example/")[0] == 400
    assert fetch(f"{login.url}/authorize?{asked}")[0] == 400
    assert fetch(f"{login.url}/nowhere?")[0] == 404
