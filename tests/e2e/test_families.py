"""Services of several workers under real servers, with nothing set up: any worker shows what all of them have counted, exactly."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.families.programs import WAYS
from tests.e2e.families.running import ROOT, Fleet, Scrape
from tests.e2e.families.servers import OTHERS, RELOADING, SERVERS, gunicorn
from tests.servers.process import until
from tests.support import SCALE, in_background

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

WORKERS, HITS, SCRAPES = 4, 1000, 100
LONG = SCALE >= 10

DIES_OF_ITS_SIGNAL = ("uvicorn", "gunicorn, uvicorn workers", "gunicorn, FastAPI")
"""Servers whose workers end by the signal that told them to, with no chance to tidy up; the next start does."""


def page_of(server: str) -> str:
    return "/v1/metrics" if "Flask" in server or "FastAPI" in server else "/metrics"


@pytest.mark.parametrize("server", {**SERVERS, **OTHERS} if LONG else SERVERS)
def test_p4_every_scrape_reads_exactly_what_all_workers_have_counted(server: str, tmp_path: Path) -> None:
    command, page = (SERVERS | OTHERS)[server], page_of(server)
    with Fleet(command, tmp_path, page=page) as fleet:
        assert len(fleet.hit(HITS)) == WORKERS
        pages = [page, "/latest"] if page == "/metrics" else [page]
        scrapes = [fleet.scrape(pages[turn % len(pages)]) for turn in range(SCRAPES)]
        assert {scrape.numbers for scrape in scrapes} == {(HITS, HITS, 0)}
        if page == "/v1/metrics":
            assert {scrape.total("http_requests_total", endpoint="/hit") for scrape in scrapes} == {HITS}
        assert len(fleet.lanes()) <= WORKERS + 1
    if not server.startswith(DIES_OF_ITS_SIGNAL):
        assert fleet.left() == []
    assert "Traceback" not in fleet.process.log


@pytest.mark.parametrize("way", [way for way in WAYS if way != "serve"] if LONG else ["pool, fork", "pool, spawn", "subprocess"])
def test_p4_programs_that_share_their_work_among_processes(way: str, tmp_path: Path) -> None:
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    if way == "subprocess":  # these have nothing in common but what they are told
        variables["MEASURAND_FAMILY_DIR"] = str(tmp_path / "family")
    command = [sys.executable, "-m", "tests.e2e.families.programs", way]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["shown"] == [HITS]
    assert said["readers"] > 1
    assert [place for place in said["places"] if Path(place).exists()] == []


@pytest.mark.parametrize("server", RELOADING if LONG else ["Flask"])
def test_servers_that_watch_for_changes_show_what_the_one_that_serves_counts(server: str, tmp_path: Path) -> None:
    with Fleet(RELOADING[server], tmp_path, workers=1, page=page_of(server)) as fleet:
        fleet.hit(100)
        assert {fleet.scrape().numbers for _ in range(10)} == {(100, 100, 0)}


def test_two_services_and_two_instances_of_one_that_a_shell_starts_never_mix(tmp_path: Path) -> None:
    with ExitStack() as stack:
        fleets = []
        for number, options in enumerate([[], [], ["--preload"]]):
            (tmp_path / str(number)).mkdir()
            fleets.append(stack.enter_context(Fleet(gunicorn(*options, workers=2), tmp_path / str(number), workers=2)))
        for number, fleet in enumerate(fleets, 1):
            fleet.hit(10 * number)
        for number, fleet in enumerate(fleets, 1):
            assert {fleet.scrape().hits for _ in range(20)} == {10 * number}
        assert len({place for fleet in fleets for place in fleet.note_places()}) == 3


def test_celery_counts_what_its_children_do_on_the_page_of_its_main_process(tmp_path: Path) -> None:
    for folder in ("queue", "control"):
        (tmp_path / folder).mkdir()
    command = ("celery", "--app", "tests.e2e.families.tasks", "worker", "--pool", "prefork", "--concurrency", "4", "--loglevel", "warning")
    with Fleet(command, tmp_path, workers=0) as fleet:
        send = "from tests.e2e.families.tasks import app; [app.send_task('hit') for _ in range(200)]"
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
        subprocess.run([sys.executable, "-c", send], cwd=tmp_path, env=variables, timeout=60, check=True)
        until(lambda: fleet.try_to_ask(fleet.page), lambda: fleet.process.log[-2000:], 60)
        until(lambda: fleet.scrape().numbers == (200, 200, 0), lambda: f"{fleet.scrape().numbers}; {fleet.process.log[-2000:]}", 60)
        assert len(fleet.lanes()) <= 5
    assert fleet.left() == []


# -- workers that come and go ------------------------------------------------------------------------------------------------


@contextmanager
def under_load(fleet: Fleet) -> Iterator[None]:
    """Clients that hit, and one that scrapes and sees no counter go back; at the end all hits are there."""
    before = [0.0]

    def hit() -> None:
        fleet.try_to_ask("/hit")

    def scrape() -> None:
        page = fleet.try_to_ask(fleet.page)
        if page is not None:
            now = Scrape(page).hits
            assert now >= before[0], f"{now} after {before[0]}"
            before[0] = now

    with in_background(hit, hit, scrape):
        yield
    assert {fleet.scrape().hits for _ in range(10)} == {fleet.journalled}


def exchange(fleet: Fleet) -> None:
    """Have gunicorn replace its workers, and wait until it has."""
    before = fleet.workers()
    os.kill(fleet.process.pid, signal.SIGHUP)
    until(lambda: (now := fleet.workers()) and not now & before, lambda: f"{fleet.workers()} after {before}", 60)


def replace_master(fleet: Fleet) -> None:
    """Have gunicorn start its successor, which is a family of its own, and stop the old one."""
    before = {str(pid) for pid in fleet.pids()}  # not those who happened to answer: the one left out would be taken for a new one
    os.kill(fleet.process.pid, signal.SIGUSR2)
    new = until(lambda: fleet.workers() - before, lambda: fleet.process.log[-2000:], 60)
    os.kill(fleet.master, signal.SIGTERM)
    fleet.master = int(Path(f"/proc/{new.pop()}/stat").read_text().rpartition(")")[2].split()[1])
    until(lambda: (now := fleet.workers()) and not now & before, lambda: f"{fleet.workers()} after {before}", 60)


@pytest.mark.parametrize("workers", [1, WORKERS] if LONG else [WORKERS])
def test_a_graceful_reload_keeps_every_count(tmp_path: Path, workers: int) -> None:
    with Fleet(gunicorn(workers=workers), tmp_path, workers=workers) as fleet:
        with under_load(fleet):
            for _ in range(int(2 * SCALE)):
                exchange(fleet)
        assert len(fleet.lanes()) <= 2 * workers
    assert fleet.left() == []


@pytest.mark.parametrize("options", [["--preload"], ["--max-requests-jitter", "200"]] if LONG else [["--preload"]])
def test_workers_that_are_replaced_after_so_many_requests_keep_every_count(tmp_path: Path, options: list[str]) -> None:
    # a worker that is started in the moment of the stop is told so only when that time is over
    with Fleet(gunicorn("--max-requests", "50", "--graceful-timeout", "3", *options), tmp_path) as fleet:
        with under_load(fleet):
            until(lambda: fleet.journalled > 500 * SCALE, lambda: f"{fleet.journalled}; {fleet.process.log[-2000:]}", 60 * max(SCALE, 1))
        assert len(fleet.lanes()) <= WORKERS + 2
    assert fleet.left() == []


@pytest.mark.skipif(not LONG, reason="only in the long form")
@pytest.mark.parametrize("named", [True, False])
def test_a_binary_upgrade_keeps_every_count_where_a_directory_is_named(tmp_path: Path, named: bool) -> None:
    """Without one the new program is a service of its own, as after any other start: it counts from zero."""
    variables = {"MEASURAND_FAMILY_DIR": str(tmp_path / "family")} if named else {}
    with Fleet((str(Path(sys.executable).with_name("gunicorn")), *gunicorn()[1:]), tmp_path, **variables) as fleet:
        fleet.hit(100)
        replace_master(fleet)
        fleet.until_all_answer()
        fleet.hit(100)
        assert {fleet.scrape().hits for _ in range(20)} == {200 if named else 100}


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"] if LONG else ["gunicorn"])
def test_what_is_killed_as_a_whole_is_forgotten_at_the_next_start(server: str, tmp_path: Path) -> None:
    with Fleet(SERVERS[server], tmp_path) as fleet:
        fleet.hit(20)
        fleet.kill()
        (left,) = fleet.left()
    with Fleet(SERVERS[server], tmp_path) as fleet:
        assert not left.exists()
        assert fleet.scrape().hits == 0


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"] if LONG else ["gunicorn"])
def test_p1_killed_workers_leave_their_counts_and_no_files(server: str, tmp_path: Path) -> None:
    chance = random.Random(1)
    with Fleet(SERVERS[server], tmp_path) as fleet:
        kills = int(3 * SCALE)
        before = [0.0]

        def hit() -> None:
            fleet.try_to_ask("/hit")

        def scrape() -> None:
            page = fleet.try_to_ask("/metrics")
            if page is not None:
                now = Scrape(page).hits
                assert now >= before[0], f"{now} after {before[0]}"
                before[0] = now

        with in_background(hit, hit, hit, scrape):
            for _ in range(kills):
                goal = fleet.journalled + 50
                with suppress(ProcessLookupError):
                    os.kill(int(chance.choice(sorted(fleet.workers()))), signal.SIGKILL)
                until(lambda goal=goal: fleet.journalled > goal, lambda: f"{fleet.journalled}; {fleet.process.log[-2000:]}")
        fleet.until_all_answer()
        assert abs(fleet.scrape().hits - fleet.journalled) <= kills
        assert len(fleet.lanes()) <= WORKERS + 1
    if server == "gunicorn":
        assert fleet.left() == []


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn", "gunicorn, threads, preloaded"] if LONG else ["gunicorn, threads, preloaded"])
def test_what_killed_workers_were_about_to_do_is_under_way_no_longer(server: str, tmp_path: Path) -> None:
    ask: Callable[[str], str | None]
    with Fleet(SERVERS[server], tmp_path) as fleet:
        ask = fleet.try_to_ask
        with in_background(lambda: ask("/loiter"), lambda: (tmp_path / "go").exists() or ask("/loiter")):
            until(lambda: fleet.scrape().numbers[2] == 2, lambda: f"{fleet.scrape().numbers}")
            for worker in fleet.workers():
                with suppress(ProcessLookupError):
                    os.kill(int(worker), signal.SIGKILL)
            (tmp_path / "go").touch()
            fleet.until_all_answer()
        until(lambda: fleet.scrape().numbers[2] == 0, lambda: f"{fleet.scrape().numbers}")
