"""The options of ``start()``: their kinds, and whether two calls pass the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from measurand import REGISTRY, Check, CollectorRegistry, Domain, Runtime
from measurand.bootstrap.options import likeness, passed
from measurand.bootstrap.runtime import current
from measurand.errors import ConfigurationError
from measurand.exporters.memory import Memory

pytestmark = pytest.mark.once

AUDIT = Domain("audit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"checks": Check("database", bool)},
            "checks must be a list, also for a single one, not an object of Check: checks=[database_is_there]",
        ),
        ({"checks": bool}, "checks must be a list"),
        ({"checks": "database"}, "checks must be a list"),
        ({"checks": {"database": bool}}, "checks must be a list"),
        (
            {"exporters": "statsd://user:hunter2@127.0.0.1:8125"},
            "exporters must be a list, also for a single one, not an object of str: exporters=['statsd://127.0.0.1:8125']",
        ),
        ({"exporters": Memory()}, "exporters must be a list, also for a single one, not an object of Memory"),
        ({"domains": ["/x"]}, "domains must be a Domain for each path of a page, such as domains={'/v1/audit': AUDIT}, not ['/x']"),
        ({"domains": AUDIT}, "domains must be a Domain for each path"),
        ({"domains": {"/x": "audit"}}, "domains must be a Domain for each path"),
        ({"request_buckets": 5}, "request_buckets is 5, but must be rising upper bounds in seconds"),
        ({"excluded_paths": 5}, "excluded_paths is 5, but must be paths such as"),
    ],
)
def test_what_is_of_the_wrong_kind_is_refused_with_what_would_do(
    starting: Callable[..., Runtime], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match="^" + re.escape(message)) as caught:
        starting(**options)
    assert "hunter2" not in str(caught.value)
    assert current() is None


def test_what_says_nothing_is_not_passed() -> None:
    silent = {"version": None, "checks": (), "exporters": [], "domains": {}, "registry": REGISTRY}
    assert passed(silent) == likeness(silent) == {}
    assert passed({"common_labels": {}, "checks": [bool]}) == {"common_labels": {}, "checks": [bool]}


def test_a_start_takes_none_for_what_is_not_passed(starting: Callable[..., Runtime]) -> None:
    assert starting(checks=None, exporters=None, domains=None) is current()


def test_settings_are_alike_if_they_become_the_same() -> None:
    assert likeness({"management": "9100", "drain_delay": 2}) == likeness({"management": 9100, "drain_delay": "2.0"})
    assert likeness({"management": "9100"}) != likeness({"management": "9101"})
    assert likeness({"common_labels": {}}) != likeness({})


def test_registries_and_domains_are_alike_if_they_are_the_same_objects() -> None:
    mine = CollectorRegistry()
    assert likeness({"registry": mine, "domains": {"/x": AUDIT}}) == likeness({"registry": mine, "domains": {"/x": AUDIT}})
    assert likeness({"registry": mine}) != likeness({"registry": CollectorRegistry()})
    assert likeness({"domains": {"/x": AUDIT}}) != likeness({"domains": {"/x": Domain("audit")}})


def test_a_misspelt_setting_is_a_type_error_with_the_likely_name() -> None:
    with pytest.raises(TypeError, match=r"start\(\) has no setting 'drain_dely'; is 'drain_delay' meant\?"):
        likeness({"drain_dely": 5})
