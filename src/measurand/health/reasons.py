"""Why a check failed, as one of few codes.

A code is all that a response or a label ever shows of a failure: the text of an exception names hosts, users and sometimes passwords.
Libraries that are not imported here are recognised by the names of their classes and by SQLSTATE codes, never by the text of an error.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum

__all__ = ["Reason", "reason_of"]


class Reason(StrEnum):
    """Why a check does not pass; the whole list."""

    PENDING = "pending"
    """There is no result yet."""
    TIMEOUT = "timeout"
    """It took longer than its timeout, or still runs."""
    STALE = "stale"
    """Its last result is older than three intervals."""
    CONNECTION_REFUSED = "connection_refused"
    """Nobody listens there."""
    CONNECTION_LOST = "connection_lost"
    """The other side closed the connection."""
    UNREACHABLE = "unreachable"
    """There is no way to the network or the host."""
    DNS = "dns"
    """The name has no address."""
    TLS = "tls"
    """The encrypted connection cannot be made, or the certificate is not trusted."""
    AUTH = "auth"
    """The credentials are refused."""
    EXHAUSTED = "exhausted"
    """There is no connection left: the pool's limit or the server's."""
    UNAVAILABLE = "unavailable"
    """It cannot be used at the moment, and its library does not say why."""
    REDIRECTED = "redirected"
    """It answered with a redirect."""
    UNEXPECTED_STATUS = "unexpected_status"
    """It answered with another status code than expected."""
    LOW_SPACE = "low_space"
    """There is less free space than demanded."""
    FAILED = "failed"
    """The check returned ``False``."""
    INVALID_RESULT = "invalid_result"
    """The check returned neither ``None``, a boolean nor a reason."""
    ERROR = "error"
    """Any other exception; the log has it."""


_BY_CLASS: tuple[tuple[type[BaseException], Reason], ...] = (
    (ConnectionRefusedError, Reason.CONNECTION_REFUSED),
    (ConnectionError, Reason.CONNECTION_LOST),
    (EOFError, Reason.CONNECTION_LOST),
    (socket.gaierror, Reason.DNS),
    (ssl.SSLError, Reason.TLS),
    (TimeoutError, Reason.TIMEOUT),
)

_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, getattr(errno, "EHOSTDOWN", errno.EHOSTUNREACH)}

# Names of classes, of any library. The class itself comes before its bases, so that the most exact name wins.
_BY_NAME = {
    "AccessRefused": Reason.AUTH,
    "AuthenticationError": Reason.AUTH,
    "AuthorizationError": Reason.AUTH,
    "InvalidAuthorizationSpecificationError": Reason.AUTH,
    "NoPermissionError": Reason.AUTH,
    "MaxConnectionsError": Reason.EXHAUSTED,
    "TooManyConnectionsError": Reason.EXHAUSTED,
    "ConnectTimeout": Reason.TIMEOUT,
    "ReadTimeout": Reason.TIMEOUT,
    "TimeoutError": Reason.TIMEOUT,
    "TimeoutException": Reason.TIMEOUT,
}

# SQLSTATE, from the class (two characters) or in full: ISO/IEC 9075-2, and PostgreSQL's appendix "Error Codes".
_BY_SQLSTATE = {
    "28": Reason.AUTH,
    "53300": Reason.EXHAUSTED,
    "57014": Reason.TIMEOUT,
}

# Said by a library that its server cannot be used; the cause, if there is one, says more.
_UNAVAILABLE = {"ConnectError", "ConnectionError", "InterfaceError", "OperationalError"}

_DEPTH = 10
"""How many causes of an exception are looked at."""


def reason_of(error: BaseException) -> Reason:
    """The code for an exception: the most exact one that it or one of its causes tells."""
    unavailable = False
    for each in _chain(error):
        if (found := _exact(each)) is not None:
            return found
        without_number = isinstance(each, OSError) and each.errno is None  # several attempts to connect, put together by asyncio
        unavailable = unavailable or without_number or bool(_UNAVAILABLE & _names(each))
    return Reason.UNAVAILABLE if unavailable else Reason.ERROR


def _exact(error: BaseException) -> Reason | None:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if isinstance(state, str) and (found := _BY_SQLSTATE.get(state) or _BY_SQLSTATE.get(state[:2])) is not None:
        return found
    if type(error).__module__ == "sqlalchemy.exc" and type(error).__name__ == "TimeoutError":
        return Reason.EXHAUSTED  # SQLAlchemy's only one: no connection of the pool became free in time
    for kind, reason in _BY_CLASS:
        if isinstance(error, kind):
            return reason
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return Reason.UNREACHABLE
    return next((_BY_NAME[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _BY_NAME), None)


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it came from, nearest first."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(seen) < _DEPTH:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or any(one is other for other in seen):
            continue
        seen.append(one)
        yield one
        waiting += [getattr(one, "orig", None), getattr(one, "reason", None)]  # SQLAlchemy's, urllib's
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
        waiting += [one.__cause__, None if one.__suppress_context__ else one.__context__]
