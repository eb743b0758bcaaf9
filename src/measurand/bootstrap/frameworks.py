"""One line for each framework: start the runtime if there is none, and build it into an application.

Each function may be called many times, on one application or on many, as application factories do: there is one runtime for the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, TypeVar, Unpack

from measurand.bootstrap.options import passed
from measurand.bootstrap.runtime import Checkable, Runtime, current, start
from measurand.config import Settings
from measurand.errors import ConfigurationError
from measurand.exporters.protocol import Exporter
from measurand.metrics.domains import Domain
from measurand.metrics.registry import CollectorRegistry

__all__ = ["Options", "asgi", "django", "fastapi", "flask", "litestar", "starlette", "wsgi"]

App = TypeVar("App")


class Options(Settings, total=False):
    """What :func:`measurand.start` takes."""

    service: str
    environment: str
    version: str
    checks: Iterable[Checkable]
    domains: Mapping[str, Domain]
    exporters: Iterable[Exporter | str]
    registry: CollectorRegistry


def fastapi(app: App, runtime: Runtime | None = None, **options: Unpack[Options]) -> App:
    """Measure a FastAPI application, and let it answer the probes and the metrics page.

    Args:
        app: The application; changed in place.
        runtime: The runtime to use; by default that of the process, started with ``options`` if there is none.
        **options: As for :func:`measurand.start`.

    Returns:
        The application.

    Raises:
        ConfigurationError: An option cannot be used, or there is a runtime that was started with other options. The same function or check
            made anew, as by an application factory, is no other one.
    """
    return _built_in("fastapi", app, runtime, options)


def starlette(app: App, runtime: Runtime | None = None, **options: Unpack[Options]) -> App:
    """The same for a Starlette application; see :func:`fastapi`."""
    return _built_in("starlette", app, runtime, options)


def litestar(app: App, runtime: Runtime | None = None, **options: Unpack[Options]) -> App:
    """The same for a Litestar application; see :func:`fastapi`."""
    return _built_in("litestar", app, runtime, options)


def flask(app: App, runtime: Runtime | None = None, **options: Unpack[Options]) -> App:
    """The same for a Flask application; see :func:`fastapi`."""
    return _built_in("flask", app, runtime, options)


def django(app: App, runtime: Runtime | None = None, **options: Unpack[Options]) -> App:
    """The same for what Django's ``get_wsgi_application()`` or ``get_asgi_application()`` returned; see :func:`fastapi`.

    ::

        application = measurand.django(get_wsgi_application())
    """
    return _built_in("django", app, runtime, options)


def asgi(app: Callable[..., Any], runtime: Runtime | None = None, **options: Unpack[Options]) -> Callable[..., Any]:
    """Wrap any ASGI application; see :func:`fastapi`.

    Returns:
        The application to serve in the place of ``app``.
    """
    middleware: Callable[..., Any] = import_module("measurand.integrations.asgi").install(app, _runtime(runtime, options))
    return middleware


def wsgi(app: Callable[..., Any], runtime: Runtime | None = None, **options: Unpack[Options]) -> Callable[..., Any]:
    """Wrap any WSGI application; see :func:`fastapi`.

    Returns:
        The application to serve in the place of ``app``.
    """
    middleware: Callable[..., Any] = import_module("measurand.integrations.wsgi").install(app, _runtime(runtime, options))
    return middleware


def _built_in(integration: str, app: App, runtime: Runtime | None, options: Options) -> App:
    installed: App = import_module(f"measurand.integrations.{integration}").install(app, _runtime(runtime, options))
    return installed


def _runtime(runtime: Runtime | None, options: Options) -> Runtime:
    given = passed(options)
    if runtime is not None and given:
        raise ConfigurationError(f"a runtime was passed, and options for a new one ({', '.join(sorted(given))}): leave one of them out")
    running = runtime or current()
    if running is None or (given and running.gives_way):
        return start(**options)
    if given and not running.has_options(given):
        raise ConfigurationError(
            f"measurand has been started in this process, for the service {running.config.service!r}, with other options than "
            f"{', '.join(sorted(given))}: pass them where it is started"
        )
    return running
