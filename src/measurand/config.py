"""Settings: what they are called, where they come from, and what they may be.

Each setting is taken from the first of these that has it: the argument of ``measurand.start()``, its environment variables in the order
of the table below, its default. Every value remembers which it was (:meth:`Config.origin`), so that a wrong one can be found.

This module alone reads the environment, and only when it is asked to. Values are checked here, all of them, before anything starts.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypedDict

from measurand.errors import ConfigurationError

__all__ = ["Config", "Settings", "checked", "client_hosts", "environment_with", "foreign", "pass_on", "unknown_variables", "variable"]

PREFIX: Final = "MEASURAND_"
NOT_SETTINGS: Final = frozenset({"CLIENT_HOSTS", "FAMILY_DIR", "PURE", "REQUIRE_NATIVE", "REQUIRE_SERVERS", "RUN", "RUN_IN", "TEST_SCALE"})
"""Variables with our prefix that other parts read."""

SECRET: Final = ("token", "exporters")
"""Settings that are not shown: addresses may hold credentials."""

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_UNSET: Final = object()


class _Unfit(Exception):
    """A value is not what its setting takes; the message says what that is."""


# -- what values may be: each function takes text or an argument, and gives the setting's type -----------------------------------------


def _text(value: Any) -> str:
    text = str(value).strip()
    if not text:
        raise _Unfit("text that is not empty")
    return text


def _secret(value: Any) -> str:
    text = _text(value)
    if not text.isascii() or not text.isprintable() or " " in text:
        raise _Unfit("printable ASCII characters without spaces, as an Authorization header carries them")
    return text


def _seconds(value: Any) -> float:
    expected = "seconds, as a number from 0 such as 5 or 2.5"
    seconds = _number(value, expected)
    if not 0 <= seconds < float("inf"):
        raise _Unfit(expected)
    return seconds


def _interval(value: Any) -> float:
    expected = "seconds, as a number above 0 such as 60 or 0.5"
    seconds = _number(value, expected)
    if not 0 < seconds < float("inf"):
        raise _Unfit(expected)
    return seconds


def _number(value: Any, expected: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise _Unfit(expected) from None


def _count(value: Any) -> int:
    if isinstance(value, float) or not re.fullmatch(r"[1-9]\d*", str(value).strip()):
        raise _Unfit("a whole number from 1")
    return int(value)


def _switch(value: Any) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if str(value).strip().lower() not in known:
        raise _Unfit("1 or 0 (also true or false, yes or no, on or off)")
    return known[str(value).strip().lower()]


def _path(value: Any) -> str:
    path = str(value).strip()
    if not re.fullmatch(r"/[^?#\s]*", path) or "//" in path:
        raise _Unfit("a path such as /v1/metrics")
    return path


def _several(value: Any, expected: str, separator: str | None = ",") -> list[str]:
    """The parts of a list: of a sequence, or of text with commas or white space between them."""
    if not isinstance(value, Iterable):
        raise _Unfit(expected)
    parts = value.split(separator) if isinstance(value, str) else list(value)
    return [str(part).strip() for part in parts if str(part).strip()]


def _addresses(value: Any) -> tuple[str, ...]:
    """Addresses with white space between them: a comma may be a part of one."""
    expected = "addresses with spaces between them, such as statsd://127.0.0.1:8125 otlp+http://127.0.0.1:4318"
    parts = _several(value, expected, None)
    if not all(re.match(r"[a-z][a-z0-9+.-]*:", part) for part in parts):
        raise _Unfit(expected)
    return tuple(parts)


def _paths(value: Any) -> frozenset[str]:
    return frozenset(_path(part) for part in _several(value, "paths such as /favicon.ico,/static"))


def _buckets(value: Any) -> tuple[float, ...]:
    expected = "rising upper bounds in seconds, such as 0.1,0.5,2.5"
    bounds = tuple(_number(part, expected) for part in _several(value, expected))
    if not bounds or any(bound <= before for before, bound in zip((0.0, *bounds), bounds, strict=False)):
        raise _Unfit(expected)
    return bounds


def _labels(value: Any) -> Mapping[str, str]:
    expected = "labels such as team=parts,zone=eu (an empty value for none)"
    if isinstance(value, Mapping):
        pairs = {str(name): str(content) for name, content in value.items()}
    else:
        parts = [part.partition("=") for part in _several(value, expected)]
        pairs = {name.strip(): content.strip() for name, _, content in parts}
        if not all(separator for _, separator, _ in parts):
            raise _Unfit(expected)
    if not all(_LABEL.fullmatch(name) and not name.startswith("__") for name in pairs):
        raise _Unfit(expected)
    return MappingProxyType(pairs)


def _details(value: Any) -> str:
    choices = ("never", "authorized", "always")
    if value not in choices:
        raise _Unfit(" or ".join(choices))
    return str(value)


def _address(value: Any) -> tuple[str, int]:
    """Host and port; a port alone is on loopback."""
    expected = "a port, or host:port, such as 9100, 127.0.0.1:9100 or [::1]:9100; port 0 for a free one"
    if isinstance(value, tuple) and len(value) == 2:
        value = f"[{value[0]}]:{value[1]}" if ":" in str(value[0]) else f"{value[0]}:{value[1]}"
    found = re.fullmatch(r"(?:(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[^:\[\]\s]*)):)?(?P<port>\d{1,5})", str(value).strip())
    if found is None or int(found["port"]) > 65535:
        raise _Unfit(expected)
    return found["six"] or found["host"] or "127.0.0.1", int(found["port"])


def _directory(value: Any) -> Path:
    # systemd gives a list when a unit has several state directories; the first is the service's own
    return Path(_text(str(value).split(os.pathsep, maxsplit=1)[0])).expanduser()


def _setting(convert: Callable[[Any], Any], default: Any, *also: str) -> Any:
    """A field of :class:`Config`; ``also`` are the environment variables that are read besides ours, after it."""
    return field(default=default, metadata={"convert": convert, "also": also})


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a runtime, checked. Made by :meth:`read`.

    The environment variable of a setting is its name in capitals after ``MEASURAND_``; some are read under a second name too.

    Attributes:
        service: The service's name; also ``SERVICE_NAME``.
        environment: Where it runs, such as production; also ``ENVIRONMENT``.
        version: The service's version; also ``SERVICE_VERSION``.
        common_labels: Labels on every series; ``None`` for the service's name and environment.
        metrics_path: Where the metrics page stands.
        health_path: Where liveness is answered.
        ready_path: Where readiness is answered.
        startup_path: Where it is answered whether the service has started.
        drain_path: Where the management server is told to drain.
        probe_aliases: Whether ``/livez``, ``/readyz`` and ``/startupz`` are answered too.
        details: Who sees what the probes found: never, authorized, always.
        token: The bearer token that opens what is not for everybody; ``None`` for no token.
        management: Host and port of the management server; ``None`` for none.
        drain_delay: Seconds from the signal to stop until requests are no longer accepted.
        shutdown_budget: Seconds for the whole shutdown, the delay included.
        poll_interval: Seconds between two calls of a polled callback.
        health_interval: Seconds between two runs of a health check.
        request_buckets: Upper bounds of the request durations' histogram, in seconds.
        max_endpoints: How many route templates are told apart.
        excluded_paths: Paths that are left out of the HTTP metrics.
        body_sizes: Whether the sizes of requests and responses are measured.
        first_byte: Whether the time to the first byte is measured.
        background: Whether the time is measured that the application goes on after a response is complete.
        runtime_metrics: Whether the process's, the interpreter's and this library's own metrics are exposed.
        exporters: Addresses of destinations, besides those that are passed to ``start()`` as objects; see
            :mod:`measurand.exporters.addresses`.
        state_directory: Where the number of starts is kept; also systemd's ``STATE_DIRECTORY``; else ``measurand`` in the user's state
            directory (``XDG_STATE_HOME``, ``~/.local/state``); ``None`` for a user without a home.
    """

    service: str = _setting(_text, "unknown_service", "SERVICE_NAME")
    environment: str = _setting(_text, "development", "ENVIRONMENT")
    version: str = _setting(_text, "unknown", "SERVICE_VERSION")
    common_labels: Mapping[str, str] | None = _setting(_labels, None)
    metrics_path: str = _setting(_path, "/v1/metrics")
    health_path: str = _setting(_path, "/v1/health")
    ready_path: str = _setting(_path, "/v1/ready")
    startup_path: str = _setting(_path, "/v1/startup")
    drain_path: str = _setting(_path, "/v1/drain")
    probe_aliases: bool = _setting(_switch, True)
    details: str = _setting(_details, "never")
    token: str | None = _setting(_secret, None)
    management: tuple[str, int] | None = _setting(_address, None)
    drain_delay: float = _setting(_seconds, 5.0)
    shutdown_budget: float = _setting(_interval, 30.0)
    poll_interval: float = _setting(_interval, 60.0)
    health_interval: float = _setting(_interval, 5.0)
    request_buckets: tuple[float, ...] = _setting(_buckets, (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0))
    max_endpoints: int = _setting(_count, 200)
    excluded_paths: frozenset[str] = _setting(_paths, frozenset())
    body_sizes: bool = _setting(_switch, False)
    first_byte: bool = _setting(_switch, False)
    background: bool = _setting(_switch, False)
    runtime_metrics: bool = _setting(_switch, True)
    exporters: tuple[str, ...] = _setting(_addresses, ())
    state_directory: Path | None = field(default=None, metadata={"convert": _directory, "also": ("STATE_DIRECTORY",)})
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, arguments: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Config:
        """Collect and check all settings.

        Args:
            arguments: What was passed in code; ``None`` as a value means not passed.
            environ: The environment; the process's own by default.

        Raises:
            ConfigurationError: A value is not what its setting takes, or two do not fit together; it says which and where it came from.
        """
        arguments = {name: value for name, value in (arguments or {}).items() if value is not None}
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for each in fields(cls):
            if each.name == "origins":
                continue
            raw, origin = _found(each.name, each.metadata["also"], arguments, environ)
            origins[each.name] = origin
            if raw is not _UNSET:
                values[each.name] = _fit(each, raw, origin)
        if "state_directory" not in values:
            values["state_directory"], origins["state_directory"] = _state_of_the_user(environ)
        config = cls(**values, origins=MappingProxyType(origins))
        config._check()
        return config

    def origin(self, name: str) -> str:
        """Where a setting's value comes from: ``"argument"``, the name of an environment variable, or ``"default"``."""
        return self.origins.get(name, "default")

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels that every series carries."""
        return {"service": self.service, "environment": self.environment} if self.common_labels is None else self.common_labels

    def describe(self) -> list[str]:
        """One line for each setting: name, value, origin. Secrets are not shown."""
        shown = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "origins"}
        for name in SECRET:
            if shown[name]:
                shown[name] = "(set)"
        return [f"{name} = {value} ({self.origin(name)})" for name, value in shown.items()]

    def _check(self) -> None:
        if self.drain_delay >= self.shutdown_budget:
            raise ConfigurationError(
                f"drain_delay ({self.drain_delay:g} s, {self.origin('drain_delay')}) leaves nothing of shutdown_budget "
                f"({self.shutdown_budget:g} s, {self.origin('shutdown_budget')}) to finish requests and to flush in: "
                "make the delay shorter or the budget longer"
            )
        if self.details == "authorized" and self.token is None:
            raise ConfigurationError("details are for the authorized, but there is no token to authorize with: set token (MEASURAND_TOKEN)")


class Settings(TypedDict, total=False):
    """What can be passed by name to ``measurand.start()``; the meanings stand at :class:`Config`."""

    common_labels: Mapping[str, str]
    metrics_path: str
    health_path: str
    ready_path: str
    startup_path: str
    drain_path: str
    probe_aliases: bool
    details: str
    token: str
    management: int | str | tuple[str, int]
    drain_delay: float
    shutdown_budget: float
    poll_interval: float
    health_interval: float
    request_buckets: Iterable[float]
    max_endpoints: int
    excluded_paths: Iterable[str]
    body_sizes: bool
    first_byte: bool
    background: bool
    runtime_metrics: bool
    state_directory: str | os.PathLike[str]


def checked(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that are passed in code, as what they become, so that ``"9100"`` is 9100; ``None`` means not passed.

    Raises:
        ConfigurationError: A value is not what its setting takes.
    """
    known = {each.name: each for each in fields(Config) if each.name != "origins"}
    return {name: _fit(known[name], value, "argument") for name, value in arguments.items() if value is not None}


