"""What spawned children have counted that end before their parent has met them: it is the parent's to ask for. Over both cores."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import run_python

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="children cannot see what their parent expects")]

JOBS = """
from pathlib import Path
from measurand import Counter
from measurand.metrics import shared
shared.begin(Path(PLACE))
JOBS = Counter("jobs", "d")
def count(times=1): JOBS.inc(times)
"""

MAIN = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from measurand import REGISTRY
def shown(): return REGISTRY.get_sample_value("jobs_total")
def run(function, *arguments, method="spawn"):
    process = multiprocessing.get_context(method).Process(target=function, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0
"""


@pytest.fixture(params=["0", "1"], ids=["c", "python"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., list[str]]:
    """Runs a program, with what it begins with, and gives what it prints; nothing may be left of where its processes met."""

    def run(begins_with: str, code: str) -> list[str]:
        place, script = tmp_path / "families", tmp_path / "script.py"
        known = f"PLACE = {str(place)!r}\n"
        (tmp_path / "jobs.py").write_text(known + JOBS)
        main = textwrap.indent(textwrap.dedent(code), "    ")
        script.write_text(f"{MAIN}{known}{textwrap.dedent(begins_with)}\nif __name__ == '__main__':\n{main}")
        start = f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); runpy.run_path({str(script)!r}, run_name='__main__')"
        ran = run_python(start, pure=request.param)
        assert ran.returncode == 0, ran.stderr
        assert ran.stderr == ""
        assert not place.exists(), sorted(place.rglob("*"))
        return ran.stdout.split()

    return run


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_each_job_is_shown_when_it_has_ended(program: Callable[..., list[str]], method: str) -> None:
    code = f"""
        for _ in range(3):
            run(count, method={method!r})
            print(shown())
    """
    assert program("from jobs import count", code) == ["1.0", "2.0", "3.0"]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_what_a_pool_counted_that_is_gone_is_added_to_what_its_parent_has(program: Callable[..., list[str]], method: str) -> None:
    code = f"""
        count(5)
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context({method!r})) as pool:
            list(pool.map(count, [1] * 10))
        print(shown())
    """
    assert program("from jobs import count", code) == ["15.0"]


def test_a_parent_that_never_asks_tidies_up_when_it_ends(program: Callable[..., list[str]]) -> None:
    code = """
        run(count)
        print(Path(PLACE).exists())
    """
    assert program("from jobs import count", code) == ["True"]


def test_children_of_a_program_that_has_no_metrics_tidy_up_themselves(program: Callable[..., list[str]]) -> None:
    begins_with = """
        def work():
            from jobs import count
            count()
            print(shown(), flush=True)
    """
    code = """
        run(work)
        print(Path(PLACE).exists())
    """
    assert program(begins_with, code) == ["1.0", "False"]
