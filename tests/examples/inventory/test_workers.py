"""Several workers as one service: whoever is asked knows everything, and a worker that dies takes nothing with it."""

from __future__ import annotations

import json
import os
import re
import signal
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest

from examples.inventory.serve import WORKERS
from tests.examples.inventory.running import Busy, Command, direct, samples, scrape, service
from tests.examples.inventory.table import TABLE
from tests.servers.process import until

pytestmark = pytest.mark.once

ADDED = 'inventory_quantity_changes_total{operation="add"}'
OF_THE_TABLE = re.compile(rf"({'|'.join(row.name for row in TABLE)})(_bucket|_count|_sum)?(\{{|$)")


def answered(url: str, content: Any = None) -> tuple[int, str]:
    """Which worker answered, and what."""
    data = None if content is None else json.dumps(content).encode()
    with direct.open(Request(url, data=data, headers={"Content-Type": "application/json"}), timeout=10) as answer:
        return int(answer.headers["X-Worker"]), answer.read().decode()


def by_worker(url: str) -> dict[int, dict[str, float]]:
    """What each worker shows of the service's own metrics, once every one of them has been met; a later answer replaces an earlier one."""
    pages: dict[int, dict[str, float]] = {}

    def met() -> bool:
        pid, text = answered(f"{url}metrics")
        pages[pid] = {name: value for name, value in samples(text).items() if OF_THE_TABLE.match(name)}
        return len(pages) >= WORKERS

    until(met, lambda: f"only {len(pages)} workers have answered")
    return pages


def part_in_a_box(url: str) -> dict[str, int]:
    """A new part, and where it can be put."""
    kind = made(url, "part-types", name="Nut")["id"]
    part = made(url, "parts", description="M3", type_id=kind)["id"]
    return {"part_id": part, "box_no": made_box(url), "location_no": 1, "quantity": 1}


def made(url: str, what: str, **wanted: Any) -> Any:
    return json.loads(answered(f"{url}api/{what}", wanted)[1])


def made_box(url: str) -> int:
    return int(made(url, "boxes", description="Drawer", capacity=10)["box_no"])


def test_every_worker_shows_the_same_numbers(busy: Busy):
    shown: dict[int, dict[str, float]] = {}

    def agree() -> bool:
        shown.update(by_worker(busy.service.url))
        first, *others = shown.values()
        return bool(first) and all(other == first for other in others)

    until(agree, lambda: str([set(page.items()) ^ set(next(iter(shown.values())).items()) for page in shown.values()]))
    assert len(shown) == WORKERS


def test_a_listener_is_told_what_happens_in_any_worker(served: Command):
    place = part_in_a_box(served.url)
    with direct.open(f"{served.url}api/events", timeout=30) as stream:
        assert stream.readline()
        workers = {answered(f"{served.url}api/stock/add", place)[0] for _ in range(16)}
        events = (json.loads(line[6:]) for line in iter(stream.readline, b"") if line.startswith(b"data: "))
        told = [event["quantity"] for event in islice(events, 16)]
    assert sorted(told) == list(range(1, 17))
    assert len(workers) > 1
    assert scrape(served.url)[ADDED] == 16


def test_a_killed_worker_is_replaced_and_nothing_it_counted_is_lost(tmp_path: Path, others: dict[str, str]):
    with service(tmp_path, others) as served:
        url = served.url
        place = part_in_a_box(url)
        first = set(by_worker(url))
        for count, pid in enumerate(sorted(first), start=1):
            answered(f"{url}api/stock/add", place)
            os.kill(pid, signal.SIGKILL)
            until(lambda count=count, pid=pid: seen_after(url, pid, count), lambda: str(scrape(url).get(ADDED)))
        until(lambda: not first & set(by_worker(url)), lambda: "a killed worker answers")
        box = made_box(url)
        shows = f'inventory_box_utilization_percent{{box_no="{box}"}}'
        until(lambda: scrape(url).get(shows) == 0, lambda: f"{shows} is not shown: nobody polls")
        gone = Request(f"{url}api/boxes/{box}", method="DELETE")
        with direct.open(gone, timeout=10) as answer:
            assert answer.status == 204
        until(lambda: all(shows not in page for page in by_worker(url).values()), lambda: f"{shows} is still shown")
        assert {page[ADDED] for page in by_worker(url).values()} == {len(first)}


def seen_after(url: str, pid: int, count: int) -> bool:
    """Whether somebody else answers; what was counted must be there at once. The request that a dying worker had accepted is lost."""
    try:
        worker, text = answered(f"{url}metrics")
    except OSError:
        return False
    assert worker == pid or samples(text)[ADDED] == count
    return worker != pid
