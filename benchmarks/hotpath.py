"""What one recording costs, in one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.adapters import Adapter, Code
from benchmarks.timing import measure

MANY = 1000


def nothing() -> None:
    """What is decorated."""


async def nothing_awaited() -> None:
    """What is decorated, and awaited."""


def empty_method() -> Code:
    """A call of a C method that takes no arguments and does nothing.

    ``float.conjugate`` returns its own object: of the standard library's methods this is the emptiest (``METH_NOARGS``, one type check
    and one reference count), and in the same form of call the fastest of those that were tried. No method written in C can be called for
    less."""
    return Code("number.conjugate()", {"number": 1.5})


BASELINES: dict[str, Callable[[], Code]] = {
    "inc": empty_method,
    "timed_function": lambda: Code("nothing()", {"nothing": nothing}),
    "timed_coroutine": lambda: Code("await nothing()", {"nothing": nothing_awaited}, awaits=True),
}
"""What is timed beside a benchmark, in the same process and by turns, because it bounds what any library can reach."""

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "timed_function": (nothing,),
    "timed_by_name": (nothing,),
    "timed_coroutine": (nothing_awaited,),
    "timed_coroutine_by_name": (nothing_awaited,),
}


def label_sets(count: int) -> Iterator[tuple[str, str, str]]:
    """Values for three labels: 5 methods x 4 statuses x as many endpoints as it takes.

    Every string is a new object, as those are that come out of a request: no library gains by finding the very object that it keeps.
    """
    methods, statuses = (b"GET", b"POST", b"PUT", b"PATCH", b"DELETE"), (b"200", b"201", b"404", b"500")
    for index in range(count):
        yield methods[index % 5].decode(), f"/api/v1/resources/{index // 20}/items", statuses[index // 5 % 4].decode()


def run(adapter: Adapter, benchmark: str, seconds: float, repeats: int) -> dict[str, float] | None:
    """Nanoseconds of the adapter's statement for ``benchmark`` (``ns``), and of its baseline, if there is one (``baseline``)."""
    arguments: tuple[Any, ...] = (list(label_sets(MANY)),) if benchmark == "labels_many" else ARGUMENTS.get(benchmark, ())
    make: Callable[..., Code | None] = getattr(adapter, benchmark)
    code = make(*arguments)
    if code is None:
        return None
    codes = {"ns": code}
    if benchmark in BASELINES:
        codes["baseline"] = BASELINES[benchmark]()
    return measure(codes, seconds, repeats)
