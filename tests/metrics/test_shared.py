"""Several processes, one service: nothing set up, everything shown. Each test is a small program of its own, over both cores."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

from tests.support import no_forks_beside_threads, run_python

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

PRELUDE = """
import os, sys, threading, warnings
from measurand import *
from measurand.metrics import shared
from pathlib import Path
warnings.simplefilter("ignore", DeprecationWarning)

class Child:
    '''A forked child that runs a function, says so, and ends when told; or is killed.'''
    def __init__(self, body, stay=True):
        done, self.say = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                body()
                os.write(done[1], b"x")
                if stay:
                    os.close(self.say[1])
                    os.read(self.say[0], 1)
                code = 0
            finally:
                os._exit(code)
        os.close(done[1])
        assert os.read(done[0], 1) == b"x", "the child failed"
        if not stay:
            self.end()
    def end(self):
        os.close(self.say[1])
        assert os.waitpid(self.pid, 0)[1] == 0

def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels)

def shown(*names):
    return {line for line in generate_latest().decode().splitlines() if line.startswith(names or ("a", "b", "c")) }

def use(place):
    shared.begin(Path(place))
"""


@pytest.fixture(params=["0", "1"], ids=["c", "python"])
def program(request: pytest.FixtureRequest, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Runs a program whose processes meet in a directory of their own; nothing may be left of that."""

    def run(code: str) -> str:
        place = tmp_path / "families"
        ran = run_python(f"{PRELUDE}\nuse({str(place)!r})\n{textwrap.dedent(code)}", pure=request.param)
        assert ran.returncode == 0, ran.stderr
        assert "Error" not in ran.stderr, ran.stderr
        assert not place.exists(), sorted(place.rglob("*"))
        return ran.stdout

    return run


def test_a_process_that_is_alone_opens_nothing(program) -> None:  # type: ignore[no-untyped-def]
    program("""
        C = Counter("a", "d"); C.inc(); generate_latest()
        assert shared.current() is None
    """)


def test_over_a_fork_nothing_is_lost_or_counted_twice(program) -> None:  # type: ignore[no-untyped-def]
    program("""
        C, H, S = Counter("a", "d", ["k"]), Histogram("b", "d", buckets=[1, 2]), Summary("c", "d")
        C.labels("x").inc(5); H.observe(0.5); S.observe(3)
        def body():
            C.labels("x").inc(2); C.labels("y").inc(); H.observe(1.5); S.observe(4)
            assert shown("a_total") == {'a_total{k="x"} 7.0', 'a_total{k="y"} 1.0'}, shown()
        child = Child(body)
        C.labels("x").inc()
        everything = {'a_total{k="x"} 8.0', 'a_total{k="y"} 1.0', 'b_bucket{le="1.0"} 1.0', 'b_bucket{le="2.0"} 2.0',
                      'b_bucket{le="+Inf"} 2.0', 'b_count 2.0', 'b_sum 2.0', 'c_count 2.0', 'c_sum 7.0'}
        assert shown() == everything, shown()
        assert value("a_total", k="x") == 8
        child.end()
        assert shown() == everything, shown()
        Child(lambda: C.labels("x").inc(), stay=False)
        assert value("a_total", k="x") == 9
    """)


def test_there_are_never_more_lanes_than_processes_that_lived_at_once(program) -> None:  # type: ignore[no-untyped-def]
    program("""
        C = Counter("a", "d", ["k"])
        for number in range(30):
            Child(lambda: (C.labels("same").inc(), C.labels(number % 7).inc()), stay=False)
        assert value("a_total", k="same") == 30
        assert sum(value("a_total", k=str(k)) for k in range(7)) == 30
        assert len(list(shared.current().directory.glob("*/lane-*"))) == 2
    """)


