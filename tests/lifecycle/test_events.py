"""Who listens to what, each event once."""

from __future__ import annotations

import pytest

from measurand.errors import ConfigurationError
from measurand.lifecycle.events import Event, Listeners, Named, State, call_here


def test_listeners_are_given_once_in_their_order_and_hooks_in_the_reverse_one() -> None:
    listeners = Listeners()
    for number in range(3):
        for event in Event:
            listeners.add(event, int, f"listener {number}")
    names = {event: [listener.name[-1] for listener in listeners.take(event)] for event in Event}
    assert names == {event: ["2", "1", "0"] if event is Event.SHUTDOWN else ["0", "1", "2"] for event in Event}
    assert [listeners.take(event) for event in Event] == [[]] * len(Event)


def test_a_listener_that_comes_late_is_called_at_once_and_once() -> None:
    listeners, seen = Listeners(), []
    listeners.take(Event.STARTUP)
    listeners.add(Event.STARTUP, lambda: seen.append("called"), None)
    assert (seen, listeners.take(Event.STARTUP)) == (["called"], [])


def test_a_listener_without_a_name_has_its_own() -> None:
    class Pool:
        def close(self) -> None: ...

    listeners = Listeners()
    listeners.add(Event.SHUTDOWN, Pool().close, None)
    assert listeners.take(Event.SHUTDOWN)[0].name.endswith("Pool.close")


def test_a_coroutine_function_is_refused() -> None:
    async def close() -> None: ...

    with pytest.raises(ConfigurationError, match="run_coroutine_threadsafe"):
        Listeners().add(Event.SHUTDOWN, close, None)


def test_what_a_listener_raises_is_logged_except_what_ends_the_program(caplog) -> None:
    call_here(Event.STARTUP, Named("broken", lambda: 1 / 0))
    assert "startup broken failed" in caplog.text

    def leave() -> None:
        raise SystemExit(1)

    with pytest.raises(SystemExit):
        call_here(Event.STARTUP, Named("leaving", leave))


def test_states_and_events_read_as_their_names() -> None:
    assert [str(state) for state in State] == ["starting", "running", "preparing", "draining", "stopped"]
    assert [str(event) for event in Event] == ["startup", "prepare_shutdown", "draining", "shutdown", "after_shutdown"]
