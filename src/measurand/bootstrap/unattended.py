"""What ``measurand run`` does in the program that it starts: instrument what is there, and start the runtime, without a line of code.

An interpreter calls :func:`begin` before it runs anything else. Libraries are not imported for that: each is instrumented when the program
imports it. Whatever goes wrong here is said in a line, and the program runs as it would without.

A program that calls ``measurand.start()`` itself, or one of the lines for frameworks with options, decides: the runtime that was started
here gives way to it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial, wraps
from importlib import metadata
from types import ModuleType
from typing import Any

from measurand.config import client_hosts, foreign, pass_on, variable
from measurand.errors import MeasurandError

__all__ = ["ENTRY_POINTS", "OPTIONS", "begin"]

OPTIONS = "run"
"""The variable that tells a program that it is run by us, and how: ``MEASURAND_RUN``, in JSON."""

INSIDE = "run_in"
"""The variable by which a program tells those that it starts that it is measured: they are not, if they are programs of their own."""

ENTRY_POINTS = "measurand.integrations"
"""The group of entry points under which integrations are found: the library's name, and a module with ``instrument()``."""

AT_ONCE = sys.stdlib_module_names | {"system"}
"""Integrations that wait for no import: what they are about is always there."""

APPLICATIONS = {
    "flask.app": ("Flask", "flask"),
    "fastapi.applications": ("FastAPI", "fastapi"),
    "starlette.applications": ("Starlette", "starlette"),
    "litestar.app": ("Litestar", "litestar"),
}
"""Modules with classes whose objects are applications, and what installs us there."""

FACTORIES = {"django.core.wsgi": "get_wsgi_application", "django.core.asgi": "get_asgi_application"}
"""Modules with functions that make them."""


def begin() -> None:
    """Begin, if this process is one that is to be measured. Raises nothing."""
    told = variable(OPTIONS)
    if told is None or not _is_ours(sys.orig_argv):
        return
    try:
        options = json.loads(told)
        _Beginning(frozenset(options["without"]), is_quiet=bool(options["quiet"]) or variable(INSIDE) is not None).run()
        pass_on(INSIDE, str(os.getpid()))
    except Exception as reason:  # noqa: BLE001 - the program has to run
        _say(f"nothing is measured: {reason}")


def _is_ours(command: Sequence[str]) -> bool:
    """Whether this interpreter runs the program itself, or one of the workers that ``multiprocessing`` or billiard made for it."""
    code = " ".join(command[1:])
    if "resource_tracker import main" in code:  # of a process that is not measured, such as one that reloads
        return False
    if variable(INSIDE) is not None:
        return "spawn import spawn_main" in code or "forkserver import main" in code
    return not _only_reloads(command)


def _only_reloads(command: Sequence[str]) -> bool:
    """Whether this process does nothing but start the real one, again and again: Flask's and Django's servers for development."""
    words = {os.path.basename(word) for word in command[1:3]}
    if words & {"flask", "flask.exe"} and "run" in command:
        reloads = {"--debug", "--reload"} & {*command} or (foreign("FLASK_DEBUG") or "0").lower() not in {"0", "false", "no"}
        return bool(reloads) and "--no-reload" not in command and foreign("WERKZEUG_RUN_MAIN") != "true"
    return "runserver" in command and "--noreload" not in command and foreign("RUN_MAIN") != "true"


def _say(line: str) -> None:
    """Tell whoever started the program; its logging is not there yet."""
    if sys.stderr is not None:
        print(f"measurand: {line}", file=sys.stderr, flush=True)


class _Beginning:
    """The steps.

    Args:
        without: Names of what is left alone.
        is_quiet: Whether only failures are said.
    """

    def __init__(self, without: frozenset[str], *, is_quiet: bool) -> None:
        self._without = without
        self._is_quiet = is_quiet
        self._said: set[str] = set()
        hosts = {"hosts": client_hosts()}
        self._settings = {"httpx": hosts, "requests": hosts}

    def run(self) -> None:
        """Start the runtime, and wait for what the program imports."""
        from measurand.bootstrap import runtime  # noqa: PLC0415 - for the processes that are measured only
        from measurand.integrations.imports import when_imported  # noqa: PLC0415

        started = runtime.start()
        started.gives_way = True
        if started.management is not None:
            self._tell(f"service {started.config.service!r}: {started.management}{started.config.metrics_path}")
        for name, module, wait in self._applications():
            if self._may(name):
                when_imported(module, wait)
        for entry in sorted(metadata.entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
            if entry.name in AT_ONCE:
                self._instrument(entry)
            elif self._may(entry.name):
                when_imported(entry.name, partial(self._instrument, entry))

    def _applications(self) -> Iterable[tuple[str, str, Callable[[ModuleType], None]]]:
        for module, (cls, framework) in APPLICATIONS.items():
            yield module.partition(".")[0], module, self._class_watcher(cls, framework)
        for module, factory in FACTORIES.items():
            yield "django", module, self._factory_watcher(factory)

    def _may(self, name: str) -> bool:
        """Whether something is to be measured once it is imported; says so, or why not."""
        if name in self._without:
            self._tell_once(name, f"skipped {name}: as told")
            return False
        from measurand.integrations.handle import version_of  # noqa: PLC0415 - as above

        version = version_of(name)
        if not version:
            self._tell_once(name, f"skipped {name}: not installed")
            return False
        self._tell_once(name, f"{name} {version}: measured where the program imports it")
        return True

    def _instrument(self, entry: metadata.EntryPoint, _: ModuleType | None = None) -> None:
        if entry.name in self._without:
            self._tell_once(entry.name, f"skipped {entry.name}: as told")
            return
        try:
            handle = entry.load().instrument(**self._settings.get(entry.name, {}))
        except (MeasurandError, ImportError) as reason:
            _say(f"skipped {entry.name}: {reason}")
            return
        except Exception as reason:  # noqa: BLE001 - the others are measured all the same
            _say(f"skipped {entry.name}: {type(reason).__name__}: {reason}")
            return
        if entry.name in AT_ONCE:
            self._tell(handle.about)

    def _class_watcher(self, name: str, framework: str) -> Callable[[ModuleType], None]:
        def watch(module: ModuleType) -> None:
            cls: Any = getattr(module, name)
            init = cls.__init__

            @wraps(init)
            def measured(application: Any, *arguments: Any, **options: Any) -> None:
                init(application, *arguments, **options)
                _installed(framework, application)

            cls.__init__ = measured

        return watch

    def _factory_watcher(self, name: str) -> Callable[[ModuleType], None]:
        def watch(module: ModuleType) -> None:
            factory: Callable[..., Any] = getattr(module, name)

            @wraps(factory)
            def measured(*arguments: Any, **options: Any) -> Any:
                made = factory(*arguments, **options)
                return _installed("django", made)

            setattr(module, name, measured)

        return watch

    def _tell(self, line: str) -> None:
        if not self._is_quiet:
            _say(line)

    def _tell_once(self, name: str, line: str) -> None:
        if name not in self._said:
            self._said.add(name)
            self._tell(line)


def _installed(framework: str, application: Any) -> Any:
    """The application, measured if it can be."""
    try:
        from measurand.bootstrap import frameworks  # noqa: PLC0415 - as above

        return getattr(frameworks, framework)(application)
    except Exception as reason:  # noqa: BLE001 - the program has to run
        _say(f"skipped {type(application).__name__}: {reason}")
        return application
