"""Whether two objects are the same thing, made twice.

An application factory that is called again makes its checks anew, and a module that is imported under a second name, as a server does with
the program that started it, defines its functions anew. What comes of it is another object and still the same thing: it stands at the same
place in the source, and was made with the same plain values (numbers, text, paths). Other values say nothing, as they are made anew too.
"""

from __future__ import annotations

import os
import sys
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import PurePath
from types import FunctionType, MethodType
from typing import Any

__all__ = ["Likeness", "called", "place"]

PLAIN = (str, bytes, int, float, complex, bool, type(None), PurePath)
"""What is compared by its value."""

DEPTH = 4
"""How far functions in functions are followed: one may hold itself."""


class Likeness:
    """An object as it was at one moment; equal to that of the same object, and to that of the same thing made anew.

    Args:
        given: The object; it is kept.
    """

    __hash__ = None  # type: ignore[assignment]  # what it was made with may have no hash

    def __init__(self, given: Any) -> None:
        self._given = given
        self._description = _described(given, DEPTH)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Likeness):
            return NotImplemented
        return self._given is other._given or self._description == other._description


def place(value: Any) -> tuple[str, str]:
    """Where a function or a class is defined, or the class of any other object: the file, and the qualified name in it.

    The file rather than the module: that of a program is ``__main__`` and, once it is imported, has a name.
    """
    module, name = _named(value)
    file = getattr(sys.modules.get(module), "__file__", None)
    return os.path.realpath(file) if file else module, name


def called(value: Any) -> str:
    """What a function is called in a message."""
    return ".".join(_named(value))


def _named(value: Any) -> tuple[str, str]:
    while isinstance(value, partial):
        value = value.func
    named = value if isinstance(getattr(value, "__qualname__", None), str) else type(value)
    return str(getattr(named, "__module__", None) or "?"), named.__qualname__


def _described(value: Any, depth: int) -> Any:
    if isinstance(value, PLAIN):
        return value
    if depth == 0 or isinstance(value, type):
        return place(value)
    if isinstance(value, tuple):
        return tuple(_part(each, depth) for each in value)
    if isinstance(value, MethodType):
        return place(value), _described(value.__self__, depth - 1)
    return place(value), _parts(_made_with(value), depth)


def _made_with(value: Any) -> dict[str, Any]:
    """The values by name that tell a thing from another one of the same place."""
    if isinstance(value, partial):
        return {"()": (value.func, *value.args), **value.keywords}
    if isinstance(value, FunctionType):
        return {"()": value.__defaults__, **(value.__kwdefaults__ or {}), **_held(value)}
    names = [each.name for each in fields(value)] if is_dataclass(value) else list(getattr(value, "__dict__", ()))
    return {name: getattr(value, name, None) for name in names if not name.startswith("_")}


def _parts(values: dict[str, Any], depth: int) -> dict[str, Any]:
    return {name: _part(value, depth) for name, value in values.items()}


def _part(value: Any, depth: int) -> Any:
    """What is said of a part: of an engine or a client, which has a state of its own, only which kind it is."""
    return _described(value, depth - 1) if isinstance(value, (*PLAIN, tuple, partial, MethodType, FunctionType)) else place(value)


def _held(function: FunctionType) -> dict[str, Any]:
    """The variables of the functions around it that it uses, as far as they have a value yet."""
    held = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            held[name] = cell.cell_contents
        except ValueError:
            held[name] = None
    return held
