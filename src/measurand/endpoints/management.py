"""The pages on a port of their own, away from the application's clients.

One server for all processes of a service: whoever binds the port first serves, the others stand by and take over when it is gone. A port
that another program holds is an error at start-up. Another start of the same service is none: a shell with the service's settings, or the
next start while the last one ends, says so and goes on; it takes the port over once its own server is up. On a loopback address only this
machine can ask, and only under a name of this machine, so that no web site can make a visitor's browser ask for it (DNS rebinding).
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import ipaddress
import logging
import os
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socket import AI_PASSIVE, SOCK_STREAM, gaierror, getaddrinfo
from typing import Any, Literal
from wsgiref.simple_server import WSGIServer, make_server

from measurand import clock
from measurand.core import ancestry
from measurand.endpoints.page import Response
from measurand.endpoints.pages import Page, Pages, Request, has_token, text
from measurand.endpoints.server import SilentHandler, ThreadingWSGIServer
from measurand.endpoints.wsgi import serve_page
from measurand.errors import ConfigurationError
from measurand.lifecycle.background import BackgroundThread

__all__ = ["ManagementServer", "index_page", "is_loopback", "protected"]

LOG = logging.getLogger("measurand.endpoints")

RETRY = 0.25
"""Seconds between two attempts to take the port over."""
PATIENCE = 10.0
"""Seconds in which who has the port may say whose it is."""
POLL = 0.2
"""Seconds until a request to stop is noticed."""
FAMILY_HEADER = "Measurand-Family"
SERVICE_HEADER = "Measurand-Service"

Holder = Literal["kin", "another start", "stranger", "nobody yet"]
"""Who has the port: a process of this service; one of the same service, started another time; somebody else; one who refuses to answer."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address or a name."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def protected(page: Page, token: str | None) -> Page:
    """The same page, for those who send the bearer token; for everybody when there is none."""
    if token is None:
        return page

    def respond(request: Request) -> Response:
        if not has_token(request, token):
            return text(HTTPStatus.UNAUTHORIZED, "send the bearer token\n", ("WWW-Authenticate", "Bearer"))
        return page.respond(request)

    return page._replace(respond=respond)


def index_page(title: str, paths: Callable[[], Iterable[str]]) -> Page:
    """A list of the other pages."""
    return Page(lambda _: text(HTTPStatus.OK, "\n".join([title, "", *sorted(paths()), ""])))


class ManagementServer:
    """Serves pages in a daemon thread, in one process of a service at a time.

    Args:
        pages: What it serves.
        host: The address to listen on.
        port: The port; 0 for a free one.
        service: What this is a server of, equal in all starts of the service.
        is_up: Whether this process serves the application's clients; one that does not never takes over from another start.

    Attributes:
        is_serving: Whether this process is the one that serves.
    """

    def __init__(self, pages: Pages, host: str, port: int, *, service: str = "", is_up: Callable[[], bool] = lambda: True) -> None:
        self._pages = pages
        self._host = host
        self._port = port
        self._family = _digest(ancestry.chosen_directory() or ancestry.family())  # says who is kin and nothing else
        self._service = _digest(service) if service else ""
        self._is_up = is_up
        self._waits_for_another_start = False
        self._trusted = is_loopback(host)
        self._server: WSGIServer | None = None
        self._pid = os.getpid()
        self._thread = BackgroundThread("measurand-management", self._run)

    @property
    def is_serving(self) -> bool:
        """Whether this process is the one that serves."""
        return self._server is not None and self._pid == os.getpid()

    @property
    def url(self) -> str:
        """Where the pages are, whichever process serves them."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self._host, self._host)
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    def start(self) -> None:
        """Serve, or stand by for a process of the same service that does.

        Raises:
            ConfigurationError: The address cannot be had, or another program has it.
        """
        deadline = clock.system_monotonic() + PATIENCE
        pause = threading.Event()
        while True:
            try:
                self._bind()
                break
            except OSError as reason:
                left = deadline - clock.system_monotonic()
                holder = self._holder(left) if reason.errno == errno.EADDRINUSE and left > 0 else "stranger"
                if holder == "kin":
                    LOG.info("another process of this service serves the pages at %s; this one stands by", self.url)
                    break
                if holder == "another start":
                    LOG.warning("another start of this service serves the pages at %s: what this one records is not shown there", self.url)
                    self._waits_for_another_start = True
                    break
                if holder == "stranger":
                    raise ConfigurationError(self._why_not(reason)) from reason
            pause.wait(POLL)  # who had the port refuses: it starts or ends at this moment
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """Stop serving; whether that was done within ``timeout`` seconds."""
        return self._thread.stop(timeout)

    def _bind(self) -> None:
        family, _, _, _, address = getaddrinfo(self._host or None, self._port, type=SOCK_STREAM, flags=AI_PASSIVE)[0]
        server_class = type("ManagementServer", (ThreadingWSGIServer,), {"address_family": family, "timeout": POLL})
        self._server = make_server(str(address[0]), self._port, self._application, server_class, handler_class=SilentHandler)
        self._port, self._pid = self._server.server_port, os.getpid()

    def _run(self, stop: threading.Event) -> None:
        if self._server is not None and self._pid != os.getpid():
            self._server.socket.close()  # a copy from before the fork, which would keep the port from being taken over
            self._server = None
        while not stop.is_set():
            if self._server is None:
                try:
                    if self._waits_for_another_start and not self._is_up():
                        stop.wait(RETRY)
                        continue
                    self._bind()
                except OSError:
                    stop.wait(RETRY)
                continue
            self._server.handle_request()
        if self._server is not None:
            self._server.server_close()
            self._server = None

    def _application(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start_with_family(status: str, headers: list[tuple[str, str]]) -> Any:
            return start_response(status, [*headers, (FAMILY_HEADER, self._family), (SERVICE_HEADER, self._service)])

        page = self._pages.find(environ.get("PATH_INFO", ""))
        if page is None:
            page = Page(lambda _: text(HTTPStatus.NOT_FOUND, "there is no such page; / lists those that are there\n"))
        if self._trusted and not is_loopback(_without_port(environ.get("HTTP_HOST", "localhost"))):
            page = Page(lambda _: text(HTTPStatus.FORBIDDEN, "this server answers to names of this machine only\n"))
        return serve_page(page, environ, start_with_family, trusted=self._trusted)

    def _holder(self, seconds: float) -> Holder:
        """Who has the port."""
        connection = http.client.HTTPConnection(*_address_of(self.url), timeout=seconds)
        try:
            connection.request("GET", "/")
            headers = connection.getresponse().headers
            if headers.get(FAMILY_HEADER) == self._family:
                return "kin"
            return "another start" if self._service and headers.get(SERVICE_HEADER) == self._service else "stranger"
        except ConnectionError:
            return "nobody yet"
        except (OSError, http.client.HTTPException):
            return "stranger"
        finally:
            connection.close()

    def _why_not(self, reason: OSError) -> str:
        where = f"the management server cannot listen on {self._host}:{self._port}"
        if isinstance(reason, gaierror):
            return f"{where}: {self._host!r} is no address of this machine; use 127.0.0.1, ::1 or 0.0.0.0"
        if reason.errno == errno.EADDRINUSE:
            return f"{where}: another program does; choose another port, or 0 for a free one"
        return f"{where}: {reason.strerror or reason}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _without_port(host: str) -> str:
    name, separator, port = host.rpartition(":")
    return name if separator and port.isdigit() else host


def _address_of(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host.strip("[]"), int(port)
