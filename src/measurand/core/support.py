"""The slow paths that both twins share: messages, conversions, and what is said when something is wrong.

The twins call in here whenever a call is not the plain, correct one, so that they cannot drift apart in what they accept or say.
Everything here takes the calling instrument or series and reads it through the twin that made it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from math import isnan, ldexp
from typing import TYPE_CHECKING, Any, NoReturn

from measurand import clock
from measurand.core.contract import OVERFLOW_VALUE, Exemplar, Spec
from measurand.errors import LabelError, RecordingError

if TYPE_CHECKING:
    from measurand.core.pure import Instrument

__all__ = [
    "by_keyword",
    "by_position",
    "chained",
    "check_exemplar",
    "exemplar",
    "exemplar_watchers",
    "ignore_nan",
    "missing_labels",
    "no_way_to_move",
    "overflowed",
    "partial_match",
    "real",
    "refuse_increment",
    "replacement",
    "section",
    "shared",
    "unlabelled",
]

log = logging.getLogger("measurand")

EXEMPLAR_LIMIT = 128
"""OpenMetrics 1.0, "Exemplars": names and values of an exemplar's labels hold at most this many characters together."""


# -- labels ----------------------------------------------------------------------------------------------------------------


def unlabelled(spec: Spec) -> NoReturn:
    """``labels()``, ``remove()`` or ``replace()`` on a metric that has no label names."""
    raise LabelError(f"No label names were set when constructing {spec.type}:{spec.name}; pass labelnames to its definition to use labels")


def chained(spec: Spec, values: tuple[str, ...]) -> NoReturn:
    """``labels()`` on what ``labels()`` returned."""
    raise LabelError(
        f"{spec.type}:{spec.name} already has labels set ({dict(zip(spec.labelnames, values, strict=True))}); "
        "can not chain calls to .labels(): give all labels in one call"
    )


def missing_labels(spec: Spec) -> NoReturn:
    """A recording call on a metric that has label names, without ``labels()``."""
    names = ", ".join(spec.labelnames)
    raise LabelError(f"{spec.type} metric is missing label values: call {spec.name}.labels({names}) first and record on what it returns")


def text(value: object) -> str:
    """A label value as the string that is kept: ``str(value)``, with lone surrogates (not encodable) replaced by U+FFFD."""
    result = str(value)
    if type(result) is not str:
        result = str.__str__(result)
    try:
        result.encode()
    except UnicodeEncodeError:
        return result.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return result


def by_position(spec: Spec, values: tuple[object, ...]) -> tuple[str, ...]:
    """The key of a series from positional values.

    Raises:
        LabelError: The number of values is not the number of label names.
    """
    if len(values) != len(spec.labelnames):
        raise LabelError(
            f"Incorrect label count for {spec.name}: expected {len(spec.labelnames)} ({', '.join(spec.labelnames)}), "
            f"got {len(values)}: {values!r}"
        )
    return tuple([text(value) for value in values])


def by_keyword(spec: Spec, values: tuple[object, ...], named: Mapping[str, object]) -> tuple[str, ...]:
    """The key of a series from keyword values.

    Raises:
        LabelError: Positional values were given too, or the names are not the metric's.
    """
    if values:
        raise LabelError(f"Can't pass both *args and **kwargs to {spec.name}.labels(): give all values by position or all by keyword")
    if len(named) != len(spec.labelnames) or any(name not in named for name in spec.labelnames):
        raise LabelError(f"Incorrect label names for {spec.name}: expected {sorted(spec.labelnames)}, got {sorted(named)}")
    return tuple([text(named[name]) for name in spec.labelnames])


_known: dict[str, str] = {}

MOST_SHARED = 1024
"""How many label values are known at most, each of at most ``LONGEST_SHARED`` characters: what clients send cannot fill the memory."""

LONGEST_SHARED = 128


def shared(key: tuple[str, ...]) -> tuple[str, ...]:
    """An equal key of which each string is the one that earlier series have, as far as they are known.

    A label value comes out of each request as a new object; the thousand series that say ``GET`` need one of them.
    """
    if len(_known) > MOST_SHARED - len(key):
        _known.clear()
    return tuple([_known.get(value) or _known.setdefault(value, value) if len(value) <= LONGEST_SHARED else value for value in key])


def partial_match(spec: Spec, labels: Mapping[str, object]) -> Callable[[tuple[str, ...]], bool]:
    """A test for the keys whose labels include ``labels``; an empty mapping matches nothing.

    Raises:
        LabelError: A name is not one of the metric's, or the metric has none.
        TypeError: ``labels`` is not a mapping.
    """
    if not spec.labelnames:
        unlabelled(spec)
    if not isinstance(labels, Mapping):
        raise TypeError("labels must be a dict of {label_name: label_value}")
    unknown = [name for name in labels if name not in spec.labelnames]
    if unknown:
        raise LabelError(f"Unknown label names for {spec.name}: {unknown}; expected {spec.labelnames}")
    wanted = [(spec.labelnames.index(name), text(value)) for name, value in labels.items()]
    return lambda key: bool(wanted) and all(key[position] == value for position, value in wanted)


