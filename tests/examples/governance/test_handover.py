"""Both ways to the event writer: what comes back, and what each way of not coming back is."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, TypeVar

import pytest
from redis import Redis as Client

from examples.governance.constitution import Constitution, Kind
from examples.governance.errors import PendingError, UnreachableError
from examples.governance.events import Act
from examples.governance.handover import Handover, HttpHandover, Measured, RedisHandover
from examples.governance.intake import Intake
from examples.governance.queueing import LONGEST_QUEUE, QUEUE, TAKEN, answer_key
from examples.governance.rules import Refusal, RefusedError
from examples.governance.store import EventStore
from examples.governance.writer import Writer
from measurand.testing.readings import Readings
from tests.examples.governance.history import History
from tests.servers.redis import Redis
from tests.support import wait_until

pytestmark = pytest.mark.once

T = TypeVar("T")
ACT = Act(Kind.PROPOSAL, "ada", text="Tea")


def using(handover: Handover, work: Callable[[Measured], Awaitable[T]]) -> T:
    """One event loop for one handover, closed at its end."""

    async def run() -> T:
        measured = Measured(handover)
        try:
            return await work(measured)
        finally:
            await measured.close()

    return asyncio.run(run())


def submitting(handover: Handover, act: Act = ACT) -> dict[str, Any]:
    return using(handover, lambda measured: measured.submit(act))


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """A server that gives one answer for each connection, in order, and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    while not connection.recv(65536).endswith(b"}"):
                        pass
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield "http://{}:{}".format(*listener.getsockname())
        thread.join(10)


def http(status: int, body: object) -> bytes:
    content = json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(content), content)


# -- by HTTP -------------------------------------------------------------------------------------------------------------------


def test_by_http_the_event_comes_back(metrics: Readings):
    with answering(http(201, {"sequence": 1})) as url:
        assert submitting(HttpHandover(url)) == {"sequence": 1}
    assert metrics.delta("event_handovers_total", transport="http", outcome="recorded") == 1
    assert metrics.delta("event_handover_duration_seconds_count", transport="http") == 1


def test_by_http_a_refusal_comes_back_as_one(metrics: Readings):
    with answering(http(423, {"code": "halted"})) as url, pytest.raises(RefusedError) as refused:
        submitting(HttpHandover(url))
    assert refused.value.reason is Refusal.HALTED
    assert metrics.delta("event_handovers_total", transport="http", outcome="refused") == 1


@pytest.mark.parametrize("body", [{"code": "unavailable"}, {"detail": []}, [], "no"])
def test_by_http_an_answer_that_is_no_refusal_is_a_writer_that_cannot_record(body: object):
    with answering(http(503, body)) as url, pytest.raises(UnreachableError):
        submitting(HttpHandover(url))


def test_by_http_nobody_there_is_unreachable(metrics: Readings):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = "http://{}:{}".format(*closed.getsockname())
    with pytest.raises(UnreachableError):
        submitting(HttpHandover(url))
    assert metrics.delta("event_handovers_total", transport="http", outcome="unreachable") == 1


def test_by_http_a_connection_that_breaks_is_tried_once_more_and_then_pending(metrics: Readings):
    with answering(b"", http(201, {"sequence": 1})) as url:
        assert submitting(HttpHandover(url)) == {"sequence": 1}
    with answering(b"", b"") as url, pytest.raises(PendingError) as pending:
        submitting(HttpHandover(url))
    assert pending.value.act == ACT
    assert metrics.delta("event_handovers_total", transport="http", outcome="pending") == 1


# -- by Redis ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def client(redis: Redis) -> Iterator[Client]:
    with closing(Client.from_url(redis.url)) as opened:
        yield opened


@contextmanager
def taking(redis: Redis, writer: Writer) -> Iterator[Intake]:
    intake = Intake(redis.url, writer, patience=0.1)
    intake.start()
    try:
        yield intake
    finally:
        assert intake.stop(10)
        intake.client.close()


def test_by_redis_events_and_refusals_come_back_and_nothing_stays(redis: Redis, client: Client, writer: Writer, metrics: Readings):
    with taking(redis, writer) as intake:

        async def work(measured: Measured) -> None:
            acts = [Act(Kind.PROPOSAL, "ada", text=str(number)) for number in range(20)]
            events = await asyncio.gather(*map(measured.submit, acts))
            assert sorted(event["sequence"] for event in events) == list(range(1, 21))
            assert [event["text"] for event in events] == [act.text for act in acts]  # each got its own
            with pytest.raises(RefusedError, match="nothing with this id"):
                await measured.submit(Act(Kind.VOTE, "ada", "nothing", "for"))

        using(RedisHandover(redis.url), work)
        intake.measure()
        wait_until(lambda: client.keys("*") == [], what=lambda: str(client.keys("*")))
        assert intake.is_running
    assert metrics.delta("event_handovers_total", transport="redis", outcome="recorded") == 20
    assert metrics.delta("event_queue_deliveries_total", outcome="recorded") == 20
    assert metrics.delta("event_queue_deliveries_total", outcome="refused") == 1
    assert metrics.value("event_queue_length") == 0
    wait_until(lambda: redis.connections() == 1, what=lambda: f"{redis.connections()} connections are left")  # the test's own


