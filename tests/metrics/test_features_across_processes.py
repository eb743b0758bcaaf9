"""Every feature at one process and at four: the same tests, the same numbers, whichever process is asked; over both twins.

Removal and exemplars have files of their own.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.metrics.company import Service
from tests.servers import Pushgateway

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]


# -- instruments -------------------------------------------------------------------------------------------------------------------


def test_counters_histograms_and_summaries_add_up(service: Service) -> None:
    service.everywhere("""
        C, H, S = Counter("add_c", "d", ["k"]), Histogram("add_h", "d", ["k"], buckets=[1, 2]), Summary("add_s", "d", ["k"])
    """)
    for place in range(4):
        service.at(place, f"C.labels('x').inc({place}); H.labels('x').observe({place}); S.labels('x').observe({place})")
    assert service.lines("add_") == [
        'add_c_total{k="x"} 6.0',
        'add_h_bucket{k="x",le="+Inf"} 4.0',
        'add_h_bucket{k="x",le="1.0"} 2.0',
        'add_h_bucket{k="x",le="2.0"} 3.0',
        'add_h_count{k="x"} 4.0',
        'add_h_sum{k="x"} 6.0',
        'add_s_count{k="x"} 4.0',
        'add_s_sum{k="x"} 6.0',
    ]
    assert service.shows("value('add_c_total', k='x')") == 6


def test_a_gauge_without_a_rule_adds_up_if_it_is_moved_and_shows_the_last_value_if_it_is_set(service: Service) -> None:
    service.everywhere("MOVED, PUT = Gauge('gauge_moved', 'd'), Gauge('gauge_put', 'd')")
    for place in range(4):
        service.at(place, f"MOVED.inc({place}); MOVED.dec(); PUT.set({place})")
    assert service.lines("gauge_") == ["gauge_moved 2.0", "gauge_put 3.0"]


def test_a_gauge_whose_rule_asks_for_one_value_shows_it(service: Service) -> None:
    service.everywhere("""
        RULED = [Gauge("rule_" + rule, "d", ["k"], multiprocess_mode=rule) for rule in ("mostrecent", "livemostrecent")]
        TOP = [Gauge("rule_" + rule, "d", ["k"], multiprocess_mode=rule) for rule in ("max", "livemax")]
        LOW = [Gauge("rule_" + rule, "d", ["k"], multiprocess_mode=rule) for rule in ("min", "livemin")]
    """)
    for place in (2, 3, 0, 1):
        service.at(place, f"for gauge in RULED: gauge.labels('x').set({place})")
    service.at(3, "for gauge in TOP: gauge.labels('x').set(7)")
    service.at(2, "for gauge in LOW: gauge.labels('x').set(-7)")
    assert {line.split()[1] for line in service.lines("rule_mostrecent", "rule_livemostrecent")} == {"1.0"}
    assert {line.split()[1] for line in service.lines("rule_max", "rule_livemax")} == {"7.0"}
    assert {line.split()[1] for line in service.lines("rule_min", "rule_livemin")} == {"-7.0"}


def test_an_info_shows_facts_and_an_enumeration_a_state(service: Service) -> None:
    service.everywhere("I, E = Info('facts', 'd', ['k']), Enum('facts_state', 'd', ['k'], states=['off', 'on'])")
    service.everywhere("I.labels('x').info({'version': '2'}); E.labels('x').state('on')")
    service.at(3, "I.labels('y').info({'version': '1'}); I.labels('y').info({'version': '3'})")
    assert service.lines("facts") == [
        'facts_info{k="x",version="2"} 1.0',
        'facts_info{k="y",version="3"} 1.0',
        'facts_state{facts_state="off",k="x"} 0.0',
        'facts_state{facts_state="on",k="x"} 1.0',
    ]


def test_a_callback_gives_the_value_of_its_gauge(service: Service) -> None:
    service.everywhere("G, K = Gauge('called', 'd'), Gauge('called_by', 'd', ['k'])")
    service.everywhere("G.set_function(lambda: 5); K.labels('x').set_function(lambda: 7)")
    assert service.lines("called") == ["called 5.0", 'called_by{k="x"} 7.0']


def test_quantiles_are_those_of_everything_observed(service: Service) -> None:
    service.everywhere("H = Histogram('quantile', 'd', ['k'], buckets=[1, 2, 3, 4])")
    for place in range(4):
        service.at(place, f"for _ in range(10): H.labels('x').observe({place} + 0.5)")
    service.at(1, "H.labels('y').observe(9)")
    assert service.shows("[H.labels('x').p50, H.labels('x').quantile(0.25), H.labels('x').p99]") == pytest.approx([2.0, 1.0, 3.96])
    assert service.shows("[H.p50, H.p95]") == pytest.approx([2.05, 3.895])


# -- series that come and go -------------------------------------------------------------------------------------------------------


def test_declared_series_show_zero_before_anything_happens(service: Service) -> None:
    service.everywhere("C = Counter('declared', 'd', ['k'], label_values={'k': ['x', 'y']})")
    assert service.lines("declared_total") == ['declared_total{k="x"} 0.0', 'declared_total{k="y"} 0.0']
    service.at(3, "C.labels('x').inc()")
    assert service.lines("declared_total") == ['declared_total{k="x"} 1.0', 'declared_total{k="y"} 0.0']


def test_what_expires_goes_from_every_scrape_and_comes_back_with_the_next_write(service: Service) -> None:
    service.everywhere("""
        from measurand import clock
        from tests.support import StillClock
        before = clock.use(still := StillClock())
        G = Gauge('expiring', 'd', ['k'], expire_after=10, multiprocess_mode='max')
    """)
    try:
        service.at(1, "G.labels('x').set(1)")
        service.everywhere("still.advance(6)")
        service.at(2, "G.labels('y').set(2)")
        assert service.lines("expiring") == ['expiring{k="x"} 1.0', 'expiring{k="y"} 2.0']
        service.everywhere("still.advance(6)")
        assert service.lines("expiring") == ['expiring{k="y"} 2.0']
        service.everywhere("still.advance(6)")
        assert service.lines("expiring") == []
        service.at(3, "G.labels('x').set(3)")
        assert service.lines("expiring") == ['expiring{k="x"} 3.0']
    finally:
        service.everywhere("clock.use(before)")


def test_what_is_beyond_the_limit_of_series_is_counted_in_one(service: Service) -> None:
    service.everywhere("C = Counter('capped', 'd', ['k'], max_series=2)")
    service.everywhere("for key in 'ab': C.labels(key)")
    for place in range(4):
        service.at(place, "for key in 'abcdef': C.labels(key).inc()")
    assert service.lines("capped_total") == [
        'capped_total{k="__other__"} 16.0',
        'capped_total{k="a"} 4.0',
        'capped_total{k="b"} 4.0',
    ]


# -- registries --------------------------------------------------------------------------------------------------------------------


def test_names_are_built_and_common_labels_and_targets_are_shown(service: Service) -> None:
    service.everywhere("""
        OWN = CollectorRegistry(target_info={"zone": "a"}, common_labels={"service": "shop"})
        C = Counter("named", "d", ["k"], namespace="shop", subsystem="cart", unit="bytes", registry=OWN)
    """)
    for place in range(4):
        service.at(place, "C.labels('x').inc()")
    assert service.shows("lines('shop', 'target', registry=OWN)") == [
        'shop_cart_named_bytes_total{k="x",service="shop"} 4.0',
        'target_info{zone="a"} 1.0',
    ]
    assert service.shows("OWN.get_sample_value('shop_cart_named_bytes_total', {'k': 'x'})") == 4
    service.everywhere("OWN.set_common_labels({}); OWN.set_target_info(None)")
    assert service.shows("lines('shop', 'target', registry=OWN)") == ['shop_cart_named_bytes_total{k="x"} 4.0']


def test_domains_and_registries_are_told_apart_and_restricted(service: Service) -> None:
    service.everywhere("""
        ONE, TWO, DOMAIN = CollectorRegistry(), CollectorRegistry(), Domain("features")
        APART = [Counter("apart", "d", registry=each) for each in (REGISTRY, ONE, TWO, DOMAIN)]
        Gauge("apart_g", "d", registry=ONE).set(1)
    """)
    for place in range(4):
        service.at(place, "for amount, counter in enumerate(APART): counter.inc(amount)")
    assert service.shows("[each.get_sample_value('apart_total') for each in (REGISTRY, ONE, TWO, DOMAIN)]") == [0, 4, 8, 12]
    assert service.shows("lines('apart', registry=ONE.restricted_registry(['apart_total']))") == ["apart_total 4.0"]
    assert service.shows("lines('apart', registry=ONE)") == ["apart_g 1.0", "apart_total 4.0"]
    assert service.shows("lines('apart', registry=DOMAIN)") == ["apart_total 12.0"]


def test_custom_collectors_are_asked_once_in_the_process_that_answers(service: Service) -> None:
    service.everywhere("""
        from measurand.metrics.families import GaugeMetricFamily
        class Custom:
            def collect(self):
                yield GaugeMetricFamily("custom", "d", value=3)
        REGISTRY.register(Custom())
    """)
    assert service.lines("custom") == ["custom 3.0"]


def test_the_librarys_own_numbers_are_there(service: Service) -> None:
    service.everywhere("""
        from measurand.catalog.library import LibraryCollector
        LIBRARY = CollectorRegistry()
        C = Counter("counted", "d", ["k"], registry=LIBRARY)
        LibraryCollector(LIBRARY)
        C.labels("x").inc()
    """)
    assert 'measurand_series{metric="counted"} 1.0' in service.shows("lines('measurand_series{', registry=LIBRARY)")


# -- what reads --------------------------------------------------------------------------------------------------------------------


def test_all_forms_of_the_page_show_the_same(service: Service) -> None:
    service.everywhere("C = Counter('formed', 'd', ['k'])")
    for place in range(4):
        service.at(place, "C.labels('x').inc()")
    service.everywhere("""
        from measurand.endpoints.page import *
        from wsgiref.util import setup_testing_defaults
        def page(query="", **headers):
            environ = {"QUERY_STRING": query, **headers}
            setup_testing_defaults(environ)
            said = []
            body = b"".join(make_wsgi_app()(environ, lambda status, headers: said.append((status, dict(headers)))))
            status, given = said[0]
            return (gzip.decompress(body) if given.get("Content-Encoding") == "gzip" else body).decode()
    """)
    wanted = 'formed_total{k="x"} 4.0'
    for how in ("", "HTTP_ACCEPT='application/openmetrics-text; version=1.0.0'", "HTTP_ACCEPT_ENCODING='gzip'"):
        assert wanted in service.shows(f"[line for line in page({how}).splitlines() if line.startswith('formed')]")
    assert service.shows("page('name[]=formed_total').splitlines()[-1]") == wanted


def test_a_file_is_written_with_everything(service: Service, tmp_path: Path) -> None:
    service.everywhere("OWN = CollectorRegistry(); C = Counter('written', 'd', registry=OWN)")
    for place in range(4):
        service.at(place, "C.inc()")
    service.at(3, f"write_to_textfile({str(tmp_path / 'metrics.prom')!r}, OWN)")
    assert (tmp_path / "metrics.prom").read_text().splitlines()[-1] == "written_total 4.0"


def test_a_pushgateway_gets_everything(service: Service, pushgateway: Pushgateway) -> None:
    service.everywhere("OWN = CollectorRegistry(); C = Counter('pushed', 'd', registry=OWN)")
    for place in range(4):
        service.at(place, "C.inc()")
    service.at(2, f"push_to_gateway({pushgateway.address!r}, 'job', OWN)")
    assert [line for line in pushgateway.metrics() if line.startswith("pushed")] == ['pushed_total{instance="",job="job"} 4']


def test_the_other_librarys_page_shows_everything(service: Service) -> None:
    service.everywhere("""
        import prometheus_client
        from measurand.compat import share
        share()
        C, H = Counter('shared_c', 'd', ['k']), Histogram('shared_h', 'd', buckets=[1])
        THEIRS = prometheus_client.Counter('theirs', 'd')
    """)
    for place in range(4):
        service.at(place, "C.labels('x').inc(); H.observe(0.5)")
    shown = service.shows("sorted(l for l in prometheus_client.generate_latest().decode().splitlines() if l.startswith('shared_'))")
    assert shown == [
        'shared_c_total{k="x"} 4.0',
        'shared_h_bucket{le="+Inf"} 4.0',
        'shared_h_bucket{le="1.0"} 4.0',
        "shared_h_count 4.0",
        "shared_h_sum 2.0",
    ]


def test_the_testing_kit_sees_what_other_processes_record(service: Service) -> None:
    service.everywhere("C = Counter('tested', 'd', ['k'])")
    service.at(0, "from measurand.testing.readings import Readings; C.labels('x').inc(5); metrics = Readings()")
    for place in range(4):
        service.at(place, "C.labels('x').inc()")
    assert service.ask(0, "[metrics.delta('tested_total', k='x'), metrics.value('tested_total', k='x')]") == [4, 9]


# -- processes ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells of its processes in /proc")
def test_the_processes_of_a_service_are_shown_together_and_each_if_asked_for(service: Service) -> None:
    service.everywhere("""
        OWN, EACH = CollectorRegistry(), CollectorRegistry()
        ProcessCollector(registry=OWN); ProcessCollector(registry=EACH, per_process=True)
        PLATFORM_COLLECTOR, GC_COLLECTOR
        def process(name, registry=OWN): return registry.get_sample_value("process_" + name)
        def each(name): return {s.labels["pid"]: s.value for m in EACH.collect() for s in m.samples if s.name == "process_" + name}
    """)
    pids = {str(service.ask(place, "os.getpid()")) for place in range(4)}
    for place in range(4):
        assert set(service.ask(place, "each('resident_memory_bytes')")) == pids
        assert service.ask(place, "process('open_fds')") == service.ask(place, "sum(each('open_fds').values())")
        assert service.ask(place, "process('threads')") >= len(pids)
        assert service.ask(place, "process('max_fds')") == service.ask(place, "min(each('max_fds').values())")
    assert service.ask(1, "process('resident_memory_bytes')") > service.ask(1, "max(each('resident_memory_bytes').values())") * 0.9
    before = service.ask(0, "process('cpu_seconds_total')")
    service.at(3, "import time; end = time.process_time() + 0.1\nwhile time.process_time() < end: pass")
    assert service.ask(1, "process('cpu_seconds_total')") >= before + 0.08
    assert service.shows("process('start_time_seconds')") <= service.ask(3, "min(each('start_time_seconds').values())")


def test_garbage_collections_of_all_processes_are_counted(service: Service) -> None:
    service.everywhere("OWN = CollectorRegistry(); GCCollector(registry=OWN)")
    asked = "OWN.get_sample_value('python_gc_collections_total', {'generation': '2'})"
    for place in range(4):
        service.ask(place, asked)
    before = service.ask(0, asked)
    for place in range(4):
        service.at(place, "for _ in range(5): gc.collect()")
        service.ask(place, asked)
    assert service.ask(0, asked) >= before + 20
    assert service.shows("sum(line.startswith('python_gc_') for line in generate_latest(OWN).decode().splitlines())") == 9


def test_what_is_said_of_the_platform_is_said_once(service: Service) -> None:
    service.everywhere("OWN = CollectorRegistry(); PlatformCollector(registry=OWN)")
    assert len(service.shows("lines('python_info', registry=OWN)")) == 1


def test_creation_times_are_those_of_the_first(tmp_path: Path) -> None:
    for processes in (1, 4):
        service = Service(processes, False, tmp_path / f"created-{processes}", created=True)
        try:
            service.everywhere("C, START = Counter('made', 'd', ['k']), __import__('time').time()")
            for place in (2, 1, 3, 0):
                service.at(place, "C.labels('x').inc()")
            times = [service.ask(place, "value('made_created', k='x')") for place in range(4)]
            assert len(set(times)) == 1, times
            assert service.ask(0, "START") <= times[0] <= service.ask(0, "__import__('time').time()")
            made = service.ask(2, "[s.value for m in C.collect() for s in m.samples if s.name == 'made_created']")
            assert times == made * 4
        finally:
            service.close()


def test_a_gauge_keeps_its_value_where_creation_times_are_shown(tmp_path: Path) -> None:
    service = Service(4, False, tmp_path / "family", created=True)
    try:
        service.everywhere("G = Gauge('kept', 'd', multiprocess_mode='max')")
        for place in range(4):
            service.at(place, f"G.set({place})")
        assert service.lines("kept") == ["kept 3.0"]
    finally:
        service.close()


def test_a_series_that_a_process_takes_over_while_it_is_scraped_does_not_fall(service: Service) -> None:
    service.everywhere('HEIRLOOM = Counter("heirlooms", "Heirlooms", ["k"])')
    code = """
    from measurand.metrics.collecting import gather

    class Busy:
        '''Counts while it is collected, as another thread might.'''
        def collect(self):
            HEIRLOOM.labels("a").inc()
            return []
        def describe(self):
            return []

    def child(body):
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            os.write(write, json.dumps(body()).encode())
            shared.leave()
            os._exit(0)
        os.close(write)
        os.waitpid(pid, 0)
        with os.fdopen(read) as source:
            return json.load(source)

    def shown():
        REGISTRY.register(Busy())
        return [sample.value for family in gather(REGISTRY).families if family.name == "heirlooms" for sample in family.samples()]

    child(lambda: HEIRLOOM.labels("a").inc(5))
    answer = child(shown)
    HEIRLOOM.clear()
    """
    assert service.at(0, code) in ([5.0], [6.0])