def replacement(spec: Spec, values: Mapping[Any, Any]) -> dict[tuple[str, ...], float]:
    """What ``gauge.replace()`` was given, as keys and floats in order.

    A key is a tuple of label values, or the bare value when the metric has one label. Beyond the limit on series the values are added up
    under the overflow key, so that the total stays exact.

    Raises:
        LabelError: The metric has no labels, or a key has the wrong number of values.
        TypeError: ``values`` is not a mapping.
    """
    if not spec.labelnames:
        unlabelled(spec)
    if not isinstance(values, Mapping):
        raise TypeError(f"{spec.name}.replace() takes a mapping of label values to numbers, not {type(values).__name__}")
    result: dict[tuple[str, ...], float] = {}
    overflow = (OVERFLOW_VALUE,) * len(spec.labelnames)
    refused = 0
    for given, value in values.items():
        key = by_position(spec, given if isinstance(given, tuple) else (given,))
        number = float(value)
        if spec.max_series is not None and key != overflow and key not in result and len(result) - (overflow in result) >= spec.max_series:
            refused += 1
            key = overflow
        result[key] = result.get(overflow, 0.0) + number if key == overflow else number
    if refused:
        overflowed(spec, [key for key in result if key != overflow])
    return result


def overflowed(spec: Spec, keys: Iterable[tuple[str, ...]]) -> None:
    """Say that a metric reached its limit on series, and which label did it; said once."""
    if "overflowed" in spec.said:
        return
    spec.said.add("overflowed")
    distinct = [len(set(column)) for column in zip(*keys, strict=True)] or [0]  # a limit of 0 is reached without any
    widest = max(range(len(distinct)), key=distinct.__getitem__)
    log.warning(
        "%s has reached its limit of %s series; further label sets are recorded together under %s=%r. "
        "The label that varies most is %r (%d values): give it a bounded set of values, or raise max_series in the definition.",
        spec.name,
        spec.max_series,
        spec.labelnames[widest],
        OVERFLOW_VALUE,
        spec.labelnames[widest],
        distinct[widest],
    )


# -- values ----------------------------------------------------------------------------------------------------------------


def real(value: Any) -> float:
    """A number that is neither float nor int, as a float.

    Raises:
        TypeError: It is not a number (a string is not one).
    """
    return ldexp(value, 0)


def refuse_increment(spec: Spec, amount: float) -> NoReturn:
    """``inc()`` of a counter by less than zero, or by NaN."""
    if isnan(amount):
        raise RecordingError(f"Counters can only be incremented by non-negative amounts: {spec.name}.inc(nan) would leave NaN for ever")
    raise RecordingError(
        f"Counters can only be incremented by non-negative amounts: {spec.name}.inc({amount!r}); use a Gauge for a value that goes down"
    )


def not_additive(spec: Spec, method: str) -> NoReturn:
    """``inc()`` or ``dec()`` of a gauge whose processes combine by the most recent value."""
    raise RuntimeError(f"{method} must not be used with the mostrecent mode: {spec.name} has the value that was set last; use set()")


def ignore_nan(spec: Spec) -> None:
    """``observe(nan)``: the value is left out, as no bucket can hold it and the sum would stay NaN; said once."""
    if "nan" not in spec.said:
        spec.said.add("nan")
        log.warning("%s.observe(nan) is ignored: NaN has no bucket and would make the sum NaN for ever. Said once.", spec.name)


exemplar_watchers: list[Callable[[Any, Exemplar], None]] = []
"""Told of each exemplar that is given to a series, before the series has it; what they raise is nobody's concern."""


def check_exemplar(labels: Mapping[str, str]) -> None:
    """Check the labels of an exemplar.

    Raises:
        RecordingError: A label name is reserved, a name or value is not a string, or all together exceed 128 characters.
    """
    length = 0
    for name, content in labels.items():
        if not isinstance(name, str) or not isinstance(content, str):
            raise RecordingError(f"Exemplar labels must be strings, got {name!r}: {content!r}")
        if not name or name.startswith("__"):
            raise RecordingError(f"Reserved label metric name: {name!r}; exemplar labels must not be empty or start with '__'")
        length += len(name) + len(content)
    if length > EXEMPLAR_LIMIT:
        raise RecordingError(f"Exemplar labels have {length} UTF-8 characters, exceeding the limit of {EXEMPLAR_LIMIT}")


def exemplar(labels: Mapping[str, str], value: float, series: Any = None) -> Exemplar:
    """A checked exemplar, stamped with the current time.

    Args:
        labels: What identifies the event.
        value: What was recorded with it.
        series: Which series it is for, for those who watch.

    Raises:
        RecordingError: A label name is reserved, a name or value is not a string, or all together exceed 128 characters.
    """
    check_exemplar(labels)
    made = Exemplar({text(name): text(content) for name, content in labels.items()}, value, clock.wall())
    for watcher in exemplar_watchers:
        with suppress(Exception):
            watcher(series, made)
    return made


# -- memory ----------------------------------------------------------------------------------------------------------------


def section(memory: memoryview[float], offset: int, count: int) -> memoryview[float]:
    """The ``count`` cells at ``offset`` in memory that cells may be moved to.

    Raises:
        TypeError: The memory is not a writable memoryview of doubles.
        ValueError: It ends before the last cell.
    """
    if not isinstance(memory, memoryview) or memory.readonly or memory.format != "d" or memory.ndim != 1:
        raise TypeError("cells move to a writable memoryview of doubles (format 'd')")
    if not 0 <= offset <= len(memory) - count:
        raise ValueError(f"{count} cells at {offset} do not fit into memory for {len(memory)}")
    return memory[offset : offset + count]


def no_way_to_move(how: object) -> NoReturn:
    """``move()`` with an unknown ``how``."""
    raise ValueError(f"cells move in the ways 'keep', 'add' and 'leave', not {how!r}")


def adopt(series: Instrument, spec: Spec) -> None:
    """Let the layer above finish a new child."""
    if spec.adopt is not None:
        spec.adopt(series)