def test_by_redis_without_a_writer_it_is_pending_and_recorded_when_there_is_one(redis: Redis, writer: Writer, store: EventStore):
    with pytest.raises(PendingError):
        submitting(RedisHandover(redis.url, wait=0.1))
    assert store.find(ACT.id) is None
    with taking(redis, writer):
        wait_until(lambda: store.find(ACT.id))


def test_by_redis_nobody_there_is_unreachable_at_once(redis: Redis):
    redis.stop()
    with pytest.raises(UnreachableError):
        submitting(RedisHandover(redis.url))


def test_by_redis_the_queue_is_bounded(redis: Redis, client: Client):
    client.lpush(QUEUE, *["x"] * LONGEST_QUEUE)
    with pytest.raises(UnreachableError, match="full"):
        submitting(RedisHandover(redis.url))


# -- the writer's end of the queue ---------------------------------------------------------------------------------------------


def test_what_a_crashed_writer_had_taken_is_recorded_first_and_once(redis: Redis, client: Client, writer: Writer, store: EventStore):
    acts = [Act(Kind.PROPOSAL, "ada", text=str(number)) for number in range(3)]
    writer.record(acts[0])  # crashed after the commit and before the answer
    client.lpush(TAKEN, json.dumps(acts[0].as_json()), json.dumps(acts[1].as_json()))
    client.lpush(QUEUE, json.dumps(acts[2].as_json()))
    with taking(redis, writer):
        wait_until(lambda: store.find(acts[2].id))
        wait_until(lambda: client.exists(answer_key(acts[2].id)))
    assert [event.act for event in store.read()] == acts
    assert 0 < client.ttl(answer_key(acts[0].id)) <= 60  # an answer that nobody fetches goes away
    assert client.llen(TAKEN) == 0


def test_what_was_taken_for_a_connection_that_was_given_up_is_not_left_there(
    redis: Redis, client: Client, writer: Writer, store: EventStore
):
    with taking(redis, writer):
        assert submitting(RedisHandover(redis.url))["sequence"] == 1
        late = Act(Kind.PROPOSAL, "ada", text="More")
        client.lpush(TAKEN, json.dumps(late.as_json()))  # as a server does that hung when the connection was closed
        wait_until(lambda: store.find(late.id))


def test_rubbish_in_the_queue_is_dropped_and_counted(redis: Redis, client: Client, writer: Writer, metrics: Readings):
    client.lpush(QUEUE, b"\xff", b"[]", b"{}", json.dumps(ACT.as_json() | {"kind": "bribe"}))
    with taking(redis, writer):
        wait_until(lambda: client.llen(QUEUE) + client.llen(TAKEN) == 0)
    assert metrics.delta("event_queue_deliveries_total", outcome="malformed") == 4


def test_while_the_database_is_away_the_act_waits_and_the_thread_tries_again(
    redis: Redis, writer: Writer, store: EventStore, history: History, metrics: Readings
):
    writer.prepare()
    history.tamper("ALTER TABLE events RENAME TO elsewhere")
    with taking(redis, writer):
        with pytest.raises(PendingError):
            submitting(RedisHandover(redis.url, wait=0.5))
        assert metrics.delta("event_queue_deliveries_total", outcome="retried") > 0
        history.tamper("ALTER TABLE elsewhere RENAME TO events")
        wait_until(lambda: store.find(ACT.id))


def test_stopping_while_the_database_is_away_leaves_the_act_for_the_next_start(
    redis: Redis, client: Client, store: EventStore, history: History, constitution: Constitution, metrics: Readings
):
    writer = Writer(store, constitution)
    writer.prepare()
    history.tamper("ALTER TABLE events RENAME TO elsewhere")
    client.lpush(QUEUE, json.dumps(ACT.as_json()))
    with taking(redis, writer):
        wait_until(lambda: metrics.delta("event_queue_deliveries_total", outcome="retried"))
    assert client.llen(TAKEN) == 1
    history.tamper("ALTER TABLE elsewhere RENAME TO events")
    with taking(redis, writer):
        wait_until(lambda: store.find(ACT.id))


def test_it_goes_on_when_redis_comes_back(redis: Redis, writer: Writer):
    with taking(redis, writer) as intake:
        assert submitting(RedisHandover(redis.url))["sequence"] == 1
        redis.stop()
        redis.start()
        assert intake.is_running
        wait_until(lambda: submitted(redis, Act(Kind.PROPOSAL, "ada", text="More")), every=0.1)


def submitted(redis: Redis, act: Act) -> bool:
    try:
        return bool(submitting(RedisHandover(redis.url), act))
    except (UnreachableError, PendingError):
        return False
