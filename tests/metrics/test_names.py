"""Which names are accepted, and how a full name is built."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from measurand import Counter, Gauge, Info, generate_latest
from measurand.errors import DefinitionError
from measurand.metrics import names
from measurand.metrics.registry import CollectorRegistry


@pytest.mark.parametrize(
    ("metric_type", "name", "namespace", "subsystem", "unit", "full"),
    [
        ("gauge", "a", "", "", "", "a"),
        ("gauge", "a", "n", "s", "", "n_s_a"),
        ("gauge", "a", "n", "", "", "n_a"),
        ("gauge", "a", "", "s", "", "s_a"),
        ("gauge", "a", "", "", "seconds", "a_seconds"),
        ("gauge", "a_seconds", "", "", "seconds", "a_seconds"),
        ("gauge", "seconds", "", "", "seconds", "seconds_seconds"),
        ("counter", "a_total", "", "", "", "a"),
        ("counter", "a", "", "", "", "a"),
        ("counter", "a_total", "", "", "bytes", "a_bytes"),
        ("counter", "a_bytes_total", "", "", "bytes", "a_bytes"),
        ("counter", "total", "n", "", "", "n"),
        ("counter", "a_total_total", "", "", "", "a_total"),
        ("gauge", "a_total", "", "", "", "a_total"),
    ],
)
def test_the_full_name_is_built_of_its_parts(metric_type: str, name: str, namespace: str, subsystem: str, unit: str, full: str) -> None:
    assert names.build_full_name(metric_type, name, namespace, subsystem, unit) == full


def test_a_counter_is_found_by_the_name_of_its_series(registry: CollectorRegistry) -> None:
    Counter("requests", "d", namespace="shop", subsystem="http", unit="bytes", registry=registry).inc(2)
    assert registry.get_sample_value("shop_http_requests_bytes_total") == 2


@pytest.mark.parametrize("metric_type", ["info", "stateset"])
def test_facts_and_states_have_no_unit(metric_type: str) -> None:
    with pytest.raises(DefinitionError, match=r"cannot have a unit: build.*leave out unit='seconds'"):
        names.build_full_name(metric_type, "build", "", "", "seconds")


@pytest.mark.parametrize("name", ["a", "a.b", "größe", "a b", "1a", '"', "日本", "a:b"])
def test_any_utf_8_name_is_accepted_and_exposed_with_underscores(registry: CollectorRegistry, name: str) -> None:
    Gauge(name, "d", [f"{name}x"], registry=registry).labels("v").set(1)
    shown, label = names.underscored(name), names.underscored(f"{name}x", label=True)
    assert f'{shown}{{{label}="v"}} 1.0\n' in generate_latest(registry).decode()
    assert names.is_classic_metric(shown)
    assert names.is_classic_label(label)


def test_a_name_that_cannot_be_written_is_refused(registry: CollectorRegistry) -> None:
    with pytest.raises(DefinitionError, match=r"invalid metric name 'a\\ud800'; use letters"):
        Gauge("a\ud800", "d", registry=registry)
    with pytest.raises(DefinitionError, match=r"'b\\ud800' of a"):
        Gauge("a", "d", ["b\ud800"], registry=registry)
    assert registry.collectors() == []


def test_a_name_must_not_be_empty() -> None:
    with pytest.raises(DefinitionError, match="should not be empty"):
        names.build_full_name("gauge", "", "namespace", "", "")
    with pytest.raises(DefinitionError, match="cannot be empty"):
        names.validate_metric_name("")
    with pytest.raises(DefinitionError, match="cannot be empty"):
        names.build_full_name("counter", "_total", "", "", "")


@pytest.mark.parametrize(
    ("labelnames", "message"),
    [
        ("method", r"labelnames of requests must be a list of names, not a string; did you mean \['method'\]\?"),
        (["__name__"], "Reserved label metric name: '__name__' of requests; names that start with '__'"),
        (["le"], "Reserved label metric name: 'le' of requests; this type of metric uses it itself"),
        ([""], "Invalid label metric name: '' of requests"),
        (["a", "a"], "Duplicate label names of requests: 'a' and 'a' are the same name when exposed"),
        (["a.b", "c", "a-b"], "Duplicate label names of requests: 'a.b' and 'a-b' are the same"),
    ],
)
def test_a_label_name_that_would_spoil_the_scrape_is_refused(labelnames: list[str], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        names.validate_labelnames("requests", labelnames, ["le"])


def test_a_label_name_that_is_no_string_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="label names of requests must be strings, not int"):
        names.validate_labelnames("requests", [1])  # type: ignore[list-item]


def test_a_single_letter_and_any_iterable_of_names_are_fine() -> None:
    assert names.validate_labelnames("requests", "a") == ("a",)
    assert names.validate_labelnames("requests", (name for name in ("a", "b"))) == ("a", "b")


@pytest.fixture
def legacy() -> Iterator[None]:
    names.enable_legacy_validation()
    yield
    names.disable_legacy_validation()


@pytest.mark.usefixtures("legacy")
@pytest.mark.parametrize("name", ["a.b", "größe", "a b", "1a", "a\n"])
def test_legacy_validation_accepts_only_the_classic_set(registry: CollectorRegistry, name: str) -> None:
    assert names.get_legacy_validation()
    with pytest.raises(DefinitionError, match="invalid metric name"):
        Gauge(name, "d", registry=registry)
    with pytest.raises(DefinitionError, match="of fine; use letters"):
        Gauge("fine", "d", [name], registry=registry)
    assert registry.collectors() == []


@pytest.mark.usefixtures("legacy")
def test_legacy_validation_accepts_all_of_the_classic_set(registry: CollectorRegistry) -> None:
    Gauge("a:b_C1", "d", ["_a1"], registry=registry).labels("x").set(1)
    assert registry.get_sample_value("a:b_C1", {"_a1": "x"}) == 1
    with pytest.raises(DefinitionError, match="of other; use letters"):
        Gauge("other", "d", ["a:b"], registry=registry)  # a colon is for metrics


def test_utf_8_is_the_default_and_comes_back(registry: CollectorRegistry) -> None:
    names.enable_legacy_validation()
    names.disable_legacy_validation()
    assert not names.get_legacy_validation()
    Info("größe", "d", registry=registry).info({"ä": "ö"})
    assert registry.get_sample_value("größe_info", {"ä": "ö"}) == 1
