"""Starting, and what runs from then on."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import measurand
from measurand import Check, CollectorRegistry, Counter, Domain, Runtime, generate_latest
from measurand.bootstrap.runtime import current
from measurand.endpoints.pages import Request, answer
from measurand.errors import AlreadyStarted, ConfigurationError
from measurand.exporters.memory import Memory
from measurand.exporters.textfile import Textfile
from measurand.lifecycle.coordinator import Event, State
from tests.support import run_python, wait_until

pytestmark = pytest.mark.once

Starting = Callable[..., Runtime]


def asked(runtime: Runtime, path: str, **headers: str) -> tuple[int, str]:
    """What the application's port answers at a path."""
    page = runtime.pages.find(path)
    assert page is not None, f"nothing stands at {path}"
    response = answer(page, Request("GET", path, "", headers))
    return response.status, response.body.decode()


# -- identity ------------------------------------------------------------------------------------------------------------------


def test_every_series_says_service_and_environment(runtime: Runtime, registry: CollectorRegistry) -> None:
    Counter("orders_total", "Orders", ["channel"], registry=registry).labels("web").inc()
    samples = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    assert len(samples) > 20
    assert [line for line in samples if 'environment="test"' not in line or 'service="shop"' not in line] == []


def test_a_domain_is_labelled_too_and_keeps_to_its_own_page(starting: Starting, registry: CollectorRegistry) -> None:
    governance = Domain("governance")
    Counter("breaches_total", "Breaches", registry=governance).inc()
    runtime = starting(domains={"/v1/governance/metrics": governance})
    _, body = asked(runtime, "/v1/governance/metrics")
    assert 'breaches_total{environment="test",service="shop"} 1.0\n' in body
    assert "uptime_seconds" not in body
    assert "breaches" not in asked(runtime, "/v1/metrics")[1]


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"team": "parts"}, 'app_info{environment="test",team="parts",version="2"} 1.0'),
        ({}, 'app_info{environment="test",version="2"} 1.0'),
    ],
)
def test_common_labels_can_be_chosen(starting: Starting, registry: CollectorRegistry, labels: dict[str, str], found: str) -> None:
    starting(version="2", common_labels=labels)
    assert found in generate_latest(registry).decode()


def test_a_metric_with_such_a_label_is_an_error_that_says_what_to_do(starting: Starting, registry: CollectorRegistry) -> None:
    Counter("sent_total", "Sent", ["service"], registry=registry)
    with pytest.raises(ConfigurationError, match=r"sent .*test_runtime\.py.* has the label 'service'.*start\(common_labels="):
        starting()
    assert current() is None
    assert registry.find("uptime_seconds") is None


def test_starts_are_counted_over_all_lives(tmp_path: Path) -> None:
    code = f"import measurand\nwith measurand.start('shop', state_directory={str(tmp_path)!r}, drain_delay=0):\n    "
    code += "print(measurand.REGISTRY.get_sample_value('service_starts_total'))"
    assert [run_python(code).stdout.strip() for _ in range(3)] == ["1", "2", "3"]


def test_without_a_place_for_it_the_number_of_starts_is_absent_and_a_warning_says_why(
    starting: Starting, registry: CollectorRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING, "measurand"):
        starting(state_directory=tmp_path / "file" / "state")
    assert registry.get_sample_value("service_starts_total") is None
    assert registry.get_sample_value("uptime_seconds") is not None
    assert "MEASURAND_STATE_DIRECTORY" in caplog.text


@pytest.mark.parametrize("shown", [True, False])
def test_the_process_the_interpreter_and_the_library_are_shown_unless_unwanted(
    starting: Starting, registry: CollectorRegistry, shown: bool
) -> None:
    starting(runtime_metrics=shown)
    names = ("process_cpu_seconds_total", "python_info", "python_gc_collections_total", "measurand_series")
    page = generate_latest(registry).decode()
    assert [f"# TYPE {name}" in page for name in names] == [shown] * 4


# -- pages ---------------------------------------------------------------------------------------------------------------------


