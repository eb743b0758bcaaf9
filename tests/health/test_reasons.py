"""Codes for what goes wrong, from real exceptions where the standard library makes them."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import urllib.error

import asyncpg
import kombu.exceptions
import pytest
import redis.exceptions
import sqlalchemy.exc

from measurand.health.reasons import Reason, reason_of
from tests.servers.process import free_port

pytestmark = pytest.mark.once


def caused(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


def in_context(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__context__ = inner
    return outer


class WithState(Exception):
    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


CASES = {
    "refused": (ConnectionRefusedError(), "connection_refused"),
    "reset": (ConnectionResetError(), "connection_lost"),
    "broken pipe": (BrokenPipeError(), "connection_lost"),
    "half an answer": (asyncio.IncompleteReadError(b"", 5), "connection_lost"),
    "no such name": (socket.gaierror(socket.EAI_NONAME, "secret.example"), "dns"),
    "certificate": (ssl.SSLCertVerificationError(), "tls"),
    "no route": (OSError(errno.EHOSTUNREACH, "no route"), "unreachable"),
    "network down": (OSError(errno.ENETUNREACH, "no network"), "unreachable"),
    "another number": (FileNotFoundError(errno.ENOENT, "no file"), "error"),
    "several attempts, put together": (OSError("Multiple exceptions: …"), "unavailable"),
    "socket timeout": (TimeoutError(), "timeout"),
    "urllib": (urllib.error.URLError(socket.gaierror(-2, "x")), "dns"),
    "anything": (ValueError("secret"), "error"),
    "exit": (SystemExit(1), "error"),
    "redis cannot connect": (in_context(redis.exceptions.ConnectionError(), ConnectionRefusedError()), "connection_refused"),
    "redis says nothing more": (redis.exceptions.ConnectionError(), "unavailable"),
    "redis password": (redis.exceptions.AuthenticationError(), "auth"),
    "redis rights": (redis.exceptions.NoPermissionError(), "auth"),
    "redis timeout": (redis.exceptions.TimeoutError(), "timeout"),
    "redis pool": (redis.exceptions.MaxConnectionsError(), "exhausted"),
    "pool of sqlalchemy": (sqlalchemy.exc.TimeoutError(), "exhausted"),
    "driver behind sqlalchemy": (sqlalchemy.exc.OperationalError("SELECT 1", {}, WithState("28P01")), "auth"),
    "driver says nothing more": (sqlalchemy.exc.OperationalError("SELECT 1", {}, Exception()), "unavailable"),
    "postgres password": (asyncpg.InvalidPasswordError(), "auth"),
    "postgres connections": (asyncpg.TooManyConnectionsError(), "exhausted"),
    "postgres statement timeout": (asyncpg.QueryCanceledError(), "timeout"),
    "another state": (WithState("42P01"), "error"),
    "broker": (caused(kombu.exceptions.OperationalError(), ConnectionRefusedError()), "connection_refused"),
    "one of a group": (ExceptionGroup("several", [ValueError(), ConnectionRefusedError()]), "connection_refused"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_exception_becomes_a_code(case: str) -> None:
    error, code = CASES[case]
    assert reason_of(error) == code


def test_a_context_that_was_cut_off_is_not_looked_at() -> None:
    error = in_context(ValueError(), ConnectionRefusedError())
    error.__suppress_context__ = True
    assert reason_of(error) is Reason.ERROR


def test_causes_in_a_circle_come_to_an_end() -> None:
    error = ValueError()
    assert reason_of(caused(error, caused(KeyError(), error))) is Reason.ERROR


def test_what_the_socket_library_raises_is_told_apart() -> None:
    with pytest.raises(OSError) as refused:  # noqa: PT011 - which one is the question
        socket.create_connection(("127.0.0.1", free_port()), timeout=30)
    assert reason_of(refused.value) is Reason.CONNECTION_REFUSED
    with pytest.raises(OSError) as unknown:  # noqa: PT011
        socket.getaddrinfo("name.invalid", 80)
    assert reason_of(unknown.value) is Reason.DNS


async def connect(host: str) -> None:
    await asyncio.open_connection(host, free_port())


def test_what_asyncio_raises_is_told_apart() -> None:
    with pytest.raises(OSError) as refused:  # noqa: PT011
        asyncio.run(connect("127.0.0.1"))
    assert reason_of(refused.value) is Reason.CONNECTION_REFUSED
