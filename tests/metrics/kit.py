"""What the suites of this layer share: both libraries side by side, every form of timing, forked children."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import threading
import traceback
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import prometheus_client
import prometheus_client.core

import measurand
import measurand.metrics.families
from measurand.encoding.text import encode
from measurand.metrics.collecting import gather
from measurand.metrics.families import GaugeMetricFamily

# -- both libraries --------------------------------------------------------------------------------------------------------------


class Library(NamedTuple):
    """One of the two libraries with a registry of its own."""

    names: ModuleType
    families: ModuleType
    registry: Any

    def define(self, kind: str, name: str, *args: Any, **options: Any) -> Any:
        return getattr(self.names, kind)(name, "Documentation", *args, registry=self.registry, **options)

    def text(self) -> bytes:
        answer: bytes = self.names.generate_latest(self.registry)
        return answer


def ours(**options: Any) -> Library:
    return Library(measurand, measurand.metrics.families, measurand.CollectorRegistry(**options))


def theirs(**options: Any) -> Library:
    return Library(prometheus_client, prometheus_client.core, prometheus_client.CollectorRegistry(**options))


def both(**options: Any) -> tuple[Library, Library]:
    return ours(**options), theirs(**options)


def content(collector: Any) -> list[tuple[Any, ...]]:
    """What ``collect()`` gives, in a form that compares between the libraries: NaN equals itself, exemplars are without their time."""
    return [
        (
            metric.name,
            metric.documentation,
            metric.type,
            metric.unit,
            [
                (
                    sample.name,
                    dict(sample.labels),
                    repr(float(sample.value)),
                    sample.timestamp,
                    sample.exemplar and (dict(sample.exemplar.labels), sample.exemplar.value),
                )
                for sample in metric.samples
            ],
        )
        for metric in collector.collect()
    ]


def raised(action: Callable[[], object]) -> BaseException | None:
    """What the action raises, if it does."""
    try:
        action()
    except Exception as error:
        return error
    return None


def values(registry: Any) -> dict[str, float]:
    """The samples of a registry by their text, as in ``x_total{a="b"}``."""
    return {series(sample): sample.value for metric in registry.collect() for sample in metric.samples}


def series(sample: Any) -> str:
    """The sample's name and labels as text."""
    inside = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{inside}}}" if inside else str(sample.name)


# -- every form of a decorator or context manager -----------------------------------------------------------------------------------
#
# A form takes what makes the decorator or context manager, and a body that it runs inside of it once. What the body raises leaves the
# form as it is.

Make = Callable[[], Any]
Body = Callable[[], object]


def in_function(make: Make, body: Body) -> None:
    @make()
    def call() -> object:
        return body()

    call()


def in_method(make: Make, body: Body) -> None:
    class Owner:
        @make()
        def call(self, *, given: int) -> object:
            assert (type(self), given) == (Owner, 1)
            return body()

    Owner().call(given=1)


def in_static_method(make: Make, body: Body) -> None:
    class Owner:
        @make()
        @staticmethod
        def call() -> object:
            return body()

    Owner().call()


def in_class_method(make: Make, body: Body) -> None:
    class Owner:
        @make()
        @classmethod
        def call(cls) -> object:
            assert cls is Owner
            return body()

    Owner.call()


def in_coroutine(make: Make, body: Body) -> None:
    @make()
    async def call() -> object:
        await asyncio.sleep(0)
        return body()

    asyncio.run(call())


def in_generator(make: Make, body: Body) -> None:
    @make()
    def steps() -> Iterator[int]:
        yield 1
        body()
        yield 2

    assert list(steps()) == [1, 2]


def in_async_generator(make: Make, body: Body) -> None:
    @make()
    async def steps() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0)
        body()
        yield 2

    async def consume() -> None:
        assert [step async for step in steps()] == [1, 2]

    asyncio.run(consume())


def in_context_manager_function(make: Make, body: Body) -> None:
    @make()
    @contextlib.contextmanager
    def block() -> Iterator[None]:
        yield

    with block():
        body()


def in_block(make: Make, body: Body) -> None:
    with make():
        body()


def in_block_of_coroutine(make: Make, body: Body) -> None:
    async def call() -> None:
        with make():
            await asyncio.sleep(0)
            body()

    asyncio.run(call())


FORMS = [
    in_function,
    in_method,
    in_static_method,
    in_class_method,
    in_coroutine,
    in_generator,
    in_async_generator,
    in_context_manager_function,
    in_block,
    in_block_of_coroutine,
]


class Stopped(BaseException):
    """Leaves a body as ``KeyboardInterrupt`` and cancellation do: it is no ``Exception``."""


# -- code that is not ours ---------------------------------------------------------------------------------------------------------

LONG = 30.0
"""Seconds after which what hangs gives up, so that a failing test ends."""


class Custom:
    """A collector whose families a function gives; it does not say their names beforehand."""

    def __init__(self, give: Callable[[], Iterable[Any]]) -> None:
        self.collect = give
        self.describe: Callable[[], list[Any]] = list


def raising(error: BaseException) -> Callable[[], Any]:
    def call() -> Any:
        raise error

    return call


def helpers() -> list[threading.Thread]:
    """The threads that run code which is not ours."""
    return [thread for thread in threading.enumerate() if thread.name == "measurand-collect"]


# -- processes ---------------------------------------------------------------------------------------------------------------------


def in_forked_child(body: Callable[[], object], timeout: float = 20.0) -> None:
    """Run the body in a fork of this process; fail if it raises or does not end in time."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forking with threads: that is what these tests are about
        pid = os.fork()
    if pid == 0:
        report = b"did not end"
        try:
            body()
            report = b"fine"
        except BaseException:
            report = traceback.format_exc().encode()
        finally:
            os.write(writer, report)
            os._exit(0)
    os.close(writer)
    try:
        ready, _, _ = select.select([reader], [], [], timeout)
        if not ready:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert ready, f"the child hangs since {timeout} s"
        report = os.read(reader, 65536).decode()
        assert report == "fine", report
    finally:
        os.close(reader)


def gauge(name: str, value: float = 1, **labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, "d", labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def snapshot(registry: Any, timeout: float = LONG, **how: Any) -> dict[str, float]:
    """What a scrape shows, and the failures."""
    gathering = gather(registry, timeout, **how)
    shown = {series(sample): sample.value for family in gathering.families for sample in family.samples()}
    encode(gathering)
    return shown | {series(sample): sample.value for family in gathering.report() for sample in family.samples()}
