"""``import prometheus_client`` gives this library; each test is a program of its own."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any, TypeVar

import prometheus_client
import pytest

from tests.compat.kit import answer, attempt, run

# -- when ----------------------------------------------------------------------------------------------------------------------


def test_after_the_real_library_was_imported_it_is_refused_naming_who_did() -> None:
    done = attempt("""
        import sys
        from types import ModuleType

        impatient = ModuleType("impatient")
        exec("from prometheus_client import Counter", vars(impatient))
        sys.modules["impatient"] = impatient
        from measurand.compat import install
        install()
    """)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "AlreadyImported" in last
    assert "by impatient" in last
    assert "measurand.compat.install()" in last


def test_a_refusal_leaves_the_real_library_as_it_was() -> None:
    run("""
        import prometheus_client
        from measurand.compat import install
        from measurand.errors import AlreadyImported

        before = dict(vars(prometheus_client))
        for _ in range(2):
            try:
                install()
            except AlreadyImported as error:
                assert "by __main__" in str(error), error
            else:
                raise SystemExit("not refused")
        import prometheus_client as again
        assert again is prometheus_client and vars(again) == before
    """)


def test_importing_compat_installs_nothing() -> None:
    run("""
        import measurand.compat, measurand.compat.install, sys
        assert "prometheus_client" not in sys.modules
        import prometheus_client
        assert not prometheus_client.Counter.__module__.startswith("measurand")
    """)


def test_calling_it_again_changes_nothing() -> None:
    run("""
        import sys
        from measurand import REGISTRY
        from measurand.compat import install

        install()
        import prometheus_client
        before = {name: module for name, module in sys.modules.items() if name.startswith("prometheus_client")}
        contents, collectors = dict(vars(prometheus_client)), REGISTRY.collectors()
        install()
        assert before == {name: module for name, module in sys.modules.items() if name.startswith("prometheus_client")}
        assert (vars(prometheus_client), REGISTRY.collectors()) == (contents, collectors)
    """)


def test_a_collector_that_the_program_registered_before_is_no_conflict() -> None:
    text = run("""
        from measurand import GC_COLLECTOR, PROCESS_COLLECTOR, REGISTRY, generate_latest
        from measurand.compat import install

        REGISTRY.register(PROCESS_COLLECTOR)
        install()
        print(generate_latest().decode())
    """)
    assert text.count("# TYPE process_cpu_seconds_total counter\n") == 1
    assert text.count("# TYPE python_gc_collections_total counter\n") == 1


# -- what ----------------------------------------------------------------------------------------------------------------------


def test_the_default_collectors_are_registered_as_in_the_real_library() -> None:
    show = """
        import json
        from prometheus_client import REGISTRY
        print(json.dumps(sorted({metric.name for metric in REGISTRY.collect()})))
    """
    real, installed = answer(show), answer("from measurand.compat import install\ninstall()\n" + dedented(show))
    assert set(real) <= set(installed)


def dedented(program: str) -> str:
    return "\n".join(line.strip() for line in program.splitlines())


def modules() -> list[str]:
    """The modules of the real library that stand for something of ours, or work on it."""
    found = [module.name for module in pkgutil.walk_packages(prometheus_client.__path__, "prometheus_client.")]
    return ["prometheus_client", *(name for name in found if "twisted" not in name)]


def public(name: str) -> list[str]:
    """The names that a program may import from a module: its ``__all__``, or what it defines itself."""
    module = importlib.import_module(name)
    defined = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == name and not isinstance(value, TypeVar)]
    return sorted(key for key in getattr(module, "__all__", defined) if not key.startswith("_"))


@pytest.mark.once
def test_every_module_has_the_names_of_the_real_one() -> None:
    wanted = {name: public(name) for name in modules()}
    lacking: Any = answer(f"""
        from measurand.compat import install
        install()
        import importlib, json
        lacking = {{}}
        for name, names in {wanted!r}.items():
            module = importlib.import_module(name)
            lacking[name] = [each for each in names if not hasattr(module, each)]
        print(json.dumps({{name: names for name, names in lacking.items() if names}}))
    """)
    assert lacking == {}


def test_every_path_leads_to_the_same_classes_and_the_same_registry() -> None:
    run("""
        from measurand.compat import install
        install()
        import measurand
        import prometheus_client as top
        import prometheus_client.exposition
        from prometheus_client import core, metrics, metrics_core, registry, samples
        from prometheus_client.openmetrics.exposition import generate_latest

        assert top.Counter is core.Counter is metrics.Counter is measurand.Counter
        assert top.REGISTRY is core.REGISTRY is registry.REGISTRY is measurand.REGISTRY
        assert core.CounterMetricFamily is metrics_core.CounterMetricFamily
        assert core.Sample is samples.Sample
        assert issubclass(top.Counter, metrics.MetricWrapperBase)
        assert top.exposition.generate_latest is top.generate_latest
        top.Counter("orders", "Orders").inc()
        assert b"orders_total 1.0" in generate_latest(top.REGISTRY)
        assert b"orders_total 1.0" in measurand.generate_latest()
    """)


def test_multiprocess_code_runs_unchanged() -> None:
    run("""
        from measurand.compat import install
        install()
        from prometheus_client import CollectorRegistry, Counter, generate_latest, multiprocess

        Counter("orders", "Orders").inc(2)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        multiprocess.mark_process_dead(1)
        assert b"\\norders_total 2.0\\n" in generate_latest(registry)
    """)


# -- the real library's other modules on our classes -------------------------------------------------------------------------------


def test_their_parsers_read_our_exposition_into_our_classes() -> None:
    run("""
        from measurand.compat import install
        install()
        import prometheus_client, measurand
        from prometheus_client.openmetrics import parser as openmetrics
        from prometheus_client.openmetrics.exposition import generate_latest
        from prometheus_client.parser import text_string_to_metric_families
        from prometheus_client.samples import Sample

        registry = prometheus_client.CollectorRegistry()
        prometheus_client.Counter("orders", "Orders", ["kind"], registry=registry).labels('a "b"').inc(3, {"trace_id": "abc"})
        prometheus_client.Histogram("wait", "Wait", registry=registry, buckets=[1]).observe(0.5)
        prometheus_client.Enum("state", "State", registry=registry, states=["on", "off"])
        (orders, *_) = text_string_to_metric_families(prometheus_client.generate_latest(registry).decode())
        assert orders.samples == [Sample("orders_total", {"kind": 'a "b"'}, 3.0)], orders
        parsed = {metric.name: metric for metric in openmetrics.text_string_to_metric_families(generate_latest(registry).decode())}
        assert set(parsed) == {"orders", "wait", "state"}
        assert parsed["orders"].samples[0].exemplar.labels == {"trace_id": "abc"}
        assert isinstance(parsed["orders"], prometheus_client.Metric)
        assert type(parsed["orders"].samples[0]) is Sample

        class Parsed:
            def collect(self):
                return parsed.values()

        again = prometheus_client.CollectorRegistry()
        again.register(Parsed())
        expected = generate_latest(registry).decode().splitlines()
        assert [line.partition(" # ")[0] for line in generate_latest(again).decode().splitlines()] == [
            line.partition(" # ")[0] for line in expected
        ]
    """)


def test_their_graphite_bridge_sends_ours() -> None:
    run("""
        from measurand.compat import install
        install()
        import socket, threading
        import prometheus_client
        from prometheus_client.bridge.graphite import GraphiteBridge

        registry = prometheus_client.CollectorRegistry()
        prometheus_client.Counter("orders", "Orders", ["kind"], registry=registry).labels("parts").inc(3)
        with socket.create_server(("127.0.0.1", 0)) as server:
            GraphiteBridge(server.getsockname()[:2], registry=registry).push(prefix="shop")
            connection, _ = server.accept()
            with connection, connection.makefile() as received:
                line = received.readline()
        assert line.startswith("shop.orders_total.kind.parts 3.0 "), line
    """)


def test_without_the_real_library_ours_stands_alone() -> None:
    done = attempt("""
        import importlib.util, sys
        real, importlib.util.find_spec = importlib.util.find_spec, lambda name, *rest: None
        from measurand.compat import install
        install()
        importlib.util.find_spec = real
        from prometheus_client import Counter, generate_latest
        from prometheus_client.exposition import choose_encoder

        Counter("orders", "Orders").inc()
        assert b"orders_total 1.0" in generate_latest()
        import prometheus_client.parser
    """)
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'prometheus_client.parser'"