def test_gauges_go_by_their_rules_and_dead_ones_are_gone_at_the_next_scrape(program) -> None:  # type: ignore[no-untyped-def]
    program("""
        rules = ("livesum", "max", "livemin", "mostrecent", "all")
        G = {rule: Gauge("a_" + rule, "d", multiprocess_mode=rule) for rule in rules}
        moved, put = Gauge("b_moved", "d"), Gauge("b_put", "d")
        for gauge in (*G.values(), put): gauge.set(5)
        moved.inc(2)
        def body():
            for gauge in (*G.values(), put): gauge.set(3)
            moved.inc()
        child = Child(body)
        pid = os.getpid()
        assert shown("a", "b") == {"a_livesum 8.0", "a_max 5.0", "a_livemin 3.0", "a_mostrecent 3.0", "b_moved 3.0", "b_put 3.0",
                                   f'a_all{{pid="{pid}"}} 5.0', f'a_all{{pid="{child.pid}"}} 3.0'}, shown()
        child.end()
        assert shown("a", "b") == {"a_livesum 5.0", "a_max 5.0", "a_livemin 5.0", "a_mostrecent 3.0", "b_moved 2.0", "b_put 3.0",
                                   f'a_all{{pid="{pid}"}} 5.0'}, shown()
        Child(lambda: moved.inc(10), stay=False)
        assert value("b_moved") == 2
    """)


def test_metrics_facts_and_states_that_only_another_process_has_are_shown(program) -> None:  # type: ignore[no-untyped-def]
    program("""
        Counter("z", "d")
        def body():
            Counter("a", "only there", ["k"]).labels("x").inc(4)
            Info("b", "d").info({"version": "1"}); Info("b", "d").info({"version": "2"})
            Enum("c", "d", states=["off", "on"]).state("on")
        child = Child(body)
        expected = {'a_total{k="x"} 4.0', 'b_info{version="2"} 1.0', 'c{c="off"} 0.0', 'c{c="on"} 1.0'}
        assert shown() == expected, shown()
        assert "# HELP a_total only there" in generate_latest().decode()
        child.end()
        assert shown() == {'a_total{k="x"} 4.0'}, shown()
    """)


def test_removed_replaced_and_unregistered_series_go_for_all(program) -> None:  # type: ignore[no-untyped-def]
    program("""
        Counter("z", "d")
        steps, turns = os.pipe(), os.pipe()
        pid = os.fork()
        C, G, U = Counter("a", "d", ["k"]), Gauge("b", "d", ["k"]), Counter("c", "d")
        if pid == 0:
            os.close(turns[1])
            C.labels("x").inc(); C.labels("y").inc(); C.labels("z").inc(2); G.replace({"old": 1, "both": 1}); U.inc()
            os.write(steps[1], b"x"); os.read(turns[0], 1)
            C.remove("x"); C.remove_by_labels({"k": "y"}); G.replace({"new": 2, "both": 2}); REGISTRY.unregister(U)
            C.labels("x").inc(7)
            os.write(steps[1], b"x"); os.read(turns[0], 1)
            C.clear()
            os.write(steps[1], b"x"); os.read(turns[0], 1)
            os._exit(0)
        os.read(steps[0], 1)
        assert shown() == {'a_total{k="x"} 1.0', 'a_total{k="y"} 1.0', 'a_total{k="z"} 2.0', 'b{k="old"} 1.0', 'b{k="both"} 1.0',
                           'c_total 1.0'}, shown()
        os.write(turns[1], b"x"); os.read(steps[0], 1)
        assert shown() == {'a_total{k="x"} 7.0', 'a_total{k="z"} 2.0', 'b{k="new"} 2.0', 'b{k="both"} 2.0', 'c_total 0.0'}, shown()
        os.write(turns[1], b"x"); os.read(steps[0], 1)
        assert shown("a") == set()
        os.write(turns[1], b"x"); os.waitpid(pid, 0)
    """)


def test_a_lane_that_gets_full_grows_while_others_read_it(program) -> None:  # type: ignore[no-untyped-def]
    program("""
        C = Counter("a", "d", ["k"], max_series=None)
        H = Histogram("b", "d", ["k"])
        C.labels("start").inc()
        def body():
            for number in range(3000):
                C.labels(f"a rather long value, to fill the index: {number}").inc()
                H.labels(number % 500).observe(1)
                if number % 5 == 0: C.remove(f"a rather long value, to fill the index: {number}")
        child = Child(body)
        assert len(shown("a_total")) == 2401
        assert len(shown("b_count")) == 500
        assert sum(float(line.split()[-1]) for line in shown("b_count")) == 3000
        child.end()
        assert len(shown("a_total")) == 2401
    """)


