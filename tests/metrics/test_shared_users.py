"""Processes that become another user, or cannot be found for a while: what they counted is shown once. Over both cores."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.metrics.test_shared import PRELUDE
from tests.support import run_python

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

as_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(params=["0", "1"], ids=["c", "python"])
def program(request: pytest.FixtureRequest) -> Callable[[str], list[str]]:
    """Runs a program and gives what it prints."""

    def run(code: str) -> list[str]:
        ran = run_python(f"{PRELUDE}\n{textwrap.dedent(code)}", pure=request.param)
        assert ran.returncode == 0, ran.stderr
        assert "Error" not in ran.stderr, ran.stderr
        return ran.stdout.split()

    return run


@as_root
def test_who_does_something_on_another_users_behalf_counts_on_where_it_was(program: Callable[[str], list[str]]) -> None:
    code = """
        C, asked, answered = Counter("a", "d", ["k"]), os.pipe(), os.pipe()
        C.labels("x").inc(5)
        reader = os.fork()
        if reader == 0:
            os.close(asked[1])
            C.labels("x").inc(100)
            while os.read(asked[0], 1): os.write(answered[1], f"{value('a_total', k='x'):.0f}".encode())
            os._exit(0)
        def read():
            os.write(asked[1], b"x")
            return os.read(answered[0], 100).decode()
        read()
        for turn in range(3):
            os.seteuid(4711)
            C.labels(f"user {turn}").inc(); C.labels("x").inc()
            print(read())
            os.seteuid(0)
            C.labels(f"root {turn}").inc()
            print(f"{value('a_total', k='x'):.0f}")
        os.close(asked[1])
        os.waitpid(reader, 0)
    """
    assert program(code) == ["106", "106", "107", "107", "108", "108"]


@as_root
def test_workers_that_give_up_root_bring_along_what_they_counted_and_no_successor_brings_it_again(
    program: Callable[[str], list[str]],
) -> None:
    code = """
        import signal
        C, T, says = Counter("a", "d"), Histogram("b", "d"), os.pipe()
        def start():
            pid = os.fork()
            if pid == 0:
                C.inc(); T.observe(1)  # as in gunicorn's post_fork
                os.setgid(4711); os.setuid(4711)
                os.write(says[1], f"{value('a_total'):.0f}/{value('b_count'):.0f}".encode())
                signal.pause()
            print(os.read(says[0], 100).decode())
            return pid
        def end(pid):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        stays, old = start(), start()
        for _ in range(3):
            new = start()
            end(old)
            old = new
        end(old); end(stays)
    """
    assert program(code) == ["1/1", "2/2", "3/3", "4/4", "5/5"]


def test_who_could_not_be_found_for_a_while_and_then_can_is_not_counted_twice(program: Callable[[str], list[str]], tmp_path: Path) -> None:
    code = f"""
        from measurand import clock
        from measurand.metrics.standing import RETRY
        class Later:
            def monotonic(self): return clock.system_monotonic() + RETRY
            def wall(self): return 1.7e9
        place, aside = Path({str(tmp_path / "families")!r}), Path({str(tmp_path / "aside")!r})
        use(place)
        C = Counter("a", "d")
        C.inc(5)
        child = Child(lambda: C.inc(100))
        print(value("a_total"))
        place.rename(aside); place.touch()
        C.inc()
        print(value("a_total"))
        place.unlink(); aside.rename(place)
        clock.use(Later())
        C.inc()
        print(value("a_total"), value("a_total"))
        child.end()
        print(value("a_total"))
    """
    assert program(code) == ["105.0", "6.0", "107.0", "107.0", "107.0"]
    assert not (tmp_path / "families").exists()