def test_the_probes_and_the_metrics_have_their_pages(runtime: Runtime) -> None:
    for path in ("/v1/health", "/livez", "/v1/health/"):
        assert asked(runtime, path)[0] == 200
    for path in ("/v1/ready", "/readyz", "/v1/startup", "/startupz"):
        assert asked(runtime, path)[0] == 503
    runtime.server_started(None)
    for path in ("/v1/ready", "/readyz", "/v1/startup", "/startupz", "/v1/metrics"):
        assert asked(runtime, path)[0] == 200
    assert runtime.pages.find("/v1/drain") is None


def test_paths_can_be_chosen(starting: Starting) -> None:
    runtime = starting(metrics_path="/metrics", health_path="/up", ready_path="/go", startup_path="/on", probe_aliases=False)
    assert {path.rstrip("/") for path in runtime.pages.paths} == {"/metrics", "/up", "/go", "/on"}


@pytest.mark.parametrize(
    "settings",
    [
        {"metrics_path": "/v1/ready"},
        {"health_path": "/readyz"},
        {"domains": {"/v1/metrics": Domain("other")}},
        {"domains": {"/v1/health": Domain("other")}},
        {"metrics_path": "/same", "drain_path": "/same", "management": 0},
    ],
)
def test_two_pages_at_one_path_are_refused_and_nothing_is_started(starting: Starting, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="at '/"):
        starting(**settings)
    assert current() is None


def test_a_management_server_takes_the_metrics_away_from_the_application(starting: Starting) -> None:
    from measurand.cli.pages import Place, ask  # noqa: PLC0415 - a client is at hand there

    runtime = starting(management=0)
    assert runtime.pages.find("/v1/metrics") is None
    assert runtime.pages.find("/v1/ready") is not None
    assert runtime.management is not None
    served = {path: ask(Place.of(runtime.management, path)) for path in ("/v1/metrics", "/v1/ready", "/v1/drain", "/")}
    assert [answer.status for answer in served.values()] == [200, 503, 200, 200]
    assert "uptime_seconds" in served["/v1/metrics"].content
    assert served["/v1/drain"].content == {"state": "starting", "drained": False, "in_flight": 0}
    assert "/v1/governance" not in served["/"].content


def test_a_token_is_asked_for_by_everything_but_the_probes(starting: Starting) -> None:
    runtime = starting(token="s3cret")
    assert asked(runtime, "/v1/metrics")[0] == 401
    assert asked(runtime, "/v1/drain")[0] == 401
    assert asked(runtime, "/v1/metrics", authorization="Bearer s3cret")[0] == 200
    assert asked(runtime, "/v1/health")[0] == 200


def test_draining_over_http_takes_the_process_out_of_service(starting: Starting) -> None:
    runtime = starting(token="s3cret")
    runtime.server_started(None)
    page = runtime.pages.find("/v1/drain")
    assert page is not None
    headers = {"authorization": "Bearer s3cret", "measurand-command": "drain"}
    assert answer(page, Request("POST", "/v1/drain", "", headers)).status == 202
    assert asked(runtime, "/v1/ready")[0] == 503
    assert asked(runtime, "/v1/health")[0] == 200
    method = runtime.http.start("GET")
    assert '"drained": false, "in_flight": 1' in asked(runtime, "/v1/drain", **headers)[1]
    runtime.http.finish(method, "/", 200, 0.1)
    assert wait_until(lambda: '"drained": true, "in_flight": 0' in asked(runtime, "/v1/drain", **headers)[1])


# -- what runs -----------------------------------------------------------------------------------------------------------------


def test_checks_run_and_decide_readiness(starting: Starting) -> None:
    state = {"database": True}
    runtime = starting(checks=[Check("database", lambda: state["database"])], health_interval=0.02)
    runtime.server_started(None)
    assert wait_until(lambda: asked(runtime, "/v1/ready")[0] == 200)
    state["database"] = False
    assert wait_until(lambda: asked(runtime, "/v1/ready")[0] == 503)
    assert asked(runtime, "/v1/health")[0] == 200


def test_what_was_registered_for_polling_before_and_after_the_start_is_called(starting: Starting) -> None:
    called = {"early": threading.Event(), "late": threading.Event()}
    early, late = called["early"].set, called["late"].set
    measurand.register_for_polling(f"early-{os.getpid()}", early)
    starting(poll_interval=0.02)
    measurand.register_for_polling(f"late-{os.getpid()}", late)
    assert [event.wait(30) for event in called.values()] == [True, True]


