"""HTTP metrics and the service's pages for FastAPI applications.

FastAPI's own telemetry, which records through OpenTelemetry once a provider is set, goes on as it does: it sees the requests that the
application serves, and not the service's pages. Neither counts for the other.
"""

from __future__ import annotations

from typing import TypeVar

from measurand.integrations import starlette
from measurand.integrations.service import Service

__all__ = ["install"]

App = TypeVar("App")


def install(app: App, service: Service) -> App:
    """Measure an application, and answer for the service's pages.

    The middleware is put around everything when the application builds its stack, whatever middlewares are added before or after this
    call; routes, documentation and exception handlers stay as they are, and the pages are not part of the OpenAPI document. Installing
    again only changes the service.

    Args:
        app: The application; it must not have served yet.
        service: The running service.

    Returns:
        The application.

    Raises:
        ConfigurationError: The application has started, or is not one of FastAPI's.
    """
    return starlette.install(app, service)
