"""What a request may carry, declared once per route: names, kinds, limits, defaults.

A value that does not fit, a missing one and one that nobody asked for all raise ``InvalidError`` with a message that says what to send.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Request

from ..errors import InvalidError


@dataclass(frozen=True)
class Text:
    """One line of printable text, stripped; not empty unless ``default`` is."""

    longest: int
    default: str | None = None
    starts_with: tuple[str, ...] = ()

    def check(self, name: str, value: Any) -> str:
        if not isinstance(value, str) or not value.strip().isprintable():
            raise InvalidError(f'"{name}" must be one line of printable text')
        text = value.strip()
        if len(text) > self.longest or (not text and self.default != ""):
            raise InvalidError(f'"{name}" must have 1 to {self.longest} characters; it has {len(text)}')
        if self.starts_with and not text.startswith(self.starts_with):
            raise InvalidError(f'"{name}" must start with {" or ".join(self.starts_with)}')
        return text

    def from_query(self, text: str) -> Any:
        return text


@dataclass(frozen=True)
class Whole:
    """A whole number between two limits, both included."""

    least: int
    most: int
    default: int | None = None

    def check(self, name: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not self.least <= value <= self.most:
            raise InvalidError(f'"{name}" must be a whole number from {self.least} to {self.most}')
        return value

    def from_query(self, text: str) -> Any:
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text


@dataclass(frozen=True)
class OneOf:
    """One of a few words."""

    words: tuple[str, ...]
    default: str | None = None

    def check(self, name: str, value: Any) -> str:
        if value not in self.words:
            raise InvalidError(f'"{name}" must be {" or ".join(self.words)}')
        return str(value)

    def from_query(self, text: str) -> Any:
        return text


@dataclass(frozen=True)
class YesNo:
    """True or false."""

    default: bool | None = None

    def check(self, name: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise InvalidError(f'"{name}" must be true or false')
        return value

    def from_query(self, text: str) -> Any:
        return {"true": True, "false": False}.get(text, text)


class Fields:
    """The fields of one kind of request: the name of each, and what it may hold. A field without a default is required."""

    def __init__(self, **fields: Text | Whole | OneOf | YesNo) -> None:
        self._fields = fields
        self._required = tuple(name for name, field in fields.items() if field.default is None)
        self._defaults = {name: field.default for name, field in fields.items() if field.default is not None}
        self._is_change = False

    def as_change(self, *required: str) -> Fields:
        """The same fields for a request that changes what is there: what is absent stays as it is.

        Args:
            required: What such a request has to say nevertheless; at least one other field must come with it.
        """
        change = Fields(**self._fields)
        change._required, change._defaults, change._is_change = required, {}, True
        return change

    def read_json(self, request: Request) -> dict[str, Any]:
        """The fields of a JSON body. Raises ``InvalidError``."""
        try:
            given = request.get_json(silent=True)
        except RecursionError:
            given = None
        if not isinstance(given, dict):
            raise InvalidError(f"send a JSON object with {self._names()}, and Content-Type: application/json")
        return self._checked(given)

    def read_query(self, request: Request) -> dict[str, Any]:
        """The fields of a query string. Raises ``InvalidError``."""
        given = request.args.to_dict()
        known = {name: self._fields[name].from_query(text) for name, text in given.items() if name in self._fields}
        return self._checked(given | known)

    def _checked(self, given: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(given.keys() - self._fields.keys())
        if unknown:
            raise InvalidError(f'"{unknown[0]}" is not known here; send {self._names()}')
        for name in self._required:
            if name not in given:
                raise InvalidError(f'"{name}" is missing; send {self._names()}')
        if self._is_change and not given.keys() - set(self._required):
            raise InvalidError(f"nothing to change; send at least one of {self._names()}")
        return self._defaults | {name: self._fields[name].check(name, value) for name, value in given.items()}

    def _names(self) -> str:
        return ", ".join(f'"{name}"' for name in self._fields)
