"""Destinations by address."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from measurand.errors import ConfigurationError, MeasurandError
from measurand.exporters import addresses
from measurand.exporters.addresses import GROUP, Options, from_address, schemes
from measurand.exporters.memory import Memory
from measurand.exporters.textfile import Textfile

pytestmark = pytest.mark.once


class Ledger(Memory):
    """A destination of somebody's own package."""

    @classmethod
    def from_url(cls, url: SplitResult, options: Options) -> Self:
        made = cls(options.text("temporality", "delta"), **options.schedule())
        made.url = url  # type: ignore[attr-defined]
        made.size, made.is_fast = options.number("size", 7.0), options.flag("fast", False)  # type: ignore[attr-defined]
        made.labels = options.rest("label.")  # type: ignore[attr-defined]
        return made


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a package were installed that has it."""
    point = EntryPoint("ledger", f"{__name__}:Ledger", GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: Ledger if self.name == "ledger" else _load(self))
    monkeypatch.setattr(addresses, "entry_points", lambda group: [*_found(group=group), point])


_load, _found = EntryPoint.load, addresses.entry_points


def test_an_address_stands_for_an_exporter(tmp_path: Path) -> None:
    made = from_address(f"textfile://{tmp_path}/shop.prom?interval=30&name=node")
    assert isinstance(made, Textfile)
    assert (made.name, made.interval, repr(made)) == ("node", 30.0, f"Textfile('{tmp_path}/shop.prom')")


def test_what_is_installed_is_known() -> None:
    assert {"pushgateway", "statsd", "textfile"} <= set(schemes())


@pytest.mark.parametrize("scheme", sorted(set(schemes())))
def test_every_scheme_of_this_package_leads_to_a_class_of_it(scheme: str) -> None:
    (point,) = [point for point in _found(group=GROUP) if point.name == scheme]
    assert point.value.startswith("measurand.exporters.")
    assert callable(point.load().from_url)


@pytest.mark.usefixtures("ledger")
def test_a_package_of_ones_own_may_have_a_destination() -> None:
    assert "ledger" in schemes()
    made: Any = from_address("ledger+tcp://ada:pass@host:99/x?temporality=cumulative&size=2.5&fast=yes&label.a=1&label.b=&interval=9")
    assert isinstance(made, Ledger)
    assert (made.url.scheme, made.url.hostname, made.url.port, made.url.path) == ("ledger+tcp", "host", 99, "/x")
    assert (made.temporality, made.size, made.is_fast, made.labels, made.interval) == ("cumulative", 2.5, True, {"a": "1", "b": ""}, 9.0)


@pytest.mark.usefixtures("ledger")
def test_what_is_not_said_is_as_the_class_has_it() -> None:
    made: Any = from_address("ledger:")
    assert (made.temporality, made.size, made.is_fast, made.labels, made.interval, made.name) == ("delta", 7.0, False, {}, 15.0, "memory")


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ledgr://host", "no exporter has the scheme 'ledgr' of 'ledgr://host'; is ledger: meant?"),
        ("zzz://host", "no exporter has the scheme 'zzz' of 'zzz://host'; the schemes are cloudwatch, "),
        ("127.0.0.1:8125", "no exporter has the scheme '' of '127.0.0.1:8125'; the schemes are "),
        ("", "no exporter has the scheme ''"),
        ("ledger://host:port", "an exporter's address cannot be read; it has to look like statsd://127.0.0.1:8125"),
        ("ledger://[host", "an exporter's address cannot be read; it has to look like statsd://127.0.0.1:8125"),
        ("ledger://host:0", "the port of ledger://host:0 cannot be 0"),
        ("ledger://host?size=much", "size of ledger://host must be a number, not 'much'"),
        ("ledger://host?interval=nan", "interval of ledger://host must be a number, not 'nan'"),
        ("ledger://host?fast=maybe", "fast of ledger://host must be 1 or 0, not 'maybe'"),
        ("ledger://host?fast", "fast of ledger://host must be 1 or 0, not ''"),
        ("ledger://host?intervall=3", "ledger://host has no option 'intervall'; is 'interval' meant?"),
        ("ledger://host?zzz=3", "ledger://host has no option 'zzz'; it has fast, interval, label.…, name, size, temporality"),
        ("ledger://host?size=1&size=2", "ledger://host has an option twice"),
        ("textfile://x.prom", "the address of a text file has three slashes"),
    ],
)
def test_an_address_that_cannot_be_used_says_what_would_do(address: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        from_address(address)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("said", ["1", "true", "YES", "On"])
def test_an_option_is_on(said: str) -> None:
    assert Options({"x": said}, "here").flag("x") is True


@pytest.mark.parametrize("said", ["0", "false", "NO", "Off"])
def test_an_option_is_off(said: str) -> None:
    assert Options({"x": said}, "here").flag("x") is False


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    "address",
    [
        "ledgr://ada:hunter2@host/x",
        "ledger://ada:hunter2@host?token=hunter2",
        "ledger://ada:hunter2@host?size=a",
        "ledger://ada:hunter2/x@host",
        "ledger://ada:hunter2@ho℀st",
        "ledger://ada:hunter2@host:0",
        "ledger://ada:hunter2@host?size=1&size=hunter2",
    ],
)
def test_no_message_has_a_password_in_it(address: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        from_address(address)
    assert "hunter2" not in str(caught.value)


@settings(max_examples=30)
@given(st.builds(lambda scheme, rest: scheme + rest, st.sampled_from([f"{scheme}:" for scheme in schemes()] + [""]), st.text(max_size=30)))
@example("pushgateway+ftp://host?job=x")
@example("statsd://host:70000")
@example("pushgateway://host")
def test_an_address_is_an_exporter_or_a_clear_error(address: str) -> None:
    try:
        made = from_address(address)
    except MeasurandError:
        return
    assert made.name
    assert made.interval > 0
