"""One line for each framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import measurand
from measurand import CollectorRegistry, Runtime
from measurand.bootstrap.runtime import current
from measurand.errors import ConfigurationError

pytestmark = pytest.mark.once

Starting = Callable[..., Runtime]


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def get(app: Callable[..., Any], path: str) -> tuple[str, bytes]:
    answered: list[str] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "SCRIPT_NAME": ""}
    body = app(environ, lambda status, headers, exc_info=None: answered.append(status))
    content = b"".join(body)
    close = getattr(body, "close", None)
    if close is not None:
        close()
    return answered[0], content


def test_the_line_uses_the_runtime_that_there_is(runtime: Runtime, registry: CollectorRegistry) -> None:
    app = measurand.wsgi(hello)
    assert get(app, "/") == ("200 OK", b"hello")
    assert get(app, "/v1/ready")[0] == "200 OK"
    labels = {"method": "GET", "endpoint": "__unmatched__", "status": "200", "service": "shop", "environment": "test"}
    assert registry.get_sample_value("http_requests_total", labels) == 1


def test_the_line_starts_a_runtime_if_there_is_none(registry: CollectorRegistry, tmp_path: Any, starting: Starting) -> None:
    options = {"service": "till", "registry": registry, "state_directory": tmp_path, "drain_delay": 0}
    for _ in range(50):  # as an application factory does
        app = measurand.wsgi(hello, **options)
    running = current()
    assert running is not None
    assert running.config.service == "till"
    assert get(app, "/v1/metrics")[0] == "200 OK"


def test_other_options_than_those_it_was_started_with_are_refused(registry: CollectorRegistry, tmp_path: Any, starting: Starting) -> None:
    measurand.wsgi(hello, service="till", registry=registry, state_directory=tmp_path, drain_delay=0)
    with pytest.raises(ConfigurationError, match="for the service 'till', with other options than service: pass them where it is started"):
        measurand.wsgi(hello, service="shop")
    assert callable(measurand.wsgi(hello))


def test_a_runtime_and_options_for_one_do_not_go_together(runtime: Runtime) -> None:
    assert callable(measurand.wsgi(hello, runtime))
    with pytest.raises(ConfigurationError, match=r"a runtime was passed, and options for a new one \(service\): leave one of them out"):
        measurand.wsgi(hello, runtime, service="shop")


def test_a_runtime_that_was_stopped_starts_again_with_the_next_server(runtime: Runtime) -> None:
    app = measurand.wsgi(hello, runtime)
    assert get(app, "/v1/ready")[0] == "200 OK"
    runtime.stop()
    assert get(app, "/v1/ready")[0].startswith("503")
