"""What a service function says when it refuses; ``app.py`` turns each into one JSON answer.

InventoryError
├── InvalidError      400: the request is wrong; the message says what to send instead
├── NotFoundError     404: what the request names is not there
└── ConflictError     409: the request is fine, the present state is against it
"""

from __future__ import annotations


class InventoryError(Exception):
    """A refusal that is meant to be read by the caller of the API."""

    status = 500


class InvalidError(InventoryError):
    """The request cannot be understood or asks for something that no state would allow."""

    status = 400


class NotFoundError(InventoryError):
    """What the request names does not exist."""

    status = 404


class ConflictError(InventoryError):
    """The request makes sense, but not in the state that things are in now."""

    status = 409
