"""The end of the service under traffic: it says so first, refuses nobody, finishes what it has begun, and its last numbers can be read."""

from __future__ import annotations

import http.client
import re
import signal
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest

from tests.examples.inventory.running import SOON, Busy, Command, direct, samples, scrape, service
from tests.support import wait_until

pytestmark = pytest.mark.once



def status(url: str) -> int:
    """The status of an answer."""
    try:
        with direct.open(url, timeout=10) as answer:
            return int(answer.status)
    except HTTPError as refused:
        with refused:
            return refused.code


def visitor(url: str, stop: threading.Event, answers: Counter[int]) -> None:
    """Asks again and again, each time on a connection of its own, until it is told to go elsewhere."""
    where = urlsplit(url)
    while not stop.is_set():
        with closing(http.client.HTTPConnection(str(where.hostname), where.port, timeout=10)) as connection:
            try:
                connection.request("GET", "/api/kits")
                answers[connection.getresponse().status] += 1
            except (OSError, http.client.HTTPException):
                answers[0] += 1


@pytest.fixture
def ending(tmp_path: Path, others: dict[str, str]):
    """A service with a drain delay that is long enough to look at it meanwhile."""
    with service(tmp_path, others, "--drain-delay", "3") as command:
        yield command


def test_sigterm_under_traffic_loses_no_request_and_the_last_scrape_tells_of_the_end(ending: Command):
    url = ending.url
    assert wait_until(lambda: status(f"{url}v1/ready") == 200)
    stream = direct.open(f"{url}api/events", timeout=30)
    stop, answers = threading.Event(), Counter[int]()
    visitors = [threading.Thread(target=visitor, args=(url, stop, answers), daemon=True) for _ in range(3)]
    for each in visitors:
        each.start()
    wait_until(lambda: answers[200] > 20)
    ended: list[float] = []
    end = threading.Thread(target=lambda: ended.append(ending.interrupt(signal.SIGTERM)))
    end.start()
    wait_until(lambda: status(f"{url}v1/ready") == 503)
    assert status(f"{url}v1/health") == 200
    before = answers[200]
    wait_until(lambda: answers[200] > before)  # still accepting
    last: dict[str, float] = {}

    def all_know() -> bool:
        last.update(scrape(url))
        return last["application_shutting_down"] == 1

    wait_until(all_know)
    assert last["active_tasks_at_shutdown"] == 0
    assert last["sse_gateway_active_connections"] == 1
    stop.set()  # what a load balancer does when it has noticed
    for each in visitors:
        each.join(30)
    end.join(60)
    assert stream.read().endswith(b"\n\n")  # ended in order, not cut off
    stream.close()
    assert ended[0] < SOON
    assert ending.ended() == 0
    assert set(answers) == {200}
    assert re.search(r"shut down in [\d.]+ s of 20 s; .*lost: nothing", ending.err)
    assert "Traceback" not in ending.err
    assert re.findall(r".*\b(?:ERROR|CRITICAL)\b.*", ending.err) == []


def test_a_listener_that_vanishes_is_counted_out_while_the_service_runs(busy: Busy):
    def streams() -> float:
        with direct.open(f"{busy.service.url}metrics?name[]=sse_gateway_active_connections", timeout=10) as answer:
            return samples(answer.read().decode())["sse_gateway_active_connections"]

    wait_until(lambda: streams() == 0)  # those of the traffic have gone
    where = urlsplit(busy.service.url)
    gone = http.client.HTTPConnection(str(where.hostname), where.port, timeout=10)
    gone.request("GET", "/api/events")
    answer = gone.getresponse()
    wait_until(lambda: streams() == 1)
    answer.close()
    gone.close()
    wait_until(lambda: streams() == 0)
