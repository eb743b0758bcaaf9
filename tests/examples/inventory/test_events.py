"""The event stream: what listeners are told, and that connections and events are counted right however a listener leaves."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from flask.testing import FlaskClient

from examples.inventory.errors import BusyError
from examples.inventory.events import BACKLOG, Events
from examples.inventory.services import Services
from tests.examples.inventory.workshop import Workshop
from tests.support import run_threads

ACTIVE = "sse_gateway_active_connections"
CONNECTIONS = "sse_gateway_connections_total"
SENT = "sse_gateway_events_sent_total"
SECONDS = "sse_gateway_send_duration_seconds_count"


def told(stream: Iterable[bytes], count: int) -> list[tuple[str, object]]:
    """The next events, as name and data."""
    found = []
    for chunk in stream:
        fields = dict(line.split(": ", 1) for line in chunk.decode().splitlines() if line and not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
        if len(found) == count:
            break
    return found


def test_a_listener_is_told_what_happens_in_the_workshop(client: FlaskClient, workshop: Workshop):
    (part,) = workshop.stocked(5)
    listener = client.get("/api/events", buffered=False)
    assert (listener.status_code, listener.mimetype, listener.headers["Cache-Control"]) == (200, "text/event-stream", "no-cache")
    workshop.stock(part, 1, 1, 2)
    made = workshop.pick_list(workshop.kit_of(part))
    client.post(f"/api/pick-lists/{made['id']}/lines/{made['lines'][0]['id']}/pick")
    assert told(listener.iter_encoded(), 3) == [
        ("stock_changed", {"part_id": part, "box_no": 1, "location_no": 1, "quantity": 7}),
        ("pick_list_created", {"id": made["id"]}),
        ("line_picked", {"id": made["id"], "line_id": made["lines"][0]["id"]}),
    ]
    listener.close()


def test_what_is_refused_is_not_told(client: FlaskClient, workshop: Workshop, services: Services):
    (part,) = workshop.stocked(5)
    stream = services.events.open()
    client.post("/api/stock/remove", json={"part_id": part, "box_no": 1, "location_no": 1, "quantity": 6})
    services.events.publish("tasks", "last", None)
    assert told(stream, 1) == [("last", None)]
    stream.close()


def test_connections_are_counted_in_and_out(services: Services, metrics):
    first, second = services.events.open(), services.events.open()
    assert metrics.value(ACTIVE) == services.events.open_streams == 2
    first.close()
    first.close()  # servers may
    assert metrics.value(ACTIVE) == 1
    second.close()
    assert metrics.delta(ACTIVE) == 0
    assert metrics.delta(CONNECTIONS, action="connect") == 2
    assert metrics.delta(CONNECTIONS, action="disconnect") == 2


def test_an_event_is_counted_when_the_server_comes_back_for_more(services: Services, metrics):
    stream = services.events.open()
    services.events.publish("stock", "stock_changed", {})
    assert told(stream, 1) == [("stock_changed", {})]
    assert metrics.delta(SENT) == 0  # it is being written
    next(stream)
    assert metrics.delta(SENT, service="stock", status="success") == 1
    assert metrics.delta(SECONDS, service="stock") == 1
    stream.close()
    assert metrics.delta(SENT) == 1


def test_a_connection_that_breaks_while_an_event_is_written_makes_it_an_error(services: Services, metrics):
    stream = services.events.open()
    services.events.publish("pick_lists", "line_picked", {})
    told(stream, 1)
    stream.close()  # what a server does when the write fails
    assert metrics.delta(SENT, service="pick_lists", status="error") == 1
    assert metrics.delta(SENT, status="success") == 0
    assert metrics.delta(ACTIVE) == 0


def test_a_listener_that_never_reads_a_byte_is_counted_out_all_the_same(client: FlaskClient, metrics):
    client.get("/api/events", buffered=False).close()
    assert metrics.delta(CONNECTIONS, action="connect") == 1
    assert metrics.delta(CONNECTIONS, action="disconnect") == 1
    assert metrics.delta(ACTIVE) == 0


def test_asking_for_the_head_only_leaves_nobody_connected(client: FlaskClient, metrics):
    answer = client.head("/api/events")
    answer.close()  # as a server does
    assert answer.status_code == 200
    assert metrics.delta(ACTIVE) == 0
    assert metrics.delta(CONNECTIONS, action="disconnect") == 1


def test_silence_is_broken_by_heartbeats_that_are_no_events(services: Services, metrics):
    stream = services.events.open()
    assert next(stream) == b"retry: 1000\n\n"
    assert [next(stream) for _ in range(2)] == [b": still here\n\n"] * 2
    stream.close()
    assert metrics.delta(SENT) == 0


def test_a_listener_that_cannot_keep_up_is_sent_away_and_costs_the_others_nothing(services: Services, metrics):
    slow, quick = services.events.open(), services.events.open()
    for number in range(BACKLOG + 1):
        services.events.publish("stock", "stock_changed", number)
        told(quick, 1)
    assert list(slow) == [b"retry: 1000\n\n"]
    slow.close()
    services.events.publish("stock", "stock_changed", "after")
    assert told(quick, 1) == [("stock_changed", "after")]
    quick.close()
    assert metrics.delta(SENT, status="error") == 2  # the one that did not fit, and the one under way when we left
    assert metrics.delta(SENT, status="success") == BACKLOG + 1


def test_there_is_room_for_so_many_listeners_and_the_next_is_told_when_to_come_back(services: Services, client: FlaskClient):
    streams = [services.events.open() for _ in range(services.events.most_streams)]
    refused = client.get("/api/events")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert "8 listeners are connected" in refused.get_json()["error"]
    streams.pop().close()
    client.get("/api/events", buffered=False).close()
    for stream in streams:
        stream.close()


def test_closing_ends_every_stream_at_once_and_opens_no_more(metrics):
    patient = Events(heartbeat=3600)
    stream = patient.open()
    next(stream)
    ended: list[list[bytes]] = []
    run_threads(lambda: ended.append(list(stream)), patient.close)
    assert ended == [[]]
    stream.close()
    with pytest.raises(BusyError):
        patient.open()
    assert metrics.delta(ACTIVE) == 0


def test_many_publishers_and_listeners_that_come_and_go_leave_the_numbers_right(metrics):
    hub = Events(heartbeat=0.01)

    def listen() -> None:
        for _ in range(20):
            stream = hub.open()
            told(stream, 1)
            stream.close()

    def publish() -> None:
        for number in range(300):
            hub.publish("tasks", "task_done", number)
        while hub.open_streams or metrics.delta(CONNECTIONS, action="connect") < 80:
            hub.publish("tasks", "task_done", None)

    run_threads(*[listen] * 4, publish)
    assert (metrics.delta(ACTIVE), hub.open_streams) == (0, 0)
    assert metrics.delta(CONNECTIONS, action="connect") == 80
    assert metrics.delta(CONNECTIONS, action="disconnect") == 80
    assert metrics.delta(SENT) >= metrics.delta(SECONDS)  # what did not fit was never begun to be written
