"""Label values with a limit."""

from __future__ import annotations

from measurand.catalog.limited import Limited
from tests.support import eager_switching, run_threads


def test_the_first_values_stay_and_the_rest_share_one() -> None:
    values = Limited(2, "other")
    assert [values.label(value) for value in ("a", "b", "a", "c", "b", "d")] == ["a", "b", "a", "other", "b", "other"]


def test_what_is_always_told_apart_uses_up_nothing() -> None:
    values = Limited(1, "other", always=["known"])
    assert [values.label(value) for value in ("known", "a", "b", "known", "a")] == ["known", "a", "other", "known", "a"]


def test_the_first_that_is_kept_out_is_said_once() -> None:
    said: list[tuple[int, str]] = []
    values = Limited(1, "other", say=lambda limit, value: said.append((limit, value)))
    for value in ("a", "a", "b", "c"):
        values.label(value)
    assert said == [(1, "b")]


def test_a_limit_of_nothing_keeps_everything_out() -> None:
    assert Limited(0, "other").label("a") == "other"


def test_threads_never_exceed_the_limit() -> None:
    values = Limited(50, "other")
    labels: set[str] = set()

    def work() -> None:
        for number in range(500):
            labels.add(values.label(f"v{number}"))

    with eager_switching():
        run_threads(*[work] * 8)
    assert "other" in labels
    assert len(labels - {"other"}) <= 50
