"""Destinations by address: ``statsd://127.0.0.1:8125?prefix=shop`` stands for ``StatsD("127.0.0.1:8125", prefix="shop")``.

For settings that are text, such as ``MEASURAND_EXPORTERS``. The scheme up to a ``+`` says which destination it is: one of the entry points
of the group ``measurand.exporters``, which any installed package may have, each a class with ``from_url``::

    @classmethod
    def from_url(cls, url: SplitResult, options: Options) -> Self:
        return cls(url.hostname, prefix=options.text("prefix", ""), **options.common())

What follows the ``+`` is the transport, such as ``otlp+https://…``, and the class' own business, as is the rest of the address.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import entry_points
from math import isfinite, nan
from typing import Any, TypedDict, cast
from urllib.parse import SplitResult, parse_qsl, urlsplit

from measurand.errors import ConfigurationError
from measurand.exporters.protocol import Exporter

__all__ = ["GROUP", "Options", "from_address", "schemes"]

GROUP = "measurand.exporters"
"""The group of entry points."""


class Schedule(TypedDict, total=False):
    """What every destination takes."""

    name: str
    interval: float


class Common(Schedule, total=False):
    """What every destination takes that is somewhere else."""

    timeout: float


class Options:
    """The part of an address after the ``?``: each value is asked for once, by name and kind; what nobody asked for is an error.

    Args:
        given: The options.
        address: The address as it may be shown.
    """

    def __init__(self, given: Mapping[str, str], address: str) -> None:
        self._left = dict(given)
        self._asked: list[str] = []
        self._address = address

    def text(self, name: str, default: Any = None) -> Any:
        """An option as it stands."""
        self._asked.append(name)
        return self._left.pop(name, default)

    def number(self, name: str, default: Any = None) -> Any:
        """An option that is a number, such as seconds.

        Raises:
            ConfigurationError: It is none.
        """
        said = self.text(name)
        if said is None:
            return default
        try:
            number = float(said)
        except ValueError:
            number = nan
        if not isfinite(number):
            raise ConfigurationError(f"{name} of {self._address} must be a number, not {said!r}")
        return number

    def flag(self, name: str, default: Any = None) -> Any:
        """An option that is on or off.

        Raises:
            ConfigurationError: It is neither.
        """
        said = self.text(name)
        if said is None:
            return default
        known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
        if said.lower() not in known:
            raise ConfigurationError(f"{name} of {self._address} must be 1 or 0, not {said!r}")
        return known[said.lower()]

    def schedule(self) -> Schedule:
        """What is given of ``name`` and ``interval``, as keyword arguments."""
        found: Schedule = {}
        if (name := self.text("name")) is not None:
            found["name"] = name
        if (interval := self.number("interval")) is not None:
            found["interval"] = interval
        return found

    def common(self) -> Common:
        """What is given of ``name``, ``interval`` and ``timeout``, as keyword arguments."""
        found = cast(Common, self.schedule())
        if (timeout := self.number("timeout")) is not None:
            found["timeout"] = timeout
        return found

    def rest(self, known: str) -> dict[str, str]:
        """What is left of the options that begin with ``known``, such as ``label.``, by the rest of their names."""
        found = {name.removeprefix(known): self._left.pop(name) for name in list(self._left) if name.startswith(known)}
        self._asked.append(f"{known}…")
        return found

    def check(self) -> None:
        """All options have been asked for.

        Raises:
            ConfigurationError: One has not.
        """
        for name in self._left:
            close = difflib.get_close_matches(name, self._asked, 1)
            hint = f"; is {close[0]!r} meant?" if close else f"; it has {', '.join(sorted(set(self._asked)))}"
            raise ConfigurationError(f"{self._address} has no option {name!r}{hint}")


def schemes() -> list[str]:
    """The schemes that are known, sorted."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def from_address(address: str) -> Exporter:
    """The destination that an address stands for.

    Raises:
        ConfigurationError: The scheme is not known, or a part of the address cannot be used.
        MissingExtra: The destination needs a library that is not installed.
    """
    try:
        url = urlsplit(address)
        port = url.port
    except ValueError:  # its text may have a password in it
        raise ConfigurationError("an exporter's address cannot be read; it has to look like statsd://127.0.0.1:8125") from None
    scheme = url.scheme.partition("+")[0]
    shown = _shown(url)
    points = {point.name: point for point in entry_points(group=GROUP)}
    if scheme not in points:
        close = difflib.get_close_matches(scheme, points, 1)
        hint = f"is {close[0]}: meant?" if close else f"the schemes are {', '.join(sorted(points))}"
        raise ConfigurationError(f"no exporter has the scheme {scheme!r} of {shown!r}; {hint}")
    if port == 0:
        raise ConfigurationError(f"the port of {shown} cannot be 0")
    given = parse_qsl(url.query, keep_blank_values=True)
    options = Options(dict(given), shown)
    if len(given) > len(dict(given)):
        raise ConfigurationError(f"{shown} has an option twice")
    exporter: Exporter = points[scheme].load().from_url(url, options)
    options.check()
    return exporter


def _shown(url: SplitResult) -> str:
    """An address without what may be secret: user, password, options."""
    netloc = url.netloc.rpartition("@")[2]
    return f"{url.scheme}://{netloc}{url.path}" if url.scheme else url.path