def test_domains_and_registries_of_ones_own_are_told_apart(program) -> None:  # type: ignore[no-untyped-def]
    program("""
        RULES, OWN = Domain("rules"), CollectorRegistry()
        counters = [Counter("a", "d", registry=registry) for registry in (REGISTRY, RULES, OWN)]
        def body():
            for amount, counter in enumerate(counters): counter.inc(amount)
        child = Child(body)
        for counter in counters: counter.inc(10)
        assert [registry.get_sample_value("a_total") for registry in (REGISTRY, RULES, OWN)] == [10, 11, 12]
        assert [generate_latest(registry).decode().split()[-1] for registry in (REGISTRY, RULES, OWN)] == ["10.0", "11.0", "12.0"]
        child.end()
    """)


def test_what_cannot_be_shared_is_said_once_and_the_application_goes_on(program) -> None:  # type: ignore[no-untyped-def]
    program("""
        import logging
        records = []
        logging.getLogger("measurand").addFilter(lambda record: records.append(record.getMessage()) or False)
        C = Counter("a", "d", ["k"])
        C.labels("x").inc()
        shared.begin(Path("/proc/nowhere"))
        def body():
            C.labels("x").inc(); C.labels("y").inc()
            assert value("a_total", k="x") == 1
        for _ in range(3): Child(body, stay=False)
        assert value("a_total", k="x") == 1
        assert len(records) == 1 and "each shows its own only" in records[0], records
    """)


def test_a_damaged_lane_is_left_out_and_the_others_are_shown(program) -> None:  # type: ignore[no-untyped-def]
    program("""
        import logging
        logging.getLogger("measurand").setLevel(logging.ERROR)
        C = Counter("a", "d", ["k"])
        one, two = Child(lambda: C.labels("one").inc()), Child(lambda: C.labels("two").inc())
        C.labels("mine").inc()
        lanes = sorted(shared.current().directory.glob("*/lane-*"))
        assert len(lanes) == 3
        os.truncate(lanes[1], 100)
        assert shown("a_total") == {'a_total{k="mine"} 1.0', 'a_total{k="two"} 1.0'}, shown()
        assert shared.current().quarantined == 1
        two.end()
        os.kill(one.pid, 9); os.waitpid(one.pid, 0)
        for _ in range(2): Child(lambda: C.labels("later").inc(), stay=False)
        assert shown("a_total") == {'a_total{k="mine"} 1.0', 'a_total{k="two"} 1.0', 'a_total{k="later"} 2.0'}, shown()
    """)


