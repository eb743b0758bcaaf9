"""Calls on their way through a pool, whoever of two threads says first that they no longer wait."""

from __future__ import annotations

import gc
from weakref import ref

import pytest

from measurand import CollectorRegistry
from measurand.catalog.thread_pools import ThreadPoolMetrics
from measurand.integrations.pooled import Pool, PooledCall, Pools
from tests.support import eager_switching, run_threads

pytestmark = pytest.mark.once


class Target:
    """Something that threads can be had from."""


def waiting(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("thread_pool_queue_length", {"pool": "mail"})


def test_a_call_leaves_the_queue_once_whoever_says_so_first() -> None:
    registry = CollectorRegistry()
    series = ThreadPoolMetrics(registry).series("mail")
    with eager_switching():
        for _ in range(200):
            call = PooledCall(int, series)
            run_threads(call, call.leave, call.leave)
    assert waiting(registry) == 0
    assert registry.get_sample_value("thread_pool_wait_seconds_count", {"pool": "mail"}) == 200


def test_what_is_forgotten_is_let_go_of() -> None:
    target = Target()
    gone = ref(target)
    call = PooledCall(target.__init__, ThreadPoolMetrics(CollectorRegistry()).series("mail"))
    del target
    call.forget(None)
    gc.collect()
    assert gone() is None


def test_pools_of_one_name_are_shown_together_as_long_as_they_are_there() -> None:
    registry = CollectorRegistry()
    metrics = ThreadPoolMetrics(registry)
    sizes: dict[Target, float] = {}
    first, second = (Pools(metrics, lambda pool: Pool("mail", lambda pool: sizes[pool])) for _ in range(2))
    one, other = Target(), Target()
    sizes.update({one: 2.0, other: 3.0})
    first.call(one, int)
    second.call(other, int)
    most = lambda: registry.get_sample_value("thread_pool_threads_max", {"pool": "mail"})  # noqa: E731
    assert most() == 5
    first.end()
    assert most() == 3
    first.renew()
    second.renew()
    assert most() == 0
    second.call(other, int)
    assert most() == 3
    second.end()
    assert most() is None


def test_what_is_not_to_be_recorded_is_left_as_it_is() -> None:
    assert Pools(ThreadPoolMetrics(CollectorRegistry()), lambda pool: None).call(Target(), int) is None