def test_a_name_for_polling_belongs_to_one_function_which_a_reload_may_replace() -> None:
    def one() -> None: ...

    def make() -> Callable[[], None]:
        def two() -> None: ...

        return two

    measurand.register_for_polling("belongs-to-one", one)
    with pytest.raises(ConfigurationError, match=r"'belongs-to-one' is polled already, by .*\.one; choose another name for .*\.two"):
        measurand.register_for_polling("belongs-to-one", make())
    measurand.register_for_polling("reloaded", make())
    measurand.register_for_polling("reloaded", make())


def test_exporters_deliver_the_final_numbers(starting: Starting, registry: CollectorRegistry, tmp_path: Path) -> None:
    orders = Counter("orders_total", "Orders", registry=registry)
    runtime = starting(exporters=[Textfile(tmp_path / "shop.prom", interval=3600)])
    orders.inc(7)
    report = runtime.stop()
    assert report.flushed == ("textfile",)
    assert 'orders_total{environment="test",service="shop"} 7.0\n' in (tmp_path / "shop.prom").read_text()


def test_tasks_are_run_by_one_runner_that_the_end_waits_for(runtime: Runtime, registry: CollectorRegistry) -> None:
    assert runtime.tasks is runtime.tasks
    released = threading.Event()
    done = runtime.tasks.submit(released.wait, 30, name="report")
    runtime.lifecycle.on(Event.PREPARE_SHUTDOWN, released.set)
    assert runtime.stop().is_clean
    assert done.result(0) is True
    assert registry.get_sample_value("active_tasks_at_shutdown") == 1


# -- start and end -------------------------------------------------------------------------------------------------------------


def test_a_second_start_says_that_there_was_a_first(runtime: Runtime, starting: Starting) -> None:
    with pytest.raises(AlreadyStarted, match=r"for the service 'shop'; call measurand\.start\(\) once, or stop\(\) the runtime"):
        starting("other")
    assert current() is runtime


def test_stopping_is_once_whoever_asks(runtime: Runtime) -> None:
    heard: list[str] = []
    runtime.lifecycle.on(Event.SHUTDOWN, lambda: heard.append("shutdown"))
    reports = [runtime.stop(), runtime.stop()]
    runtime.server_stopping()
    assert reports[0] == reports[1]
    assert heard == ["shutdown"]
    assert runtime.lifecycle.state is State.STOPPED


def test_a_stopped_runtime_leaves_nothing_behind(starting: Starting, registry: CollectorRegistry) -> None:
    before = {thread.name for thread in threading.enumerate()}
    with starting(management=0, checks=[Check("ok", lambda: None)]) as runtime:
        runtime.server_started(None)
    assert current() is None
    assert wait_until(lambda: {thread.name for thread in threading.enumerate()} <= before)
    assert registry.common_labels == {}
    assert registry.find("uptime_seconds") is registry.find("process_open_fds") is registry.find("measurand_series") is None


def test_one_after_the_other_may_be_started(starting: Starting, registry: CollectorRegistry) -> None:
    for number in range(3):
        with starting(f"shop-{number}") as runtime:
            runtime.server_started(None)
            assert f'service="shop-{number}"' in asked(runtime, "/v1/metrics")[1]
            assert asked(runtime, "/v1/ready")[0] == 200


def test_a_stopped_runtime_that_is_served_again_runs_again(starting: Starting) -> None:
    called = threading.Event()
    runtime = starting(management=0, poll_interval=0.02)
    runtime.register_for_polling("work", called.set)
    for _ in range(3):
        runtime.server_started(None)
        assert asked(runtime, "/v1/ready")[0] == 200
        called.clear()
        assert called.wait(30)
        runtime.server_stopping()
        assert asked(runtime, "/v1/ready")[0] == 503


def test_a_start_that_fails_leaves_nothing_behind(starting: Starting, registry: CollectorRegistry) -> None:
    with pytest.raises(ConfigurationError, match="cannot listen on 192"):
        starting(management="192.0.2.1:1")
    assert current() is None
    assert registry.common_labels == {}
    assert registry.find("uptime_seconds") is None
    assert starting() is current()


