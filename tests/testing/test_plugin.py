"""The pytest plugin, in the pytest of a program that uses it (P-21)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import pytest

import measurand.testing.clock  # here, so that no test of a test loads it for itself
import measurand.testing.readings  # noqa: F401
from measurand import REGISTRY

pytest_plugins = "pytester"

QUICKLY = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
"""Without plugins that these tests have no use for."""

SHOP = """
from measurand import Counter, Gauge, Histogram

ORDERS = Counter("shop_orders_total", "Orders", ["channel"])
LEVEL = Gauge("shop_level", "Level")
SECONDS = Histogram("shop_seconds", "Seconds", ["channel"], buckets=[0.1, 1, 10])


def accept(channel, times=1):
    with SECONDS.labels(channel).time():
        for _ in range(times):
            ORDERS.labels(channel).inc()
"""


@pytest.fixture(autouse=True)
def _default_registry_as_it_was() -> Iterator[None]:
    """Most of the tests below run in this process, which is quicker."""
    before = REGISTRY.collectors()
    yield
    for collector in REGISTRY.collectors():
        if collector not in before:
            REGISTRY.unregister(collector)


def run(pytester: pytest.Pytester, tests: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(shop=SHOP)
    pytester.makepyfile(test_shop=textwrap.dedent(tests))
    how = ["-q", *QUICKLY, *arguments]
    return pytester.runpytest_subprocess(*how, timeout=120) if arguments else pytester.runpytest_inprocess(*how)


@pytest.mark.once
def test_two_hundred_tests_in_any_order_in_two_processes_need_no_reset(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import asyncio
        import threading

        import pytest
        from shop import LEVEL, ORDERS, accept


        def directly(channel, times):
            accept(channel, times)


        def in_threads(channel, times):
            threads = [threading.Thread(target=accept, args=(channel,)) for _ in range(times)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()


        def in_tasks(channel, times):
            async def one():
                await asyncio.sleep(0)
                accept(channel)

            async def main():
                await asyncio.gather(*[one() for _ in range(times)])

            asyncio.run(main())


        def through_a_kept_series(channel, times):
            series = ORDERS.labels(channel)
            for _ in range(times):
                series.inc()
            accept(channel, 0)


        @pytest.mark.parametrize("number", range(50))
        @pytest.mark.parametrize("how", [directly, in_threads, in_tasks, through_a_kept_series])
        def test_each_order_is_counted(metrics, how, number):
            channel, times = f"channel-{number % 5}", number % 7
            before = metrics.value("shop_level")
            how(channel, times)
            LEVEL.inc()
            assert metrics.delta("shop_orders_total", channel=channel) == times
            assert metrics.delta("shop_orders_total") == times
            assert metrics.delta("shop_level") == 1
            assert metrics.value("shop_level") == before + 1
            metrics.assert_no_unexpected_series("shop_*")
            metrics.assert_series_budget(2)
        """,
        "-n2",
        "-p",
        "randomly",
    )
    result.assert_outcomes(passed=200)


def test_the_same_with_absolute_values_fails(pytester: pytest.Pytester) -> None:
    """The control: the tests above do disturb each other's values."""
    result = run(
        pytester,
        """
        import pytest
        from shop import accept


        @pytest.mark.parametrize("number", range(5))
        def test_each_order_is_counted(metrics, number):
            accept("web")
            assert metrics.value("shop_orders_total", channel="web") == 1
        """,
    )
    result.assert_outcomes(passed=1, failed=4)


def test_the_clock_of_a_test_stands_still_and_is_given_back(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        from shop import SECONDS
        from measurand import clock

        SYSTEM = clock.monotonic


        def test_durations(metrics, metrics_clock):
            with SECONDS.labels("web").time():
                metrics_clock.advance(5)
            assert metrics.delta("shop_seconds_sum") == 5
            assert 1 <= metrics.quantile("shop_seconds", 0.5) <= 10
            assert metrics.delta("shop_seconds_bucket", le="1.0") == 0


        def test_afterwards():
            assert clock.monotonic is SYSTEM
        """,
    )
    result.assert_outcomes(passed=2)


def test_a_test_that_fails_says_what_there_is(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        from shop import accept


        def test_misspelt(metrics):
            accept("web")
            assert metrics.delta("shop_order_total") == 1


        def test_another_series(metrics):
            accept("web")
            metrics.assert_no_unexpected_series("shop_orders_total")
        """,
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines_random(
        [
            "*LookupError: *no series named shop_order_total; did you mean shop_orders_total*",
            "*AssertionError: * series changed unexpectedly; expected only*",
            '*shop_seconds_count{channel="web"}: * -> *.0',
        ]
    )


@pytest.mark.once
def test_a_test_that_does_not_ask_loads_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys


        def test_nothing_is_loaded():
            loaded = sorted(name for name in sys.modules if name.startswith("measurand."))
            assert loaded == ["measurand.testing", "measurand.testing.plugin"]
        """
    )
    pytester.runpytest_subprocess("-q", *QUICKLY).assert_outcomes(passed=1)


def test_the_fixtures_are_listed_with_what_they_do(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--fixtures", *QUICKLY)
    result.stdout.fnmatch_lines(["metrics -- *plugin.py*", "*What the test changed in the default registry*"])
    result.stdout.fnmatch_lines(["metrics_clock -- *plugin.py*", "*A clock that stands still*"])
