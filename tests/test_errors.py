"""The tree of exceptions."""

from __future__ import annotations

import pickle

import pytest

from measurand import errors

pytestmark = pytest.mark.once

BUILT_IN = {
    "DefinitionError": ValueError,
    "DuplicateTimeseries": ValueError,
    "RefusedByDomain": ValueError,
    "LabelError": ValueError,
    "RecordingError": ValueError,
    "ExportFailed": OSError,
    "MissingExtra": ImportError,
    "AlreadyImported": RuntimeError,
    "AlreadyStarted": RuntimeError,
    "ConfigurationError": ValueError,
}


def test_the_page_lists_every_exception() -> None:
    assert set(errors.__all__) == {*BUILT_IN, "MeasurandError"}
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert defined == set(errors.__all__)


@pytest.mark.parametrize(("name", "built_in"), BUILT_IN.items())
def test_everything_is_caught_as_ours_and_as_the_built_in_type_of_its_situation(name: str, built_in: type[Exception]) -> None:
    error = getattr(errors, name)
    assert issubclass(error, errors.MeasurandError)
    assert issubclass(error, built_in)
    assert error.__doc__


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn = errors.__doc__ or ""
    for name, built_in in BUILT_IN.items():
        parent = getattr(errors, name).__mro__[1]
        line = next(line for line in drawn.splitlines() if f"── {name}" in line)
        assert line.index(name) == (8 if parent is errors.MeasurandError else 12)
        assert parent is not errors.MeasurandError or f"{name}({built_in.__name__})" in line
    assert issubclass(errors.DuplicateTimeseries, errors.DefinitionError)
    assert issubclass(errors.RefusedByDomain, errors.DefinitionError)


def test_a_duplicate_names_the_series_that_both_claim() -> None:
    error = errors.DuplicateTimeseries(["a_total"])
    assert error.duplicates == {"a_total"}
    assert str(error) == "Duplicated timeseries in CollectorRegistry: {'a_total'}"
    error = errors.DuplicateTimeseries(iter("ab"), "defined here and there")
    assert error.duplicates == {"a", "b"}
    assert str(error) == "defined here and there"


def test_a_missing_extra_names_the_command_that_installs_it() -> None:
    assert str(errors.MissingExtra("redis", "celery")) == "redis is not installed; run: pip install 'measurand[celery]'"


@pytest.mark.parametrize("name", ["DefinitionError", "LabelError", "RecordingError", "RefusedByDomain", "AlreadyImported"])
def test_an_exception_survives_a_process_boundary(name: str) -> None:
    error = getattr(errors, name)("what happened")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert again.args == ("what happened",)
