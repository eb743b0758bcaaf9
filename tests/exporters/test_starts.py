"""Since when totals count."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from measurand.exporters.starts import Starts
from measurand.metrics.points import PointFamily, Series
from tests.support import StillClock, run_python

pytestmark = pytest.mark.once

NOW = 1.7e9


def family(*numbers: float, created: float | None = None, labels: str = "a") -> tuple[PointFamily, Series]:
    series = Series((("k", labels),), numbers, created)
    bounds = tuple(map(float, range(len(numbers) - 2)))
    return PointFamily("x", "counter" if len(numbers) == 1 else "histogram", "", "", [series], bounds), series


def test_a_series_whose_creation_is_known_counts_since_then(still_clock: StillClock) -> None:
    starts = Starts()
    for created in (NOW + 1, NOW + 1, NOW + 5):  # the last one was made anew
        starts.begin(NOW + 10)
        assert starts.of(*family(3.0, created=created)) == created


def test_any_other_counts_since_the_service_was_started(still_clock: StillClock) -> None:
    starts = Starts()
    still_clock.advance(60)
    found = set()
    for number in (3.0, 3.0, 4.0):
        starts.begin(NOW + 60 + number)
        found.add(starts.of(*family(number)))
    assert found == {starts.service}
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert NOW - uptime <= starts.service <= NOW


def test_a_series_that_has_begun_again_counts_since_the_last_snapshot_before(still_clock: StillClock) -> None:
    starts = Starts()
    found = []
    for at, number in ((10, 5.0), (20, 2.0), (30, 4.0), (40, 1.0), (50, 1.0)):
        starts.begin(NOW + at)
        found.append(starts.of(*family(number)))
    assert found == [starts.service, NOW + 10, NOW + 10, NOW + 30, NOW + 30]


def test_a_sum_may_fall_and_a_count_may_not(still_clock: StillClock) -> None:
    starts = Starts()
    found = []
    for at, numbers in ((10, (1.0, 2.0, 7.0)), (20, (1.0, 2.0, 3.0)), (30, (0.0, 9.0, 3.0))):
        starts.begin(NOW + at)
        found.append(starts.of(*family(*numbers)))
    assert found == [starts.service, starts.service, NOW + 20]


def test_a_start_that_was_said_stays_when_the_creation_is_not_known_any_more(still_clock: StillClock) -> None:
    starts = Starts()
    starts.begin(NOW + 10)
    assert starts.of(*family(3.0, created=NOW + 2)) == NOW + 2
    starts.begin(NOW + 20)  # there are other processes now
    assert starts.of(*family(5.0)) == NOW + 2


def test_a_series_that_was_gone_is_a_new_one(still_clock: StillClock) -> None:
    starts = Starts()
    starts.begin(NOW + 10)
    starts.of(*family(3.0))
    starts.begin(NOW + 20)
    starts.of(*family(1.0, labels="b"))
    starts.begin(NOW + 30)
    assert starts.of(*family(1.0)) == starts.service


WORKERS = """
import os, sys
from measurand import Counter
from measurand.metrics import shared
from measurand.exporters.starts import Starts
things = Counter("things_total", "Things")
early = Starts()
found = []
for _ in range(3):
    read, write = os.pipe()
    if not os.fork():
        try:
            things.inc()
            starts = Starts()
            starts.begin(1.0)
            assert shared.meeting_place() is not None
            os.write(write, repr(starts.service).encode())
        finally:
            os._exit(0)
    os.close(write)
    found.append(os.read(read, 100).decode())
    os.close(read)
    os.wait()
early.begin(2.0)
place = shared.meeting_place()
print(*found, repr(early.service), sorted(file for file in os.listdir(place) if file.startswith("counts-since")))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no company without forks")
def test_all_processes_of_a_service_say_the_same(tmp_path: Path) -> None:
    begun = time.time()
    done = run_python(WORKERS)
    assert done.returncode == 0, done.stderr
    *starts, files = done.stdout.split(maxsplit=4)
    assert len(set(starts)) == 1, done.stdout
    assert begun - 1 <= float(starts[0]) <= time.time()
    assert files.strip() == "['counts-since']"


UNWRITABLE = """
import os
from measurand import Counter
from measurand.metrics import shared
from measurand.exporters.starts import Starts
Counter("things_total", "Things").inc()
if not os.fork():
    os._exit(0)
os.wait()
starts = Starts()
(shared.meeting_place() / "counts-since").mkdir()  # nobody can have a file of that name there now
starts.begin(1.0)
first = starts.service
starts.begin(2.0)
print(first == starts.service, first > 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no company without forks")
def test_where_nothing_can_be_agreed_on_each_says_what_it_knows() -> None:
    done = run_python(UNWRITABLE)
    assert (done.returncode, done.stdout.strip()) == (0, "True True"), done.stderr