def test_a_misspelt_setting_is_a_type_error_with_the_likely_name(starting: Starting) -> None:
    with pytest.raises(TypeError, match=r"start\(\) has no setting 'drain_dely'; is 'drain_delay' meant\?"):
        starting(drain_dely=5)


def test_a_misspelt_variable_is_warned_about(starting: Starting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("MEASURAND_DRAIN_DELY", "5")
    with caplog.at_level(logging.WARNING, "measurand"):
        starting()
    assert "MEASURAND_DRAIN_DELY is not a setting; is MEASURAND_DRAIN_DELAY meant?" in caplog.text


@pytest.mark.parametrize(
    ("exporter", "said"),
    [
        (object(), "is no exporter: it has no name and no interval and no export"),
        (Memory, "is no exporter: it has no name and no interval; give an instance of it"),
        ("statd://127.0.0.1", "no exporter has the scheme 'statd' of 'statd://127.0.0.1'; is statsd: meant?"),
    ],
)
def test_what_is_no_exporter_is_refused(starting: Starting, exporter: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        starting(exporters=[exporter])


def test_exporters_of_the_environment_come_besides_and_any_can_be_taken_away(
    starting: Starting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEASURAND_EXPORTERS", f"textfile://{tmp_path}/numbers.prom?interval=3600")
    memory = Memory(interval=3600)
    runtime = starting(exporters=[memory])
    assert [exporter.name for exporter in runtime.exporters] == ["textfile", "memory"]
    runtime.exporters.remove("memory")
    assert memory.value("measurand_export_failures_total", exporter="memory", service="shop", environment="test") == 0
    late = Memory(interval=3600, name="late")
    runtime.exporters.add(late)
    assert runtime.stop().flushed == ("textfile", "late")
    assert len(late.delivered) == len(memory.delivered) == 1
    assert "measurand_export_failures_total" in (tmp_path / "numbers.prom").read_text()


def test_the_application_s_loop_runs_asynchronous_checks_and_callbacks(starting: Starting) -> None:
    async def main() -> set[asyncio.AbstractEventLoop]:
        seen: dict[str, asyncio.AbstractEventLoop] = {}

        async def check() -> None:
            seen["check"] = asyncio.get_running_loop()

        async def callback() -> None:
            seen["callback"] = asyncio.get_running_loop()

        runtime = starting(checks=[check], health_interval=0.02, poll_interval=0.02)
        runtime.register_for_polling("callback", callback)
        runtime.server_started(asyncio.get_running_loop())
        await asyncio.wait_for(asyncio.to_thread(wait_until, lambda: len(seen) == 2), 60)
        await asyncio.to_thread(runtime.server_stopping)
        return set(seen.values()) - {asyncio.get_running_loop()}

    assert asyncio.run(main()) == set()


def test_the_end_of_the_interpreter_stops_it(tmp_path: Path) -> None:
    code = f"""
import measurand
from measurand.exporters.memory import Memory
from measurand.exporters.textfile import Textfile
measurand.Counter("orders_total", "Orders").inc(3)
measurand.start("shop", state_directory={str(tmp_path)!r}, exporters=[Textfile({str(tmp_path / "shop.prom")!r})])
"""
    assert run_python(code).returncode == 0
    assert 'orders_total{environment="development",service="shop"} 3.0\n' in (tmp_path / "shop.prom").read_text()


def test_a_child_that_does_not_serve_does_not_end_what_its_parent_runs(tmp_path: Path) -> None:
    code = f"""
import os, sys
import measurand
runtime = measurand.start("shop", state_directory={str(tmp_path)!r}, drain_delay=0)
runtime.lifecycle.on("shutdown", lambda: print("stopped in", "parent" if os.getpid() == parent else "child", flush=True))
parent = os.getpid()
if os.fork() == 0:
    sys.exit(0)
os.wait()
"""
    assert run_python(code, "-W", "ignore").stdout == "stopped in parent\n"


def test_what_is_measured_besides_can_be_switched_on(starting: Starting, registry: CollectorRegistry) -> None:
    starting(body_sizes=True, first_byte=True, background=True, max_endpoints=7, request_buckets=[1, 2])
    names = ("http_request_body_bytes", "http_response_body_bytes", "http_response_first_byte_seconds", "http_background_seconds")
    page = generate_latest(registry).decode()
    assert [name for name in names if f"# TYPE {name} histogram" not in page] == []
