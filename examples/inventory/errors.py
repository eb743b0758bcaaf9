"""What a service function says when it refuses; ``app.py`` turns each into one JSON answer.

InventoryError
├── InvalidError       400: the request is wrong; the message says what to send instead
├── UnauthorizedError  401: nobody we know asks, or no longer
├── ForbiddenError     403: we know who asks, and they may not
├── NotFoundError      404: what the request names is not there
├── ConflictError      409: the request is fine, the present state is against it
├── NotConfiguredError 501: this service was started without what the request needs
├── UpstreamError      502: a service that we ask in turn failed
└── BusyError          503: not now; ``retry_after`` says when
"""

from __future__ import annotations


class InventoryError(Exception):
    """A refusal that is meant to be read by the caller of the API."""

    status = 500


class InvalidError(InventoryError):
    """The request cannot be understood or asks for something that no state would allow."""

    status = 400


class UnauthorizedError(InventoryError):
    """There is no valid token with the request."""

    status = 401


class ForbiddenError(InventoryError):
    """The token is valid, its owner is not allowed to do this."""

    status = 403


class NotFoundError(InventoryError):
    """What the request names does not exist."""

    status = 404


class ConflictError(InventoryError):
    """The request makes sense, but not in the state that things are in now."""

    status = 409


class NotConfiguredError(InventoryError):
    """This service was started without what the request needs."""

    status = 501


class UpstreamError(InventoryError):
    """A service that is asked on the caller's behalf did not answer, or not as agreed."""

    status = 502


class BusyError(InventoryError):
    """There is no room for the request at the moment.

    Args:
        message: What is busy.
        retry_after: Seconds after which it makes sense to ask again.
    """

    status = 503

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
