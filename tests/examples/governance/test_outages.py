"""A real PostgreSQL and a real Redis go away under the running services, and come back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from examples.governance.settings import SERVICES, WORKERS
from tests.examples.governance import table
from tests.examples.governance.running import Platform, quick
from tests.servers.postgres import Postgres, cluster
from tests.servers.postgres import binary as postgres_binary
from tests.servers.process import until
from tests.servers.redis import Redis
from tests.servers.redis import binary as redis_binary

pytestmark = pytest.mark.once

WITH_A_STORE = ("api", "event-writer", "observer")
MOST_CONNECTIONS = 5
"""The pool of one process."""


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with Redis(redis_binary(), tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with cluster(postgres_binary()) as template, Postgres(postgres_binary(), template) as running:
        yield running


@pytest.fixture(scope="module")
def platform(redis: Redis, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    with quick(folder, database_url=postgres.url, redis_url=redis.url, patience=300) as running:
        running.traffic(1)
        running.records()
        yield running


@pytest.fixture(autouse=True)
def _recording(platform: Platform) -> None:
    """Whatever the test before has left."""
    platform.records()


def runs(platform: Platform, name: str, check: str) -> float:
    """How often a check has been run."""
    return platform.value(name, "health_check_duration_seconds_count", check=check)


def assert_readiness_follows(platform: Platform, names: tuple[str, ...], check: str, *, healthy: bool) -> None:
    """Within two intervals, counted in runs of the check: how long an interval takes on a busy machine is another matter.

    One run more may have begun before the server went or came, or may end before it is counted here.
    """
    before = {name: runs(platform, name, check) for name in names}
    seen: dict[str, float] = {}

    def followed() -> bool:
        for name in set(names) - seen.keys():
            if platform.checks(name)[check] is healthy:
                seen[name] = runs(platform, name, check)
        return len(seen) == len(names)

    until(followed, platform.what_is_wrong, 60)
    assert {name: count - before[name] for name, count in seen.items() if count - before[name] > 3 * processes(name)} == {}
    if not healthy:
        until(lambda: answers(platform, names) == {503}, platform.what_is_wrong, 60)
    else:
        until(lambda: all(platform.value(name, "health_check_status", check=check) == 1 for name in names), platform.what_is_wrong, 60)
        until(lambda: platform.are_ready(*names), platform.what_is_wrong, 60)


def processes(*names: str) -> int:
    """How many serve."""
    return sum(WORKERS.get(name, 1) for name in names)


def answers(platform: Platform, names: tuple[str, ...]) -> set[int]:
    """What services say of their readiness, asked so often that each worker has probably answered."""
    return {platform.get(name, "/v1/ready").status for name in names for _ in range(4 * processes(name) - 3)}


def test_everything_goes_through_postgres_and_redis(platform: Platform, redis: Redis):
    assert platform.proposes().status == 201
    assert platform.value("event-writer", "event_queue_deliveries_total", outcome="recorded") > 0
    assert platform.value("api", "event_handovers_total", transport="redis", outcome="recorded") > 0
    for row in table.OF_THE_QUEUE:
        metric = platform.families("event-writer")[row.name]
        assert (metric.type, metric.labels) == (row.type, set(row.labels.split()))
    assert {name: set(platform.checks(name)) for name in SERVICES} == {
        "api": {"database", "event_store", "redis"},
        "event-writer": {"database", "event_store", "redis", "intake"},
        "observer": {"database", "event_store", "observation", "redis"},
        "watchdog": {"rounds", "redis"},
    }


def test_without_a_database_nobody_who_needs_it_is_ready_all_are_alive_and_nothing_is_lost_or_leaked(
    platform: Platform, postgres: Postgres
):
    connections: list[int] = []
    files: list[float] = []
    with platform.watching("/v1/health") as alive:
        for is_first in (True, False):
            postgres.stop()
            assert_readiness_follows(platform, WITH_A_STORE, "database", healthy=False)
            assert platform.is_ready("watchdog")
            assert platform.get("api", "/v1/state").status == 503
            pending = platform.proposes() if is_first else None
            assert pending is None or (pending.status, pending.json["state"]) == (202, "pending")
            postgres.start()
            assert_readiness_follows(platform, WITH_A_STORE, "database", healthy=True)
            if pending is not None:
                place = pending.headers["Location"]
                until(lambda place=place: platform.get("api", place).status == 200, lambda: "what was handed over is lost")
            together(platform, 8)
            connections.append(postgres.connections())
            files.append(sum(platform.value(name, "process_open_fds") for name in SERVICES))
    assert [name for name, statuses in alive.items() if set(statuses) != {200}] == []
    assert max(connections) <= MOST_CONNECTIONS * processes(*WITH_A_STORE)
    assert files[1] <= files[0] + 8 * processes("api")  # a leak would be one for each request and each run of a check


def test_without_redis_nobody_is_ready_all_are_alive_reading_works_and_nothing_is_leaked(platform: Platform, redis: Redis):
    connections: list[int] = []
    with platform.watching("/v1/health") as alive:
        for _ in range(2):
            redis.stop()
            assert_readiness_follows(platform, SERVICES, "redis", healthy=False)
            assert platform.get("api", "/v1/state").status == 200
            assert platform.proposes().status == 503
            redis.start()
            assert_readiness_follows(platform, SERVICES, "redis", healthy=True)
            platform.records()
            together(platform, 8)
            connections.append(redis.connections())
    assert [name for name, statuses in alive.items() if set(statuses) != {200}] == []
    assert connections[1] <= connections[0] + 4 * processes("api"), connections


def test_a_database_or_a_redis_that_hangs_is_noticed_and_holds_no_probe_up(platform: Platform, postgres: Postgres, redis: Redis):
    postgres.pause()
    try:
        assert_readiness_follows(platform, WITH_A_STORE, "database", healthy=False)
        assert {platform.get(name, "/v1/health").status for name in SERVICES} == {200}
    finally:
        postgres.resume()
    assert_readiness_follows(platform, WITH_A_STORE, "database", healthy=True)
    redis.pause()
    try:
        assert_readiness_follows(platform, ("api",), "redis", healthy=False)
        assert {platform.get(name, "/v1/health").status for name in SERVICES} == {200}
    finally:
        redis.resume()
    assert_readiness_follows(platform, SERVICES, "redis", healthy=True)
    platform.records()


def together(platform: Platform, people: int) -> None:
    """Some people who act and read at the same time, so that the pools are used."""

    def work() -> None:
        for _ in range(3):
            platform.proposes()
            platform.get("api", "/v1/state")

    threads = [threading.Thread(target=work) for _ in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
