"""The options of :func:`measurand.start`: that each is of the right kind, and whether two calls pass the same."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from measurand.bootstrap.likeness import Likeness
from measurand.config import Settings, checked
from measurand.errors import ConfigurationError
from measurand.metrics.domains import REGISTRY, Domain
from measurand.metrics.registry import CollectorRegistry

__all__ = ["by_path", "likeness", "passed", "refuse_unknown", "several"]

OBJECTS = {"checks": "checks=[database_is_there]", "exporters": "exporters=['statsd://127.0.0.1:8125']"}
"""Options that are lists of objects, with an example of each."""


def passed(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that say something: not ``None``, no empty list of checks, exporters or domains, not the default registry."""
    empty = {name for name in (*OBJECTS, "domains") if isinstance(options.get(name), tuple | list | Mapping) and not options[name]}
    default = {"registry"} if options.get("registry") is REGISTRY else set()
    return {name: value for name, value in options.items() if value is not None and name not in empty | default}


def likeness(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options in a form that is equal for two calls which mean the same.

    Settings are compared by what they become, checks and exporters as :mod:`measurand.bootstrap.likeness` says. Registries and domains have
    to be the same objects: metrics in another one would not be shown.

    Raises:
        ConfigurationError: An option cannot be used.
        TypeError: There is no setting of that name.
    """
    alike: dict[str, Any] = {name: [Likeness(each) for each in several(name, options.get(name))] for name in OBJECTS}
    alike |= {"domains": by_path(options.get("domains")), "registry": options.get("registry")}
    settings = {name: value for name, value in options.items() if name not in alike}
    refuse_unknown(settings.keys() - {"service", "environment", "version"})
    return passed({**alike, **checked(settings)})


def refuse_unknown(names: Iterable[str]) -> None:
    """Every name is that of a setting.

    Raises:
        TypeError: One is not; the message has the likely right one.
    """
    known = Settings.__annotations__
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            raise TypeError(f"start() has no setting {name!r}" + (f"; is {close[0]!r} meant?" if close else ""))


def several(name: str, given: Any) -> tuple[Any, ...]:
    """The objects that an option lists; none if it is ``None``.

    Raises:
        ConfigurationError: It is no list, such as one object, or text, which would be taken for a list of letters.
    """
    if given is None:
        return ()
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        # an address may hold credentials, so what was given is not shown
        raise ConfigurationError(f"{name} must be a list, also for a single one, not an object of {type(given).__name__}: {OBJECTS[name]}")
    return tuple(given)


def by_path(given: Any) -> dict[str, Domain]:
    """The domains by the paths of their pages; none if it is ``None``.

    Raises:
        ConfigurationError: It is something else.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(domain, CollectorRegistry) for domain in given.values()):
        raise ConfigurationError(f"domains must be a Domain for each path of a page, such as domains={{'/v1/audit': AUDIT}}, not {given!r}")
    return dict(given)
