"""Websockets: when they count as open, and for how long."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from measurand.integrations.asgi import Middleware
from measurand.testing.clock import FakeClock
from measurand.testing.http import Boom, StandIn
from measurand.testing.readings import Readings

ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close", "code": 1000}


def connect(app: Any, service: StandIn, *arriving: dict[str, Any], send_fails: bool = False, **scope: Any) -> list[Any]:
    """Play a websocket; what the application sent."""
    sent: list[Any] = []

    async def main() -> None:
        waiting = list(arriving)

        async def receive() -> Any:
            return waiting.pop(0)

        async def send(message: Any) -> None:
            if send_fails and sent:
                raise BrokenPipeError
            sent.append(message)

        asked = {"type": "websocket", "path": "/ws/7", "headers": [], **scope}
        await Middleware(app, service, endpoint_of=lambda scope: "/ws/{id}")(asked, receive, send)

    asyncio.run(main())
    return sent


class Reading:
    """What the metrics say at this moment."""

    def __init__(self, service: StandIn) -> None:
        self._readings = Readings(service.registry)

    @property
    def open(self) -> float:
        return self._readings.delta("websocket_connections")

    @property
    def counted(self) -> float:
        return self._readings.delta("websocket_connection_duration_seconds_count", endpoint="/ws/{id}")

    @property
    def seconds(self) -> float:
        return self._readings.delta("websocket_connection_duration_seconds_sum", endpoint="/ws/{id}")


@pytest.fixture
def service() -> StandIn:
    return StandIn()


def test_it_is_open_from_its_acceptance_until_it_is_closed(service: StandIn) -> None:
    reading = Reading(service)
    seen: list[float] = []
    with FakeClock() as clock:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            clock.advance(1)
            seen.append(reading.open)
            await send(ACCEPT)
            seen.append(reading.open)
            clock.advance(10)
            await send(CLOSE)
            seen.append(reading.open)
            clock.advance(100)

        connect(app, service)
    assert seen == [0, 1, 0]
    assert (reading.open, reading.counted, reading.seconds) == (0, 1, 10)


def test_it_ends_when_the_client_goes(service: StandIn) -> None:
    reading = Reading(service)
    with FakeClock() as clock:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(ACCEPT)
            clock.advance(3)
            await receive()
            clock.advance(100)

        connect(app, service, {"type": "websocket.disconnect", "code": 1001})
    assert (reading.open, reading.counted, reading.seconds) == (0, 1, 3)


def test_it_ends_with_the_application_however_that_ends(service: StandIn) -> None:
    reading = Reading(service)
    for error in (None, Boom(), asyncio.CancelledError()):

        async def app(scope: Any, receive: Any, send: Any, error: Any = error) -> None:
            await send(ACCEPT)
            if error is not None:
                raise error

        if error is None:
            connect(app, service)
        else:
            with pytest.raises(type(error)) as raised:
                connect(app, service)
            assert raised.value is error
    assert (reading.open, reading.counted) == (0, 3)


def test_a_server_may_say_with_an_error_that_the_client_has_gone(service: StandIn) -> None:
    reading = Reading(service)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        with pytest.raises(BrokenPipeError):
            await send({"type": "websocket.send", "text": "hello"})
        assert reading.open == 0

    connect(app, service, send_fails=True)
    assert (reading.open, reading.counted) == (0, 1)


def test_a_refused_handshake_was_never_open(service: StandIn) -> None:
    reading = Reading(service)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(CLOSE)

    connect(app, service)
    assert (reading.open, reading.counted) == (0, 0)


def test_messages_pass_as_they_are(service: StandIn) -> None:
    messages = [ACCEPT, {"type": "websocket.send", "bytes": b"x"}, CLOSE]
    arriving = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}]
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in arriving:
            seen.append(await receive())
        for message in messages:
            await send(message)

    sent = connect(app, service, *arriving)
    assert all(one is two for one, two in zip(sent + seen, messages + arriving, strict=True))


def test_excluded_paths_are_not_recorded() -> None:
    service = StandIn(excluded=frozenset({"/ws/7"}))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)

    assert connect(app, service) == [ACCEPT]
    assert Readings(service.registry).samples("websocket_connection_duration_seconds_count") == []
    connect(app, service, path="/ws/8")
    assert Reading(service).open == 0
    assert Readings(service.registry).value("websocket_connection_duration_seconds_count") == 1


def test_a_middleware_within_another_passes_everything_on() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)

    outer, inner = StandIn(), StandIn()
    connect(Middleware(app, inner), outer)
    assert Readings(outer.registry).value("websocket_connection_duration_seconds_count") == 1
    assert Readings(inner.registry).samples("websocket_connection_duration_seconds_count") == []


def test_without_a_lifespan_the_first_websocket_starts_the_service(service: StandIn) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(CLOSE)

    connect(app, service)
    assert service.calls == ["started"]


def test_a_failure_of_ours_is_reported_and_nothing_else(service: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    def fail(endpoint: str) -> Any:
        raise RuntimeError("of ours")

    service.http.websocket_opened = fail  # type: ignore[method-assign]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        await send(CLOSE)

    assert connect(app, service) == [ACCEPT, CLOSE]
    assert len(caplog.records) == 1


def test_a_failure_at_the_end_is_reported_and_nothing_else(service: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    def opened(endpoint: str) -> Any:
        def fail(duration: float) -> None:
            raise RuntimeError("of ours")

        return fail

    service.http.websocket_opened = opened  # type: ignore[method-assign]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        await send(CLOSE)

    assert connect(app, service) == [ACCEPT, CLOSE]
    assert len(caplog.records) == 1