def test_a_spawned_child_and_its_parent_find_each_other(tmp_path: Path) -> None:
    script = tmp_path / "spawns.py"
    script.write_text(
        textwrap.dedent("""
        import multiprocessing, os
        from measurand import Counter, REGISTRY
        from measurand.metrics import shared
        shared.begin()
        C = Counter("a", "d")
        def work(number):
            C.inc(number)
            return os.getpid()
        if __name__ == "__main__":
            C.inc()
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                pool.map(work, [10, 20, 30])
                print(REGISTRY.get_sample_value("a_total"))
            print(REGISTRY.get_sample_value("a_total"))
        """)
    )
    ran = run_python(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')")
    assert ran.stdout.split() == ["61.0", "61.0"], ran.stderr


@no_forks_beside_threads
def test_eight_threads_and_many_forks_lose_nothing_and_hang_nobody(program) -> None:  # type: ignore[no-untyped-def]
    program("""
        C, stop, counted = Counter("a", "d", ["k"]), threading.Event(), []
        def work(number):
            count = 0
            while not stop.wait(0.0005):
                for _ in range(20): C.labels("thread").inc()
                C.labels(f"{number}-{count % 20}").inc(); count += 1
            counted.append(20 * count)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads: thread.start()
        for _ in range(40): Child(lambda: (C.labels("child").inc(), C.labels("0-1").inc(0)), stay=False)
        stop.set()
        for thread in threads: thread.join()
        assert value("a_total", k="child") == 40
        assert value("a_total", k="thread") == sum(counted)
    """)


def test_one_process_leads_and_when_it_is_killed_the_next_that_asks_does(program) -> None:  # type: ignore[no-untyped-def]
    program("""
        Counter("a", "d")
        assert shared.lead()
        generate_latest()
        assert not shared.current().in_company
        def body():
            assert not shared.lead()
        child = Child(body)
        assert shared.lead()
        child.end()

        leaders = os.pipe()
        def lead():
            assert not shared.lead()
        first = os.fork()
        if first == 0:
            second = os.fork()
            if second == 0:
                while not shared.lead(): threading.Event().wait(0.01)
                os.write(leaders[1], b"x")
                os._exit(0)
            os.waitpid(second, 0)
            os._exit(0)
        shared.current()._family.follow()
        os.read(leaders[0], 1)
        os.waitpid(first, 0)
    """)


def test_what_callbacks_said_last_is_shown_by_others(program) -> None:  # type: ignore[no-untyped-def]
    program("""
        G, B = Gauge("a", "d", multiprocess_mode="livesum"), Gauge("b", "d", ["k"])
        G.set_function(lambda: 5)
        def body():
            G.set_function(lambda: 3)
            B.labels("broken").set_function(lambda: 1 / 0)
            B.labels("fine").set_function(lambda: 2)
            shared.publish()
        child = Child(body)
        assert shown() == {"a 8.0", 'b{k="broken"} 0.0', 'b{k="fine"} 2.0'}, shown()
        child.end()
        assert "a 5.0" in shown()
    """)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")
def test_workers_that_become_another_user_meet_again() -> None:
    code = """
        shared.begin(None)
        C = Counter("a", "d", ["k"])
        C.labels("master").inc()
        def body():
            os.setgid(4711); os.setuid(4711)
            C.labels("worker").inc()
        one, two = Child(body), Child(body)
        def scrape():
            body()
            C.labels("new").inc()
            print(value("a_total", k="worker"), flush=True)
        three = Child(lambda: (body(), generate_latest()))
        four = Child(scrape)
        for each in (four, three, two, one): each.end()
    """
    ran = run_python(f"{PRELUDE}\n{textwrap.dedent(code)}")
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) >= 2.0, ran.stderr
    assert "Error" not in ran.stderr, ran.stderr


def test_series_made_in_threads_and_signal_handlers_are_all_seen_by_others_while_the_lane_grows(program) -> None:  # type: ignore[no-untyped-def]
    program("""
        import itertools, signal
        sys.setswitchinterval(1e-4)
        C, G, made = Counter("a", "d", ["k"], max_series=None), Gauge("b", "d", ["k"]), []
        numbers = itertools.count()
        ready, go, said = os.pipe(), os.pipe(), os.pipe()
        reader = os.fork()
        if reader == 0:
            os.close(go[1])
            for round in range(2):
                os.read(go[0], 1)
                total = sum(float(line.split()[-1]) for line in shown("a_total"))
                os.write(said[1], f"{total:.0f} {len(shown('a_total'))}\\n".encode())
            os._exit(0)
        def handle(*_):
            number = next(numbers); made.append(1)  # a handler may interrupt another
            C.labels(f"signal {number}").inc()
            C.labels("signals").inc()
            if number % 5 == 0: G.replace({number: 1})
        def work(name):
            for number in range(400):
                C.labels(f"thread {name}: a long value that fills the index {number}").inc()
                C.labels("threads").inc()
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads: thread.start()
        work("main")
        for thread in threads: thread.join()
        signal.setitimer(signal.ITIMER_REAL, 0)
        generate_latest()
        expected = 2 * (5 * 400 + len(made)), 5 * 400 + len(made) + 1 + (len(made) > 0)
        for _ in range(2):
            os.write(go[1], b"x")
            assert os.read(said[0], 100).decode().split() == [str(number) for number in expected], expected
        assert sum(float(line.split()[-1]) for line in shown("a_total")) == expected[0]
        os.waitpid(reader, 0)
    """)
