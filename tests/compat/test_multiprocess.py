"""What programs do for the multi-process mode of ``prometheus_client`` does no harm, and shows the right numbers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from measurand import REGISTRY, CollectorRegistry, Counter, Domain, Gauge
from measurand.compat import multiprocess
from tests.compat.kit import answer, run

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def test_it_shows_what_other_registries_have_and_nothing_twice() -> None:
    mine, target, domain = CollectorRegistry(), CollectorRegistry(), Domain("compat-multiprocess")
    Counter("multiprocess_own", "d", registry=mine).inc(2)
    Counter("multiprocess_direct", "d", registry=target).inc(3)
    Counter("multiprocess_twice", "d", registry=mine).inc(4)
    Counter("multiprocess_twice", "d", registry=target).inc(4)
    Counter("multiprocess_apart", "d", registry=domain).inc(5)
    multiprocess.MultiProcessCollector(target)
    found = [(sample.name, sample.value) for metric in target.collect() for sample in metric.samples if "multiprocess_" in sample.name]
    assert sorted(found) == [("multiprocess_direct_total", 3.0), ("multiprocess_own_total", 2.0), ("multiprocess_twice_total", 4.0)]


def test_with_the_default_registry_nothing_is_added() -> None:
    before = REGISTRY.collectors()
    multiprocess.MultiProcessCollector(REGISTRY)
    assert REGISTRY.collectors() == before


def test_every_mode_of_a_gauge_is_taken() -> None:
    for mode in ("all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum", "mostrecent", "livemostrecent"):
        Gauge(f"mode_{mode}", "d", multiprocess_mode=mode, registry=CollectorRegistry()).set(1)


PROGRAM = """
    import os
    from {package} import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
    from {multiprocess} import multiprocess

    orders = Counter("orders", "Orders", ["k"])
    times = Histogram("times", "Times", buckets=[1])
    last = Gauge("last", "Last", multiprocess_mode="livemax")
    pids = []
    pipe, told = os.pipe(), os.pipe()
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            orders.labels("x").inc(number); times.observe(number); last.set(number)
            os.write(told[1], b"x"); os.close(pipe[1]); os.read(pipe[0], 1); os._exit(0)
        pids.append(pid)
    for _ in pids: os.read(told[0], 1)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    ours = "orders_total", "times_", "last"
    shown = lambda: [line for line in generate_latest(registry).decode().splitlines() if line.startswith(ours)]
    living = shown()
    os.close(pipe[1])
    for pid in pids:
        os.waitpid(pid, 0); multiprocess.mark_process_dead(pid)
    import json
    print(json.dumps([sorted(living), sorted(shown())]))
"""
EXPECTED = ['orders_total{k="x"} 3.0', 'times_bucket{le="+Inf"} 3.0', 'times_bucket{le="1.0"} 2.0', "times_count 3.0", "times_sum 3.0"]


@forks
@pytest.mark.parametrize("first", ["", "from measurand.compat import install; install()"], ids=["import", "install"])
def test_a_program_for_the_other_library_shows_the_same_numbers(first: str, tmp_path: Path) -> None:
    names = {"package": "prometheus_client", "multiprocess": "prometheus_client"} if first else {}
    program = PROGRAM.format(**(names or {"package": "measurand", "multiprocess": "measurand.compat"}))
    code = f"    import os\n    os.environ['PROMETHEUS_MULTIPROC_DIR'] = {str(tmp_path)!r}\n    {first}\n{program}"
    living, after = answer(code)
    assert living == ["last 2.0", *EXPECTED]
    assert [line for line in after if not line.startswith("last ")] == EXPECTED
    assert list(tmp_path.iterdir()) == []


def test_the_other_librarys_own_modules_of_values_are_not_needed() -> None:
    run("""
        from measurand.compat import install
        install()
        from prometheus_client import Counter, generate_latest, values
        values.ValueClass = values.MultiProcessValue(lambda: 7)
        values.close_all_multiprocess_files()
        Counter("orders", "Orders").inc(2)
        assert b"orders_total 2.0" in generate_latest()
    """)
