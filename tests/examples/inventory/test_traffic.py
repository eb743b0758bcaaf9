"""The traffic: bounded, repeatable, with honest mistakes only, and polite when nobody answers."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from examples.inventory.api.common import attach
from examples.inventory.database import Database
from examples.inventory.events import Events
from examples.inventory.services import Services
from examples.inventory.settings import Settings
from examples.inventory.traffic import Traffic
from tests.examples.inventory.running import SOON, Busy, Command, listening, scrape
from tests.support import run_threads, wait_until

pytestmark = pytest.mark.once

EXERCISED = (
    r"(inventory|kits?|part_kit|pick_list|shopping_list|sse_gateway_connections)_\w*(_total|_seconds_count)(?!.*(failed|error|refused))"
    r"|(auth_token_refresh|oidc_token_exchange|auth_validation)_total{status=\"success\"}|ai_\w+_total(?!.*error)"
)
MISTAKES = {401, 404, 409, 502, 503}


def summary(command: Command) -> dict[int, int]:
    """Answers by status, from the last line that a generator prints."""
    return {int(status): int(count) for count, status in re.findall(r"(\d+) × (\d{3})", command.out)}


@pytest.fixture
def there(application: Flask, services: Services) -> Iterator[str]:
    """The URL of the application, served by this process."""
    attach(application, services)
    with listening(application) as url:
        yield url
        services.events.close()


def test_it_does_all_kinds_of_work_and_is_refused_only_as_it_should_be(busy: Busy):
    assert busy.status == 0, busy.traffic.err
    answers = summary(busy.traffic)
    assert {200, 201, 202, 204, 302, 401, 404, 409, 502} <= answers.keys() <= {200, 201, 202, 204, 302} | MISTAKES
    assert answers[200] > sum(answers.get(status, 0) for status in MISTAKES)
    shown = scrape(busy.service.url)
    assert [name for name, value in shown.items() if re.match(EXERCISED, name) and not value] == []
    heard = re.search(r"(\d+) events heard", busy.traffic.out)
    assert heard
    assert int(heard[1]) > 0
    assert busy.service.err.count("ERROR") == 0


def test_it_keeps_to_its_rate(there: str):
    traffic = Traffic(there, rate=20)
    traffic.run(duration=1)
    assert 0 < traffic.answers.total() <= 21


def test_it_ends_after_so_many_requests_or_so_much_time(there: str):
    traffic = Traffic(there, rate=1000)
    traffic.run(requests=10)
    assert traffic.answers.total() == 10
    Traffic(there, rate=1000).run(duration=0.1)


def test_it_goes_on_where_another_visitor_left_off(there: str, database: Database):
    for seed in (1, 2):
        traffic = Traffic(there, rate=1000, seed=seed)
        traffic.run(requests=150)
        assert not traffic.unexpected
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM boxes").scalar() == 8


def test_visitors_at_once_get_refusals_and_no_failures(there: str):
    visitors = [Traffic(there, rate=1000, seed=seed) for seed in (1, 2, 3)]
    run_threads(*[lambda visitor=visitor: visitor.run(requests=150) for visitor in visitors])
    assert [dict(visitor.unexpected) for visitor in visitors] == [{}] * 3


def test_the_same_seed_on_an_empty_database_gives_the_same_day(
    application: Flask, services: Services, tables: Path, tmp_path: Path, others: dict[str, str]
):
    days = []
    for number, seed in enumerate((7, 7, 8)):
        path = tmp_path / f"{number}.db"
        shutil.copy(tables, path)
        with ExitStack() as stack:
            database, ai, distributor, oidc = Settings.read(others, database_url=f"sqlite:///{path}").open(stack)
            events = Events(heartbeat=0.05)
            attach(application, replace(services, database=database, events=events, ai=ai, distributor=distributor, oidc=oidc))
            url, stop = stack.enter_context(listening(application)), threading.Event()
            traffic = Traffic(url, rate=1000, seed=seed)
            run_threads(lambda traffic=traffic, stop=stop: traffic.run(stop=stop), lambda path=path, stop=stop: stop_after_some(path, stop))
            events.close()
            days.append(history(path)[:CHANGES])
    assert days[0] == days[1] != days[2]


CHANGES = 25


def stop_after_some(path: Path, stop: threading.Event) -> None:
    """End the traffic when the stock has changed so often."""
    try:
        wait_until(lambda: len(history(path)) >= CHANGES)
    finally:
        stop.set()


def history(path: Path) -> list[tuple[int, ...]]:
    """The stock changes."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT part_id, box_no, location_no, delta FROM stock_changes ORDER BY id").fetchall()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_a_summary(there: str, tmp_path: Path, number):
    with Command("examples.inventory.traffic", "--url", there, folder=tmp_path) as traffic:
        traffic.comes_to(lambda: history(tmp_path / "inventory.db"), "adding stock")
        assert traffic.interrupt(number) < SOON
        assert traffic.ended() == 0
    assert re.search(r"\d+ requests answered: \d+ × 20", traffic.out)


def test_an_answer_that_should_not_be_is_told_and_makes_it_fail(there: str, database: Database, tmp_path: Path):
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE part_types")
    with Command("examples.inventory.traffic", "--url", there, "--duration", "1", folder=tmp_path) as traffic:
        assert traffic.ended() == 1
    assert re.search(r"\d+ × 503 to GET /api/part-types\?limit=200, which should not be", traffic.err)


def test_where_nobody_answers_it_says_so_and_ends(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with Command("examples.inventory.traffic", "--url", url, folder=tmp_path) as traffic:
        assert traffic.ended() == 1
    assert f"{url} does not answer" in traffic.err
    assert "is the service running there?" in traffic.err
    assert "Traceback" not in traffic.err


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "https://127.0.0.1", "http://", ""])
def test_an_address_that_cannot_be_meant_is_refused(url):
    with pytest.raises(ValueError, match=r"give one as http://127\.0\.0\.1:8000"):
        Traffic(url)


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_cannot_be_meant_is_refused(rate):
    with pytest.raises(ValueError, match="above 0 requests a second"):
        Traffic("http://127.0.0.1:8000", rate=rate)
