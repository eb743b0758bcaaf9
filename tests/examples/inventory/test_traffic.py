"""The traffic: bounded, repeatable, with honest mistakes only, and polite when nobody answers."""

from __future__ import annotations

import re
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from examples.inventory.traffic import Traffic
from tests.examples.inventory.running import SOON, Command, scrape


def summary(command: Command) -> dict[int, int]:
    """Answers by status, from the last line that a generator prints."""
    return {int(status): int(count) for count, status in re.findall(r"(\d+) × (\d{3})", command.out)}


def test_it_does_all_kinds_of_work_and_is_refused_only_as_it_should_be(served: Command, tmp_path: Path):
    with Command("examples.inventory.traffic", "--url", served.url, "--rate", "250", "--duration", "5", folder=tmp_path) as traffic:
        assert traffic.ended() == 0, traffic.err
    answers = summary(traffic)
    assert answers.keys() == {200, 201, 204, 404, 409}
    assert answers[200] > answers[404] + answers[409]
    shown = scrape(served.url)
    idle = [name for name, value in shown.items() if re.match(r"(inventory|kits?|part_kit)_\w*(_total|_seconds_count)", name) and not value]
    assert idle == []
    assert served.err.count("ERROR") == 0


def test_it_keeps_to_its_rate(served: Command, tmp_path: Path):
    with Command("examples.inventory.traffic", "--url", served.url, "--rate", "20", "--duration", "1.5", folder=tmp_path) as traffic:
        assert traffic.ended() == 0
    assert 0 < sum(summary(traffic).values()) <= 31


def test_it_goes_on_where_another_visitor_left_off(served: Command, tmp_path: Path):
    for seed in ("1", "2"):
        arguments = ("--url", served.url, "--rate", "200", "--seed", seed, "--duration", "2")
        with Command("examples.inventory.traffic", *arguments, folder=tmp_path) as traffic:
            assert traffic.ended() == 0, traffic.err
    assert scrape(served.url)["inventory_total_boxes"] == 8


def test_two_visitors_at_once_get_refusals_and_no_failures(served: Command, tmp_path: Path):
    arguments = ("--url", served.url, "--rate", "100", "--duration", "3")
    with Command("examples.inventory.traffic", *arguments, "--seed", "1", folder=tmp_path) as one:
        with Command("examples.inventory.traffic", *arguments, "--seed", "2", folder=tmp_path) as other:
            assert other.ended() == 0, other.out
        assert one.ended() == 0, one.out


def test_the_same_seed_on_an_empty_database_gives_the_same_day(tmp_path: Path):
    days = []
    for number, seed in enumerate(("7", "7", "8")):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / "served.db"
        with Command("examples.inventory", "--port", "0", "--database-url", f"sqlite:///{path}", folder=folder) as service:
            arguments = ("--url", service.url, "--rate", "100", "--seed", seed)
            with Command("examples.inventory.traffic", *arguments, folder=folder) as traffic:
                traffic.comes_to(lambda path=path: len(history(path)) == 30, "thirty stock changes")
                traffic.interrupt(signal.SIGTERM)
            days.append(history(path))
    assert days[0] == days[1] != days[2]


def history(path: Path) -> list[tuple[int, ...]]:
    """The first thirty stock changes."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT part_id, box_no, location_no, delta FROM stock_changes ORDER BY id LIMIT 30").fetchall()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_a_summary(served: Command, tmp_path: Path, number):
    with Command("examples.inventory.traffic", "--url", served.url, folder=tmp_path) as traffic:
        traffic.comes_to(lambda: scrape(served.url)['inventory_quantity_changes_total{operation="add"}'] > 0, "adding stock")
        assert traffic.interrupt(number) < SOON
        assert traffic.ended() == 0
    assert re.search(r"\d+ requests answered: \d+ × 200", traffic.out)


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
