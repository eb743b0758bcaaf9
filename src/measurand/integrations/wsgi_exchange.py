"""One WSGI request from its arrival to the last byte of its response, for :mod:`measurand.integrations.wsgi`.

An :class:`Exchange` stands between server and application three times: as ``start_response``, as the iterable that is the body of the
response, and, where the request has a body, beside the stream that it is read from. It passes on everything as it is (status, chunks one
by one, exceptions, ``close()``, ``write()``, a server's own file wrapper, so that ``sendfile`` goes on working) and keeps none of it.
What it has seen it hands to the metrics once, when the application is done.

Nothing of its own reaches the application or the server: a failure is reported and costs the record of that request. An exchange is
used by one thread at a time, as PEP 3333 has it.

Most requests go the same short way, and the code on it is cold when it runs, between a server and a framework. So there is little of
it, and what only some requests need is in :class:`~measurand.integrations.wsgi_rare.Rare`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from measurand import clock
from measurand.catalog.http import UNMATCHED, HttpMetrics, exception_name
from measurand.integrations.wsgi_input import WatchedInput
from measurand.integrations.wsgi_rare import Rare, SizedBody, number

__all__ = [
    "FAILURE",
    "INTERRUPTED",
    "KEY",
    "TEMPLATE",
    "EndpointOf",
    "Environ",
    "ExcInfo",
    "Exchange",
    "Measuring",
    "StartResponse",
    "Write",
]

Environ = dict[str, Any]
Write = Callable[[bytes], object]
StartResponse = Callable[..., Write]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
EndpointOf = Callable[[Environ], str | None]

KEY = "measurand.exchange"
"""Where the exchange of a request under way stands in its environment."""

TEMPLATE = "measurand.endpoint"
"""Where inner code may put the template of the route that took the request, if nothing else says it."""

FAILURE = "measurand.failure"
"""Where inner code may put the class name of an exception that it turned into a response with status 500."""

INTERRUPTED = "measurand.interrupted"
"""In the environment of a request whose application was left by something that is no ``Exception``, when its endpoint is asked for."""

TESTS_CLIENT = "werkzeug.test"
"""The client that Werkzeug and Flask have for tests. It takes the first chunk, and asks for more only if somebody reads the body."""


@dataclass(slots=True)
class Measuring:
    """What the exchanges of one middleware share.

    Attributes:
        http: Where requests are recorded.
        endpoint_of: What knows the route of a request.
        mount_of: Gives what a mount has added to the route, from the SCRIPT_NAME before and after it.
        report: Called with a failure of ours.
    """

    http: HttpMetrics
    endpoint_of: EndpointOf
    mount_of: Callable[[str, str], str]
    report: Callable[[Exception], None]


class Exchange:
    """A request under way, which the metrics have been told of.

    Attributes:
        content: What the application has returned, to be iterated over.
        at_close: Its ``close``, if it has one.

    Args:
        measuring: What is common to the requests of one middleware.
        environ: The request's environment.
        script: Its SCRIPT_NAME, before the application changes it.
        start_response: The server's.
        method: The method as the metrics label it.
        started: When the request came, in seconds of the clock.
    """

    __slots__ = (
        "_ended",
        "_endpoint",
        "_environ",
        "_headers",
        "_is_settled",
        "_measuring",
        "_method",
        "_rare",
        "_script",
        "_sent",
        "_start_response",
        "_started",
        "_status",
        "_write",
        "at_close",
        "content",
    )

    def __init__(
        self, measuring: Measuring, environ: Environ, script: str | None, start_response: StartResponse, method: str, started: float
    ) -> None:
        self._measuring = measuring
        self._environ = environ
        self._script = script
        self._start_response = start_response
        self._method = method
        self._started = started
        self._is_settled = False
        self._endpoint: str | None = None
        self._status = ""
        self._ended: float | None = None
        self._sent = -1  # bytes; below 0 as long as the server was given none
        self._rare: Rare | None = None

    def _rarely(self) -> Rare:
        if self._rare is None:
            self._rare = Rare()
        return self._rare

    # -- what the middleware finds out beforehand ------------------------------------------------------------------------------

    def watch_body(self) -> None:
        """The request has a body; notice when it is cut short."""
        stream = self._environ.get("wsgi.input")
        if stream is not None:
            length = number(self._environ.get("CONTENT_LENGTH"))
            self._environ["wsgi.input"] = WatchedInput(stream, length, self._rarely().note_received)

    def watch_details(self) -> None:
        """Note what is recorded on demand only."""
        self._rarely().is_detailed = True

    def pass_on(self, endpoint_of: EndpointOf) -> None:
        """An application within this one is measured, too, and knows its routes better."""
        self._rarely().endpoint_of.insert(0, endpoint_of)

    # -- what the application calls --------------------------------------------------------------------------------------------

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None) -> Write:
        """See PEP 3333."""
        write = self._start_response(status, headers) if exc_info is None else self._start_response(status, headers, exc_info)
        self._write = write
        self._status = status
        self._headers = headers
        try:
            if exc_info is not None:
                self._environ.setdefault(FAILURE, exception_name(exc_info[1]))
            if self._rare is None:
                endpoint = self._measuring.endpoint_of(self._environ)
                if endpoint is not None:
                    self._endpoint = endpoint if self._environ.get("SCRIPT_NAME") == self._script else self._below_mounts(endpoint)
            elif self._endpoint is None:
                self._resolve()
        except Exception as failure:  # noqa: BLE001 - ours must not become the application's
            self._measuring.report(failure)
        return self.write

    def write(self, data: bytes) -> object:
        """See PEP 3333."""
        try:
            result = self._write(data)
        except OSError:
            self._rarely().has_left = True
            raise
        self._sent = max(self._sent, 0) + len(data)
        if self._rare is not None:
            self._note_sent(self._rare)
        return result

    # -- what the middleware calls ---------------------------------------------------------------------------------------------

    def failed(self, error: BaseException) -> None:
        """The application has raised instead of returning."""
        self._rarely().raised = error
        if not isinstance(error, Exception):
            self._environ[INTERRUPTED] = True
        self._end()
        self._settle()

    def wrap(self, returned: Any) -> Any:
        """The iterable for the server, in place of the one that the application returned."""
        try:
            if returned is None or type(returned) is bytes:
                self._return(returned)
                return returned
            self.content = returned
            self.at_close: Callable[[], object] | None = getattr(returned, "close", None)
            wrapper = self._environ.get("wsgi.file_wrapper")
            if wrapper is None:
                if getattr(self._start_response, "__module__", None) == TESTS_CLIENT:
                    self._watch_tests()
            elif isinstance(returned, wrapper) if isinstance(wrapper, type) else hasattr(returned, "read"):
                self._watch_file(returned)  # uWSGI's wrapper is a function that returns the file itself
                return returned
            return SizedBody(self, returned) if hasattr(returned, "__len__") else self
        except Exception as failure:  # noqa: BLE001 - ours must not become the application's
            self._measuring.report(failure)
            return returned

    # -- what the server calls -------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[bytes]:
        sent = self._sent if self._sent > 0 else 0
        try:
            for chunk in self.content:
                if isinstance(chunk, bytes):  # to anything else the server will object
                    self._sent = sent = sent + len(chunk)
                    if self._rare is not None:
                        self._note_sent(self._rare)
                yield chunk
        except GeneratorExit:
            raise  # the server lets go of this iterator; close() comes next
        except BaseException as error:
            self._rarely().raised = error
            self._end()
            raise
        try:
            self._ended = clock.monotonic()
        except Exception as failure:  # noqa: BLE001 - ours must not become the server's
            self._measuring.report(failure)
        if self.at_close is None or (self._rare is not None and self._rare.is_for_tests):
            self._settle()

    def close(self) -> None:
        """See PEP 3333."""
        if self._ended is None:
            self._stop(sys.exc_info()[1])
        try:
            close = self.at_close
            if close is not None:
                close()
        finally:
            endpoint, status = self._endpoint, self._status
            if self._rare is not None or endpoint is None or status >= "5" or self._is_settled:
                self._settle()
            else:  # as most requests do, it ends with a response that says everything
                self._is_settled = True
                try:
                    self._measuring.http.finish(self._method, endpoint, int(status[:3]), self._ended - self._started)
                except Exception as failure:  # noqa: BLE001 - ours must not become the server's
                    self._measuring.report(failure)
                self._environ.pop(KEY, None)

    def __del__(self) -> None:
        if not self._is_settled:  # whoever asked has let go of a body without closing it
            if self._ended is None:
                self._stop(None)
            self._settle()

    # -- what is noted ---------------------------------------------------------------------------------------------------------

    def _return(self, returned: bytes | None) -> None:
        """The server fails on what the application returned, or sends it in one piece."""
        self._sent = len(returned) if returned else self._sent
        self._status = self._status if returned is not None or self._sent >= 0 else ""
        self._end()
        self._settle()

    def _watch_tests(self) -> None:
        rare = self._rarely()
        rare.is_for_tests = True
        rare.expected = self._content_length()

    def _resolve(self) -> None:
        """Ask for the endpoint all who may know it."""
        environ = self._environ
        for endpoint_of in (*self._rarely().endpoint_of, self._measuring.endpoint_of, _template):
            endpoint = endpoint_of(environ)
            if endpoint is not None:
                self._endpoint = self._below_mounts(endpoint)
                return

    def _below_mounts(self, endpoint: str) -> str:
        return self._measuring.mount_of(self._script or "", self._environ.get("SCRIPT_NAME") or "") + endpoint

    def _watch_file(self, file: Any) -> None:
        """The server knows its own file wrapper by its class, so that this is not wrapped; only its ``close`` tells us."""
        self._rarely().is_file = True
        self._sent = max(self._sent, 0)
        try:
            file.close = self.close
        except (AttributeError, TypeError):  # it takes no attributes, and we shall not hear of its end
            self._end()
            self._settle()

    def _note_sent(self, rare: Rare) -> None:
        try:
            if rare.first is None:
                rare.first = clock.monotonic()
            if self._sent == rare.expected:
                self._end()
                self._settle()
        except Exception as failure:  # noqa: BLE001 - ours must not become the application's
            self._measuring.report(failure)

    def _end(self) -> None:
        """The response is complete, or will never be."""
        try:
            self._ended = clock.monotonic()
        except Exception as failure:  # noqa: BLE001 - ours must not become the server's
            self._measuring.report(failure)

    def _stop(self, error: BaseException | None) -> None:
        """The server asks for no more of a body that has not ended; ``error`` is why, where that is known."""
        self._end()
        rare = self._rarely()
        if error is None or isinstance(error, GeneratorExit):
            rare.has_left = rare.has_left or not self._is_complete(rare)
        elif isinstance(error, OSError) or type(error).__name__ == "ClientDisconnected":  # the latter is Waitress' name for it
            rare.has_left = True
        else:
            rare.raised = error

    def _is_complete(self, rare: Rare) -> bool:
        if rare.is_file or self._method == "HEAD" or self._status[:3] in {"204", "304"}:
            return True
        return 0 <= self._content_length() <= self._sent

    def _content_length(self) -> int:
        """The length that the application has announced; less than 0 if it has not."""
        try:
            return next((number(value) for name, value in self._headers if name.lower() == "content-length"), -1)
        except Exception:  # noqa: BLE001 - the application's headers are whatever the server has let through
            return -1

    # -- what is recorded ------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Record the request, once, however it ended."""
        if self._is_settled:
            return
        self._is_settled = True
        rare = self._rarely()
        try:
            self._record(rare, clock.monotonic() if self._ended is None else self._ended)
        except Exception as failure:  # noqa: BLE001 - ours must not become the server's
            self._measuring.report(failure)
        self._environ.pop(KEY, None)  # nothing that refers to this exchange shall have to wait for the garbage collector
        rare.raised = None

    def _record(self, rare: Rare, ended: float) -> None:
        if self._endpoint is None:
            try:  # the route was not known when the response started, or it has not
                self._resolve()
            except Exception as failure:  # noqa: BLE001 - the request can be recorded all the same
                self._measuring.report(failure)
        status, error_type = rare.outcome(self._status, self._sent >= 0, self._environ.get(FAILURE))
        details: dict[str, float | None] = {}
        if rare.is_detailed:
            details = {
                "request_bytes": rare.received,
                "response_bytes": self._response_bytes(rare),
                "first_byte": (rare.first or ended) - self._started,
                "background": clock.monotonic() - ended,
            }
        endpoint = self._endpoint or UNMATCHED
        self._measuring.http.finish(self._method, endpoint, status, ended - self._started, error_type, rare.is_disconnected, **details)

    def _response_bytes(self, rare: Rare) -> float | None:
        if rare.is_file:
            length = self._content_length()
            return None if length < 0 else length
        return 0 if self._method == "HEAD" else max(self._sent, 0)


def _template(environ: Environ) -> str | None:
    endpoint: str | None = environ.get(TEMPLATE)
    return endpoint
