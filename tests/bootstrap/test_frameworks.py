"""One line for each framework."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import measurand
from measurand import Check, CollectorRegistry, Domain, Runtime
from measurand.bootstrap.runtime import current
from measurand.errors import ConfigurationError
from measurand.exporters.memory import Memory
from measurand.health import checks
from tests.support import run_python

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


def test_an_application_factory_may_make_everything_anew(starting: Starting, registry: CollectorRegistry, tmp_path: Path) -> None:
    def make() -> Callable[..., Any]:
        def queue() -> bool:
            return True

        return measurand.wsgi(
            hello,
            service="till",
            version=os.environ.get("MEASURAND_TEST_UNSET"),
            management=None,
            checks=(check for check in (checks.disk(tmp_path, free_bytes=1), queue, Check("worker", lambda: None, interval=3))),
            exporters=[Memory(interval=3600)],
            domains={},
            registry=registry,
            state_directory=str(tmp_path),
            request_buckets=(bound for bound in (1, 2)),
            drain_delay=0,
        )

    for _ in range(3):
        app = make()
    assert get(app, "/v1/metrics")[0] == "200 OK"
    assert measurand.wsgi(hello, version=None, management=None, checks=[]) is not None, "this says nothing else"


def test_the_default_registry_is_no_other_option(tmp_path: Path) -> None:
    code = f"""
import measurand
for registry in ({{}}, {{"registry": measurand.REGISTRY}}, {{}}):
    measurand.wsgi(print, service="till", state_directory={str(tmp_path)!r}, drain_delay=0, **registry)
"""
    ran = run_python(code)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    "other",
    [
        {"version": "2"},
        {"version": None},
        {"health_interval": 7},
        {"checks": [Check("stock", bool)]},
        {"checks": [Check("queue", bool, interval=3)]},
        {"checks": []},
        {"exporters": [Memory(interval=3600, name="another")]},
        {"registry": CollectorRegistry()},
        {"domains": {"/v1/audit": Domain("audit")}},
    ],
)
def test_an_option_that_is_really_another_one_is_refused(starting: Starting, tmp_path: Path, other: dict[str, Any]) -> None:
    def options() -> dict[str, Any]:
        made = {"checks": [Check("queue", bool)], "exporters": [Memory(interval=3600)], "version": "1", "health_interval": 5}
        return {**made, "registry": registry, "state_directory": tmp_path, "drain_delay": 0}

    registry = CollectorRegistry()
    for _ in range(2):
        measurand.wsgi(hello, **options())
    with pytest.raises(ConfigurationError, match="with other options than"):
        measurand.wsgi(hello, **{**options(), **other})


PROGRAM = """
import multiprocessing, sys
from functools import partial
from importlib import import_module
import measurand
from measurand import Check

class Stock:
    name = "stock"
    def run(self): return True

def db(): return True
def broker(address): return True
def hello(environ, start_response): return []
def refresh(): ...

checks = [db, Check("broker", partial(broker, "here")), Stock()]
app = measurand.wsgi(hello, service="till", state_directory=sys.argv[1], drain_delay=0, checks=checks)
measurand.register_for_polling("refresh", refresh, interval=60)

def serve():
    assert import_module("program").app is not app

if __name__ == "__main__":
    serve()
    worker = multiprocessing.get_context("spawn").Process(target=serve)
    worker.start()
    worker.join()
    sys.exit(worker.exitcode)
"""


def test_a_program_may_be_imported_by_the_server_that_it_starts(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    # a process of its own: it is the file that has two names
    program = f"[sys.executable, {str(tmp_path / 'program.py')!r}, {str(tmp_path)!r}]"
    ran = run_python(f"import os, sys; os.execv(sys.executable, {program})")
    assert ran.returncode == 0, ran.stderr


def test_a_runtime_and_options_for_one_do_not_go_together(runtime: Runtime) -> None:
    assert callable(measurand.wsgi(hello, runtime))
    with pytest.raises(ConfigurationError, match=r"a runtime was passed, and options for a new one \(service\): leave one of them out"):
        measurand.wsgi(hello, runtime, service="shop")


def test_a_runtime_that_was_stopped_starts_again_with_the_next_server(runtime: Runtime) -> None:
    app = measurand.wsgi(hello, runtime)
    assert get(app, "/v1/ready")[0] == "200 OK"
    runtime.stop()
    assert get(app, "/v1/ready")[0].startswith("503")
