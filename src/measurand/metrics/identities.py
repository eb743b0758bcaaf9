"""What registries are called among processes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

__all__ = ["begin_anew", "identity"]

_sites: dict[str, Iterator[int]] = {}  # how many registries a line has made
_sites_of_others: set[str] = set()  # the lines that had made some before the fork that made this process


def identity(name: str) -> str:
    """A registry's name among processes: equal in those that run the same program, different within one.

    Empty for one that a forked child makes where registries had been made before the fork: the parent may go on making its own there, and
    no number would tell whose is whose. It stays the child's alone.
    """
    if name in _sites_of_others:
        return ""
    number = next(_sites.setdefault(name, count(1)))
    return name if number == 1 else f"{name} ({number})"


def begin_anew() -> None:
    """This process is a forked child."""
    _sites_of_others.update(_sites)
