"""Histograms as messages of the protobuf exposition: classic buckets, native ones, or both in one message.

Source: Prometheus, ``io/prometheus/client/metrics.proto``, in the proto3 form that its scraper reads, and "Native histograms" for what is
valid. Counts are whole numbers where all of a message's are, else doubles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from math import isfinite, isnan
from operator import sub
from typing import Any, NamedTuple

from measurand.encoding.wire import double, message, packed_doubles, packed_sint, sint, uint
from measurand.metrics.native import NativeBuckets
from measurand.metrics.sample import NativeHistogram

__all__ = ["MOST_EXEMPLARS", "Native", "Span", "histogram", "native_of_buckets", "native_of_sample"]

MOST_EXEMPLARS = 10
"""How many exemplars are listed besides those of classic buckets: the newest."""

LARGEST_GAP = 2
"""So many empty buckets cost less than a new span."""

LARGEST_COUNT = 2.0**63
"""From here on a count is sent as a double: differences have a sign."""


class Span(NamedTuple):
    """A run of buckets.

    Attributes:
        offset: How many buckets lie between it and the one before; of the first, its index.
        length: How many buckets it has.
    """

    offset: int
    length: int


class Native(NamedTuple):
    """A valid native histogram, with a count for each bucket.

    Attributes:
        schema: How fine it is.
        zero_threshold: How wide the zero bucket is.
        zero_count: How many values are in it.
        negative: The runs of buckets for negative values, and their counts.
        positive: The same for positive values.
        exemplars: Messages.
    """

    schema: int
    zero_threshold: float
    zero_count: float
    negative: tuple[Sequence[Span], Sequence[float]]
    positive: tuple[Sequence[Span], Sequence[float]]
    exemplars: Sequence[bytes] = ()


def histogram(
    count: float,
    total: float,
    bounds: tuple[float, ...],
    counts: Sequence[float],
    exemplars: Mapping[int, bytes],
    created: bytes,
    native: Native | None,
) -> bytes:
    """The content of a message ``Histogram``.

    Args:
        count: How many observations there were.
        total: Their sum.
        bounds: The upper bounds of the classic buckets, that of +Inf included.
        counts: Their cumulative counts.
        exemplars: The contents of messages ``Exemplar``, by the buckets that have one.
        created: The message of the time at which it began; empty if that is not shown.
        native: The native buckets.
    """
    every = [count, *counts]
    if native is not None:
        every += [native.zero_count, *native.negative[1], *native.positive[1]]
    whole = all(map(float.is_integer, every)) and min(every) >= 0 and max(every) < LARGEST_COUNT
    shown = [bound + message(3, exemplars[at]) if at in exemplars else bound for at, bound in enumerate(_bounds(bounds))]
    if whole:
        parts = [uint(1, int(count)), double(2, total)]
        parts += [message(3, uint(1, int(number)) + bound) for bound, number in zip(shown, counts, strict=True)]
    else:
        parts = [double(2, total)]
        parts += [message(3, bound + double(4, number)) for bound, number in zip(shown, counts, strict=True)]
        parts.append(double(4, count))
    if native is not None:
        parts += [sint(5, native.schema), double(6, native.zero_threshold)]
        parts.append(uint(7, int(native.zero_count)) if whole else double(8, native.zero_count))
        parts += _buckets(9, *native.negative, whole)
        positive = native.positive if native.positive[0] else ([Span(0, 0)], ())  # tells an empty one from a classic histogram
        parts += _buckets(12, *positive, whole)
    if created:
        parts.append(message(15, created))
    if native is not None:
        parts += [message(16, exemplar) for exemplar in native.exemplars]
    return b"".join(parts)


@lru_cache(maxsize=256)
def _bounds(bounds: tuple[float, ...]) -> list[bytes]:
    """The fields of upper bounds, which are the same for all series of a metric."""
    return [double(2, bound) for bound in bounds]


def _buckets(field: int, spans: Sequence[Span], counts: Sequence[float], whole: bool) -> list[bytes]:
    """Three fields: spans, differences of whole counts, counts that are not whole."""
    parts = [message(field, sint(1, span.offset) + uint(2, span.length)) for span in spans]
    if whole:
        numbers = list(map(int, counts))
        parts.append(packed_sint(field + 1, map(sub, numbers, [0, *numbers])))
    else:
        parts.append(packed_doubles(field + 2, counts))
    return parts


def native_of_buckets(buckets: NativeBuckets, exemplars: Sequence[bytes]) -> Native:
    """What an instrument has observed; long runs of empty buckets are left out."""
    spans: list[Span] = []
    counts: list[float] = []
    end = 0
    for index, count in enumerate(buckets.counts, buckets.offset):
        if not count:
            continue
        gap = index - end if spans else LARGEST_GAP + 1
        if gap > LARGEST_GAP:
            spans.append(Span(index - end, 1))
        else:
            counts += [0.0] * gap
            spans[-1] = Span(spans[-1].offset, spans[-1].length + gap + 1)
        counts.append(count)
        end = index + 1
    return Native(buckets.schema, buckets.zero_threshold, buckets.zero_count, ((), ()), (spans, counts), exemplars)


def native_of_sample(given: NativeHistogram, exemplar: Callable[[Any], bytes]) -> Native:
    """What a custom collector yielded.

    Args:
        given: The native histogram of a sample.
        exemplar: Turns an exemplar into a message; empty if it is not valid.

    Raises:
        ValueError: It is not one that Prometheus accepts: one that it refuses costs the whole scrape.
        TypeError: It has something that is no number.
    """
    schema, threshold, zero = int(given.schema), float(given.zero_threshold), float(given.zero_count)
    if not -4 <= schema <= 8 or schema != given.schema:
        raise ValueError(f"the schema {given.schema!r} is not one of -4 to 8")
    if not (isfinite(threshold) and threshold >= 0):
        raise ValueError(f"the zero threshold {threshold!r} is not one")
    positive = _checked(given.pos_spans, given.pos_deltas)
    negative = _checked(given.neg_spans, given.neg_deltas)
    count, total = float(given.count_value), sum([*positive[1], *negative[1], zero])
    if not (isfinite(count) and count >= 0 and zero >= 0):
        raise ValueError(f"the counts {count!r} and {zero!r} are none")
    if total > count or (total != count and not isnan(float(given.sum_value))):  # with a sum of NaN, NaN may have been observed
        raise ValueError(f"the buckets have {total!r} observations of {count!r}")
    listed = [(float(one.timestamp), made) for one in given.nh_exemplars or () if one.timestamp is not None and (made := exemplar(one))]
    return Native(schema, threshold, zero, negative, positive, [made for _, made in sorted(listed)])


def _checked(spans: Iterable[Any] | None, deltas: Sequence[float] | None) -> tuple[list[Span], list[float]]:
    found = [Span(int(offset), int(length)) for offset, length in spans or ()]
    counts = [float(count) for count in accumulate(deltas or ())]
    if any(span.length < 0 for span in found) or any(span.offset < 0 for span in found[1:]):
        raise ValueError(f"the spans {found} run backwards")
    if sum(span.length for span in found) != len(counts):
        raise ValueError(f"the spans {found} are not as long as there are buckets: {len(counts)}")
    if not all(isfinite(count) and count >= 0 for count in counts):
        raise ValueError(f"the buckets have counts that are none: {counts}")
    return found, counts
