"""What tasks take: real CPU time of real threads and loops, and the memory as Linux tells it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from measurand import CollectorRegistry
from measurand.catalog.resources import Memory, ProcessMemory, ResourceMetrics, ResourceUse, resources
from measurand.testing.clock import FakeClock
from measurand.testing.resources import MemoryStub

WORK = 0.02
"""Seconds of CPU time that a piece of work takes."""

MORE = 0.1
"""Seconds of CPU time that what does not belong to it takes."""


def burn(seconds: float = WORK) -> None:
    """Take CPU time, of this thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(100))


class Kept(ResourceMetrics):
    """Records, and keeps what it recorded."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.uses: list[ResourceUse] = []

    def record(self, event: ResourceUse) -> None:
        super().record(event)
        self.uses.append(event)


@pytest.fixture
def kept(registry: CollectorRegistry) -> Kept:
    return Kept(registry)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"task_{name}", {"task": "import", **labels})


def test_a_run_is_recorded(registry: CollectorRegistry) -> None:
    metrics = ResourceMetrics(registry)
    metrics.record(ResourceUse("import", "success", 2.0, 0.5, -1024.0, 4096.0))
    metrics.record(ResourceUse("import", "failed", 1.0))
    assert value(registry, "duration_seconds_sum", status="success") == 2.0
    assert value(registry, "duration_seconds_sum", status="failed") == 1.0
    assert (value(registry, "cpu_seconds_sum"), value(registry, "cpu_seconds_count")) == (0.5, 1)
    assert (value(registry, "memory_growth_bytes"), value(registry, "memory_peak_bytes")) == (-1024.0, 4096.0)


def test_what_is_not_known_is_absent(registry: CollectorRegistry) -> None:
    with resources("import", registry=registry, memory=MemoryStub(None)) as task:
        pass
    assert task.use is not None
    assert (task.use.memory_growth, task.use.memory_peak) == (None, None)
    assert (value(registry, "memory_growth_bytes"), value(registry, "memory_peak_bytes")) == (None, None)
    assert value(registry, "duration_seconds_count", status="success") == 1


def test_a_block_takes_what_it_takes(registry: CollectorRegistry, metrics_clock: FakeClock) -> None:
    memory = MemoryStub(1000.0)
    with resources("import", registry=registry, memory=memory) as task:
        metrics_clock.advance(7.0)
        memory.resident = 800.0
        burn()
    assert task.use is not None
    assert (task.use.task, task.use.status, task.use.duration) == ("import", "success", 7.0)
    assert (task.use.memory_growth, task.use.memory_peak) == (-200.0, 1000.0)
    assert task.use.cpu is not None
    assert WORK <= task.use.cpu < WORK + MORE


def test_the_peak_is_the_kernels_only_where_the_run_raised_it(registry: CollectorRegistry) -> None:
    memory = MemoryStub(1000.0, peak=5000.0)
    task = resources("import", registry=registry, memory=memory)
    for peak, expected in ((5000.0, 1200.0), (6000.0, 6000.0)):
        with task:
            memory.resident, memory.peak = 1200.0, peak
        assert task.use is not None
        assert task.use.memory_peak == expected


def test_a_block_that_fails_is_told_apart_and_its_exception_passes(registry: CollectorRegistry) -> None:
    with pytest.raises(KeyboardInterrupt), resources("import", registry=registry):
        raise KeyboardInterrupt
    assert value(registry, "duration_seconds_count", status="failed") == 1


def plain(kept: Kept, then: Callable[[], None]) -> None:
    @resources("import", metrics=kept)
    def work() -> None:
        burn()
        then()

    work()


def coroutine(kept: Kept, then: Callable[[], None]) -> None:
    @resources("import", metrics=kept)
    async def work() -> None:
        burn(WORK / 2)
        await asyncio.sleep(0)
        burn(WORK / 2)
        then()

    async def main() -> None:
        others = asyncio.create_task(other())
        try:
            await work()
        finally:
            await others

    async def other() -> None:
        burn(MORE)

    asyncio.run(main())


def generator(kept: Kept, then: Callable[[], None]) -> None:
    @resources("import", metrics=kept)
    def work() -> Iterator[int]:
        burn(WORK / 2)
        yield 1
        burn(WORK / 2)
        then()

    for _ in work():
        burn(MORE)


def stream(kept: Kept, then: Callable[[], None]) -> None:
    @resources("import", metrics=kept)
    async def work() -> AsyncIterator[int]:
        burn(WORK / 2)
        yield 1
        await asyncio.sleep(0)
        burn(WORK / 2)
        then()

    async def main() -> None:
        async for _ in work():
            burn(MORE)

    asyncio.run(main())


def context(kept: Kept, then: Callable[[], None]) -> None:
    @resources("import", metrics=kept)
    @contextlib.contextmanager
    def work() -> Iterator[None]:
        yield
        then()

    with work():
        burn()


@pytest.mark.parametrize("kind", [plain, coroutine, generator, stream, context])
def test_a_function_takes_what_it_does_itself_whatever_is_done_meanwhile(kept: Kept, kind: Callable[..., None]) -> None:
    kind(kept, lambda: None)
    (use,) = kept.uses
    assert use.status == "success"
    assert use.cpu is not None
    assert WORK <= use.cpu < WORK + MORE
    assert use.duration >= use.cpu


@pytest.mark.parametrize("kind", [plain, coroutine, generator, stream, context])
def test_a_function_that_fails_is_told_apart(kept: Kept, kind: Callable[..., None]) -> None:
    with pytest.raises(ZeroDivisionError):
        kind(kept, lambda: 1 // 0)
    assert [use.status for use in kept.uses] == ["failed"]


def test_a_generator_that_is_given_up_has_not_failed(kept: Kept) -> None:
    @resources("import", metrics=kept)
    def work() -> Iterator[int]:
        yield 1
        yield 2

    items = work()
    next(items)
    items.close()
    assert [use.status for use in kept.uses] == ["success"]


def test_the_cpu_time_of_all_threads_is_the_tasks_where_that_is_asked_for(kept: Kept) -> None:
    def work() -> None:
        thread = threading.Thread(target=burn, args=(MORE,))
        thread.start()
        thread.join()

    async def work_async() -> None:
        await asyncio.to_thread(burn, MORE)

    for process_cpu in (False, True):
        resources("import", metrics=kept, process_cpu=process_cpu)(work)()
        asyncio.run(resources("import", metrics=kept, process_cpu=process_cpu)(work_async)())
    cpu = [use.cpu for use in kept.uses if use.cpu is not None]
    assert len(cpu) == 4
    assert max(cpu[:2]) < MORE <= min(cpu[2:])


def test_cpu_time_that_cannot_be_told_is_left_out(kept: Kept) -> None:
    async def block() -> None:
        async with resources("import", metrics=kept):
            await asyncio.sleep(0)
        async with resources("import", metrics=kept, process_cpu=True):
            burn()

    asyncio.run(block())
    begun = resources("import", metrics=kept)
    begun.__enter__()
    thread = threading.Thread(target=begun.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    first, second, third = kept.uses
    assert (first.cpu, third.cpu) == (None, None)
    assert second.cpu is not None
    assert second.cpu >= WORK


def test_a_generator_may_go_from_thread_to_thread(kept: Kept) -> None:
    @resources("import", metrics=kept)
    def work() -> Iterator[int]:
        for number in range(2):
            burn(WORK / 2)
            yield number

    items = work()
    for _ in range(3):
        thread = threading.Thread(target=lambda: next(items, None))
        thread.start()
        thread.join()
    (use,) = kept.uses
    assert use.cpu is not None
    assert WORK <= use.cpu < WORK + MORE


def test_a_decorated_function_is_what_it_was(kept: Kept, registry: CollectorRegistry) -> None:
    measure = resources("import", metrics=kept)

    class Importer:
        @measure
        def method(self, number: int) -> int:
            """Adds one."""
            return number + 1

        @measure
        @staticmethod
        def static(number: int) -> int:
            return number + 2

        @classmethod
        @measure
        def of_class(cls, number: int) -> tuple[type, int]:
            return cls, number

        async def __call__(self) -> int:
            return 5

    assert (Importer().method(1), Importer.static(1), Importer.of_class(3)) == (2, 3, (Importer, 3))
    assert asyncio.run(measure(Importer())()) == 5
    assert Importer.method.__doc__ == "Adds one."
    assert list(inspect.signature(Importer.method).parameters) == ["self", "number"]

    async def work(number: int) -> int:
        return number

    assert inspect.iscoroutinefunction(measure(work))
    assert asyncio.run(measure(functools.partial(work, 9))()) == 9
    assert len(kept.uses) == 5


def test_without_a_name_a_task_is_called_as_the_function_is(registry: CollectorRegistry) -> None:
    @resources(registry=registry)
    def work() -> None: ...

    work()
    name = f"{__name__}.{test_without_a_name_a_task_is_called_as_the_function_is.__name__}.<locals>.work"
    assert registry.get_sample_value("task_duration_seconds_count", {"task": name, "status": "success"}) == 1
    with pytest.raises(TypeError, match="needs one"), resources(registry=registry):
        raise AssertionError("the block is not to be entered")
    with pytest.raises(TypeError, match="int"):
        resources(3)  # type: ignore[call-overload]


def test_a_name_is_not_needed_for_a_bare_decorator() -> None:
    @resources
    def work(number: int) -> int:
        return number

    assert work(3) == 3


def test_what_goes_wrong_with_us_is_logged_and_the_task_is_done(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    class BrokenMemory:
        def read(self) -> Memory:
            raise OSError("no such file")

    class BrokenMetrics(ResourceMetrics):
        def record(self, event: ResourceUse) -> None:
            raise ZeroDivisionError

    with caplog.at_level(logging.WARNING, "measurand.resources"):
        assert resources("import", metrics=kept, memory=BrokenMemory())(lambda: 1)() == 1
        assert resources("import", metrics=BrokenMetrics(CollectorRegistry()))(lambda: 2)() == 2
    assert [(use.status, use.memory_peak) for use in kept.uses] == [("success", None)]
    assert "could not be looked at" in caplog.text
    assert "could not be recorded" in caplog.text


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells it")
def test_the_memory_of_the_process_is_what_the_kernel_says(kept: Kept) -> None:
    def work() -> Any:
        return bytearray(b"x" * 50_000_000)  # all of it is touched

    whole = resources("import", metrics=kept)(work)()
    (use,) = kept.uses
    assert len(whole) == 50_000_000
    assert use.memory_growth is not None
    assert use.memory_peak is not None
    assert 40e6 < use.memory_growth < 150e6
    resident, peak = ProcessMemory().read()
    assert resident is not None
    assert peak is not None
    assert peak >= use.memory_peak >= use.memory_growth


@pytest.mark.once
def test_where_the_system_does_not_tell_the_memory_is_unknown(tmp_path: Any) -> None:
    assert ProcessMemory(str(tmp_path)).read() == Memory(None, None)
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "status").write_text("Name:\tx\nVmRSS:\t\nVmHWM:\t12 kB\nnonsense\n")
    assert ProcessMemory(str(tmp_path)).read() == Memory(None, 12 * 1024)
