"""Registering for polling, before and after the start: an error comes at that line and changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import measurand
from measurand import Runtime
from measurand.bootstrap.runtime import current
from measurand.errors import ConfigurationError

pytestmark = pytest.mark.once

Starting = Callable[..., Runtime]

WRONG = [
    (print, {"interval": -1}, ConfigurationError, "the interval of 'wrong' must be"),
    (print, {"timeout": 0}, ConfigurationError, "the timeout of 'wrong' must be"),
    (print, {"first": "later"}, ConfigurationError, "first of 'wrong' must be"),
    (print, {"intervall": 3}, TypeError, "intervall"),
    ("refresh", {}, ConfigurationError, "the callback of 'wrong' must be a function"),
]


@pytest.mark.parametrize(("callback", "settings", "error", "message"), WRONG)
def test_what_cannot_be_polled_is_refused_before_there_is_a_runtime(
    starting: Starting, callback: Any, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    assert current() is None
    with pytest.raises(error, match=message):
        measurand.register_for_polling("wrong", callback, **settings)
    starting().polling.register("wrong", print)  # the name is free


@pytest.mark.parametrize(("settings", "error"), [({"interval": -60}, ConfigurationError), ({"intervall": 3}, TypeError)])
def test_a_registration_that_fails_leaves_the_one_that_there_was(
    starting: Starting, settings: dict[str, Any], error: type[Exception], request: pytest.FixtureRequest
) -> None:
    called = threading.Event()

    def refresh() -> None:
        called.set()

    name = request.node.name  # registrations outlive a runtime
    runtime = starting()
    measurand.register_for_polling(name, refresh, interval=0.02)
    with pytest.raises(error):
        measurand.register_for_polling(name, refresh, **settings)
    called.clear()
    assert called.wait(30)
    measurand.register_for_polling(name, refresh, interval=3600)
    runtime.polling.unregister(name)
