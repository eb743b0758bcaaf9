"""Start and end of a service by the lifespan messages of ASGI.

The service learns that the server is up when the application has started. When the server is about to end, the service stops first: its
pollers, checks and flushes need what the application holds (pools, sessions), and they were started after it. Then the application shuts
down.

An application may live several times in one process, as under a test client: each lifespan starts the service and stops it. Requests
start it only where there was no lifespan yet, so that one which comes late does not bring it back.

An application that does not handle the lifespan is answered for: to the server there is one, so that start and end are known all the same.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from measurand.integrations.service import Service

__all__ = ["Driven", "drive", "in_thread"]

LOG = logging.getLogger("measurand.http")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Driven(Protocol):
    """The middleware, as the lifespan needs it."""

    service: Service
    app: Callable[[Message, Receive, Send], Awaitable[None]]

    def life_started(self) -> None:
        """Tell the service that its server is up, at the start of each lifespan; raises nothing."""
        ...

    def report(self, failure: Exception) -> None:
        """Log what has failed in here."""
        ...


async def drive(middleware: Driven, scope: Message, receive: Receive, send: Send) -> None:
    """Serve a scope of type ``lifespan``."""
    sent: set[str] = set()
    received: set[str] = set()

    async def watched_receive() -> Message:
        message = await receive()
        received.add(message["type"])
        if message["type"] == "lifespan.shutdown":
            await stop(middleware)
        return message

    async def watched_send(message: Message) -> None:
        sent.add(message["type"])
        if message["type"] == "lifespan.startup.complete":
            middleware.life_started()
        await send(message)

    try:
        await middleware.app(scope, watched_receive, watched_send)
    except Exception as reason:
        if sent:
            raise
        LOG.info("the application does not handle the lifespan (%r); the service starts and stops without it", reason)
    if not sent:
        await stand_in(watched_receive, watched_send, received)


async def stand_in(receive: Receive, send: Send, received: set[str]) -> None:
    """Answer the server in the application's place."""
    if "lifespan.startup" not in received:
        await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def stop(middleware: Driven) -> None:
    """Let the service end; the event loop goes on meanwhile."""
    try:
        await in_thread(middleware.service.server_stopping)
    except Exception as failure:  # noqa: BLE001 - ours must not become the application's
        middleware.report(failure)


async def in_thread(function: Callable[[], None]) -> None:
    """Wait for ``function`` in a thread of its own: those of the loop's executor may all hang by now."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # another library's loop, which is about to end anyway
        function()
        return
    outcome = loop.create_future()

    def settle(error: Exception | None) -> None:
        if not outcome.done():
            if error is None:
                outcome.set_result(None)
            else:
                outcome.set_exception(error)

    def run() -> None:
        error = None
        try:
            function()
        except Exception as raised:  # noqa: BLE001 - goes to whoever waits
            error = raised
        loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, name="measurand-stop", daemon=True).start()
    await outcome
