"""What an integration needs of a running service, so that integrations and runtime know each other by this only."""

from __future__ import annotations

import asyncio
from typing import Protocol

from measurand.catalog.http import HttpMetrics
from measurand.endpoints.pages import Pages

__all__ = ["Service"]


class Service(Protocol):
    """The service that a middleware serves and records for.

    All members may be used from any thread. A middleware reads the attributes once, when it is given the service.
    """

    @property
    def http(self) -> HttpMetrics:
        """Where requests are recorded."""
        ...

    @property
    def pages(self) -> Pages:
        """The pages that the middleware answers itself; their requests are not recorded."""
        ...

    @property
    def excluded(self) -> frozenset[str]:
        """Further paths, exactly as requested, whose requests are passed on and not recorded."""
        ...

    @property
    def is_stopping(self) -> bool:
        """Whether the shutdown has begun."""
        ...

    def server_started(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """The serving process is up. Called from its main thread where the server allows; does not block.

        Each lifespan calls it, also after an earlier one has stopped the service; without a lifespan the first request of a process
        does. Where the service runs already, this does nothing.

        Args:
            loop: The application's event loop; ``None`` under WSGI.
        """
        ...

    def server_stopping(self) -> None:
        """The server is about to end: do what remains of the shutdown. Blocks; in asynchronous code, call it in another thread."""
        ...