def variable(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """What the environment says of one setting, not checked; ``None`` if nothing."""
    return (os.environ if environ is None else environ).get(PREFIX + name.upper()) or None


def client_hosts(environ: Mapping[str, str] | None = None) -> list[str]:
    """The hosts that HTTP clients tell apart under ``measurand run``: ``MEASURAND_CLIENT_HOSTS``, with commas between them."""
    return _several(variable("client_hosts", environ) or "", "host names")


def foreign(name: str) -> str | None:
    """What the environment says to another program or library, such as ``FLASK_DEBUG``; ``None`` if nothing."""
    return os.environ.get(name) or None


def pass_on(name: str, value: str) -> None:
    """Tell the programs that this one starts: set a variable of ours, which is no setting."""
    os.environ[PREFIX + name.upper()] = value


def environment_with(variables: Mapping[str, str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment, with these variables, for another program."""
    return {**(os.environ if environ is None else environ), **variables}


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """A line about each environment variable that looks like a setting and is none, with the likely right name."""
    known = {each.name.upper() for each in fields(Config) if each.name != "origins"}
    lines = []
    for variable in sorted(os.environ if environ is None else environ):
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and name not in known | NOT_SETTINGS:
            close = difflib.get_close_matches(name, known, 1)
            lines.append(f"{variable} is not a setting" + (f"; is {PREFIX}{close[0]} meant?" if close else ""))
    return lines


def _found(name: str, also: Iterable[str], arguments: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Any, str]:
    if name in arguments:
        return arguments[name], "argument"
    for variable in (PREFIX + name.upper(), *also):
        # a variable that is set to nothing is not set, but for the labels, which may be wanted empty
        if environ.get(variable) or (variable in environ and name == "common_labels"):
            return environ[variable], variable
    return _UNSET, "default"


def _fit(setting: Field[Any], raw: Any, origin: str) -> Any:
    try:
        return setting.metadata["convert"](raw)
    except _Unfit as expected:
        shown = "" if setting.name in SECRET else f" is {raw!r}, but"
        raise ConfigurationError(f"{_called(setting.name, origin)}{shown} must be {expected}") from None


def _state_of_the_user(environ: Mapping[str, str]) -> tuple[Path | None, str]:
    """Where programs of this user keep their state (XDG Base Directory Specification 0.8), and what says so."""
    stated = environ.get("XDG_STATE_HOME", "")
    if stated.startswith("/"):
        return Path(stated) / "measurand", "XDG_STATE_HOME"
    home = environ.get("HOME", "")
    return (Path(home) / ".local/state/measurand" if home.startswith("/") else None), "default"


def _called(name: str, origin: str) -> str:
    return name if origin == "argument" else origin
