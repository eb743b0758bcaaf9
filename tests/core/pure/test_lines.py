"""Consistent copies and their rendering. Both twins."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Sequence
from math import inf, nan
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.utils import floatToGoString

from measurand.core.contract import Exemplar
from tests.core.kit import Kit
from tests.support import StillClock

Piece = tuple[bytes, int]
Line = tuple[bytes, bytes | None, int, int]

any_double = st.floats() | st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=12)
hostile_text = any_text | st.text('"\\\n\r,{}= \0a\ud800\udcff\U0001f600', max_size=12)
three_labels = st.tuples(hostile_text, hostile_text, hostile_text)
fixed_text = st.text(st.characters(codec="utf-8"), max_size=12)


# -- format_number() ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (-2.5, "-2.5"),
        (999999.0, "999999.0"),
        (999999.9999999999, "999999.9999999999"),
        (1e6, "1e+06"),
        (1000001.0, "1.000001e+06"),
        (1234567.875, "1.234567875e+06"),
        (12345678901.0, "1.2345678901e+10"),
        (2.0**53, "9.007199254740992e+15"),
        (9999999999999998.0, "9.999999999999998e+15"),
        (1e16, "1e+16"),
        (1.5e16, "1.5e+16"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
        (1e-05, "1e-05"),
        (0.0001, "0.0001"),
        (-1e6, "-1000000.0"),
        (-1.5e16, "-1.5e+16"),
        (inf, "+Inf"),
        (-inf, "-Inf"),
        (nan, "NaN"),
        (-nan, "NaN"),
    ],
)
def test_numbers_stand_where_other_tools_put_them(core: ModuleType, value: float, text: str) -> None:
    assert core.format_number(value) == text
    assert floatToGoString(value) == text


@given(value=any_double)
def test_a_number_reads_back_equal_and_is_written_as_prometheus_client_writes_it(core: ModuleType, value: float) -> None:
    text = core.format_number(value)
    assert type(text) is str
    assert text == floatToGoString(value)
    assert float(text) == value or (math.isnan(value) and text == "NaN")
    assert math.copysign(1, float(text)) == math.copysign(1, value) or math.isnan(value)


@given(value=st.integers(-(2**53), 2**53).map(float) | st.integers(-(10**7), 10**7).map(lambda hundredths: hundredths / 100))
def test_counts_and_short_decimals_are_written_as_prometheus_client_writes_them(core: ModuleType, value: float) -> None:
    assert core.format_number(value) == floatToGoString(value)


@pytest.mark.parametrize("value", ["1", None, [], b"1"])
def test_only_a_number_is_formatted(core: ModuleType, value: Any) -> None:
    with pytest.raises(TypeError):
        core.format_number(value)


# -- freeze() ----------------------------------------------------------------------------------------------------------------


def test_a_copy_stays_as_it_was_taken(make: Kit) -> None:
    counter = make.counter("a")
    child = counter.labels("x")
    child.inc(2)
    frozen = make.core.freeze(counter)
    child.inc()
    counter.labels("y")
    counter.remove("x")
    assert isinstance(frozen, make.core.Frozen)
    assert len(frozen) == 1
    assert frozen.rows() == [(("x",), (2.0,))]


def test_a_metric_without_labels_is_one_row_and_one_without_series_none(make: Kit) -> None:
    counter, labelled = make.counter(), make.counter("a")
    counter.inc()
    frozen = make.core.freeze(counter)
    assert (len(frozen), frozen.rows()) == (1, [((), (1.0,))])
    frozen = make.core.freeze(labelled)
    assert (len(frozen), frozen.rows(), frozen.created(), frozen.payloads(), frozen.exemplars()) == (0, [], [], [], [])


def test_only_a_histograms_buckets_are_made_cumulative(make: Kit) -> None:
    histogram, other = make.histogram(bounds=(1.0, 2.0)), make.other(width=4)
    for index, value in enumerate((1, 2, 4, 8)):
        make.core.write(histogram, index, value)
        make.core.write(other, index, value)
    assert make.core.freeze(histogram).rows() == [((), (1.0, 3.0, 7.0, 8.0))]
    assert make.core.freeze(other).rows() == [((), (1.0, 2.0, 4.0, 8.0))]


def test_a_copy_knows_when_each_series_came_to_be(make: Kit, still_clock: StillClock) -> None:
    counter = make.counter("a")
    for label in "xyz":
        still_clock.advance(1)
        counter.labels(label)
    assert make.core.freeze(counter).created() == [1.7e9 + 1, 1.7e9 + 2, 1.7e9 + 3]


def test_rows_can_be_filled_in_and_left_out(make: Kit) -> None:
    core, metric = make.core, make.other("a", width=2)
    for label in "vwxyz":
        core.write(metric.labels(label), 1, 7)
        core.set_payload(metric.labels(label), label)
    frozen = core.freeze(metric)
    frozen.put(1, 5)
    frozen.put(3, True)
    frozen.drop([])
    frozen.drop([4, 0, 2, 0])
    assert frozen.rows() == [(("w",), (5.0, 7.0)), (("y",), (1.0, 7.0))]
    assert frozen.payloads() == [(0, "w"), (1, "y")]
    assert len(frozen) == len(frozen.created()) == 2
    assert core.Layout([(b"", 0)], 1, [(b"m", None, 0, -1)]).render(frozen) == b'm{w"} 5.0\nm{y"} 1.0\n'
    frozen.drop([0, 1])
    assert (len(frozen), frozen.rows()) == (0, [])
    assert make.rows(metric)[("w",)] == (0.0, 7.0)
    for value in ("x", None):
        with pytest.raises((TypeError, ValueError)):
            core.freeze(metric).put(0, value)
    with pytest.raises(IndexError):
        frozen.put(0, 1)


# -- Layout ------------------------------------------------------------------------------------------------------------------


def test_a_metric_without_labels_is_a_name_and_a_number(make: Kit) -> None:
    counter = make.counter()
    counter.inc(3)
    layout = make.core.Layout([], 0, [(b"hits_total", None, 0, -1)])
    assert layout.render(make.core.freeze(counter)) == b"hits_total 3.0\n"


def test_labels_stand_in_the_order_of_the_pieces_and_are_escaped(make: Kit) -> None:
    counter = make.counter("b", "a")
    counter.labels('quo"te', "back\\slash").inc()
    counter.labels("new\nline", "carriage\rreturn, {braces}=\0\U0001f600").inc(2)
    pieces: list[Piece] = [(b'a="', 1), (b',b="', 0), (b',zone="eu"', -1)]
    layout = make.core.Layout(pieces=pieces, split=3, lines=[(b"hits_total", None, 0, -1), (b"hits_created", None, -1, -1)])
    stamp = make.core.format_number
    first, second = (make.core.created(child) for child in make.core.children(counter))
    assert layout.render(frozen=make.core.freeze(counter)).decode() == (
        'hits_total{a="back\\\\slash",b="quo\\"te",zone="eu"} 1.0\n'
        f'hits_created{{a="back\\\\slash",b="quo\\"te",zone="eu"}} {stamp(first)}\n'
        'hits_total{a="carriage\rreturn, {braces}=\0\U0001f600",b="new\\nline",zone="eu"} 2.0\n'
        f'hits_created{{a="carriage\rreturn, {{braces}}=\0\U0001f600",b="new\\nline",zone="eu"}} {stamp(second)}\n'
    )


@pytest.mark.parametrize(
    ("pieces", "split", "block"),
    [
        ([], 0, '{le="1.0"}'),
        ([(b'a="', 0)], 1, '{a="x",le="1.0"}'),
        ([(b'z="', 0)], 0, '{le="1.0",z="x"}'),
        ([(b'a="', 0), (b',z="', 1)], 1, '{a="x",le="1.0",z="y"}'),
        ([(b'a="1"', -1), (b',b="', 0), (b',y="2"', -1), (b',z="', 1)], 2, '{a="1",b="x",le="1.0",y="2",z="y"}'),
        ([(b'y="2"', -1), (b',z="', 1)], 0, '{le="1.0",y="2",z="y"}'),
    ],
)
def test_what_stands_in_the_middle_is_joined_by_commas(make: Kit, pieces: list[Piece], split: int, block: str) -> None:
    histogram = make.histogram("a", "z", bounds=(1.0,))
    histogram.labels("x", "y").observe(0.5)
    layout = make.core.Layout(pieces, split, [(b"h_bucket", b'le="1.0"', 0, -1)])
    assert layout.render(make.core.freeze(histogram)).decode() == f"h_bucket{block} 1.0\n"


HISTOGRAM_LINES: list[Line] = [
    (b"h_bucket", b'le="1.0"', 0, 0),
    (b"h_bucket", b'le="2.0"', 1, 1),
    (b"h_bucket", b'le="+Inf"', 2, 2),
    (b"h_count", None, 2, -1),
    (b"h_sum", None, 3, -1),
]


def test_a_histogram_is_written_line_by_line(make: Kit) -> None:
    histogram = make.histogram("code", "zone", bounds=(1.0, 2.0))
    for amount in (0.5, 1.5, 1.5, 1e7):
        histogram.labels(200, "eu").observe(amount)
    layout = make.core.Layout([(b'code="', 0), (b',zone="', 1)], 1, HISTOGRAM_LINES)
    assert layout.render(make.core.freeze(histogram)).decode() == (
        'h_bucket{code="200",le="1.0",zone="eu"} 1.0\n'
        'h_bucket{code="200",le="2.0",zone="eu"} 3.0\n'
        'h_bucket{code="200",le="+Inf",zone="eu"} 4.0\n'
        'h_count{code="200",zone="eu"} 4.0\n'
        'h_sum{code="200",zone="eu"} 1.00000035e+07\n'
    )


def test_exemplars_stand_on_the_lines_of_their_cells_when_they_are_asked_for(make: Kit) -> None:
    histogram = make.histogram("code", bounds=(1.0, 2.0))
    plain, marked = histogram.labels(200), histogram.labels(500)
    plain.observe(0.5)
    marked.observe(1.5, {"trace": "one"})
    marked.observe(9, {"trace": "two"})
    layout = make.core.Layout([(b'code="', 0)], 1, HISTOGRAM_LINES)
    frozen = make.core.freeze(histogram)
    without = layout.render(frozen)
    shown: list[Exemplar] = []

    def show(exemplar: Exemplar) -> bytes:
        shown.append(exemplar)
        return f" # {exemplar.labels['trace']} \U0001f600".encode()

    lines = without.decode().splitlines(keepends=True)
    lines[6] = 'h_bucket{code="500",le="2.0"} 1.0 # one \U0001f600\n'
    lines[7] = 'h_bucket{code="500",le="+Inf"} 2.0 # two \U0001f600\n'
    assert layout.render(frozen, show).decode() == "".join(lines)
    assert [exemplar.labels for exemplar in shown] == [{"trace": "one"}, {"trace": "two"}]
    assert layout.render(frozen, exemplar=None) == layout.render(frozen) == without
    with pytest.raises(ZeroDivisionError):
        layout.render(frozen, lambda exemplar: 1 / 0)  # type: ignore[arg-type,return-value]
    assert layout.render(frozen) == without


def test_no_rows_and_no_lines_are_no_text(make: Kit) -> None:
    labelled, single = make.counter("a"), make.counter()
    assert make.core.Layout([(b'a="', 0)], 1, [(b"m", None, 0, -1)]).render(make.core.freeze(labelled)) == b""
    assert make.core.Layout([], 0, []).render(make.core.freeze(single)) == b""


def test_two_layouts_take_turns_on_the_same_series(make: Kit) -> None:
    counter = make.counter("a")
    counter.labels("x").inc()
    text = make.core.Layout([(b'a="', 0)], 1, [(b"hits_total", None, 0, -1)])
    other = make.core.Layout([(b'a="', 0), (b',b="c"', -1)], 2, [(b"hits", None, 0, -1), (b"hits", None, 0, -1)])
    for number in (1, 2, 3):
        frozen = make.core.freeze(counter)
        assert text.render(frozen).decode() == f'hits_total{{a="x"}} {number}.0\n'
        assert other.render(frozen).decode() == f'hits{{a="x",b="c"}} {number}.0\n' * 2
        counter.labels("x").inc()


def reference(pieces: Sequence[Piece], split: int, lines: Sequence[Line], rows: Sequence[tuple[Any, Any]], born: Sequence[float]) -> str:
    """The same text, written as plainly as can be."""
    text = []
    for (labels, cells), stamp in zip(rows, born, strict=True):
        for head, mid, number, _ in lines:
            block = ""
            for position in range(len(pieces) + 1):
                if position == split and mid is not None:
                    block += ("," if block else "") + mid.decode()
                if position < len(pieces):
                    fixed, index = pieces[position]
                    part = fixed.decode()
                    if position == 0 and block:
                        part = "," + part
                    if index >= 0:
                        for character in labels[index]:
                            part += {"\\": "\\\\", "\n": "\\n", '"': '\\"'}.get(character, character)
                        part += '"'
                    block += part
            shown = floatToGoString(stamp if number < 0 else cells[number])
            text.append(f"{head.decode()}{{{block}}} {shown}\n" if block else f"{head.decode()} {shown}\n")
    return "".join(text)


@st.composite
def layouts(draw: st.DrawFn) -> tuple[int, list[Piece], int, int, list[Line]]:
    labels, width = draw(st.integers(0, 3)), draw(st.integers(1, 4))
    pieces: list[Piece] = []
    for index in draw(st.permutations(range(labels))) + [-1] * draw(st.integers(0, 2)):
        fixed = draw(fixed_text.filter(bool) if index < 0 and not pieces else fixed_text)
        pieces.append((("," * bool(pieces) + fixed).encode(), index))
    line = st.tuples(
        fixed_text.map(str.encode),
        st.none() | fixed_text.filter(bool).map(str.encode),
        st.integers(-1, width - 1),
        st.just(-1),
    )
    return labels, pieces, draw(st.integers(0, len(pieces))), width, draw(st.lists(line, max_size=4))


@given(
    layout=layouts(),
    values=st.lists(st.tuples(three_labels, st.lists(any_double, min_size=4, max_size=4)), max_size=5),
    changed=any_double,
)
def test_any_layout_of_any_labels_is_what_plain_code_writes_at_the_first_rendering_and_later(
    make: Kit, layout: tuple[int, list[Piece], int, int, list[Line]], values: list[tuple[tuple[str, ...], list[float]]], changed: float
) -> None:
    labels, pieces, split, width, lines = layout
    core, metric = make.core, make.other(*"abc"[:labels], width=width)
    for texts, cells in values:
        series = metric.labels(*texts[:labels]) if labels else metric
        for index in range(width):
            core.write(series, index, cells[index])
    frozen, made = core.freeze(metric), core.Layout(pieces, split, lines)
    expected = reference(pieces, split, lines, frozen.rows(), frozen.created())
    assert made.render(frozen).decode() == expected
    assert made.render(frozen).decode() == expected
    assert made.render(core.freeze(metric)).decode() == expected
    for other in range(len(pieces) + 1):
        text = core.Layout(pieces, other, lines[::-1]).render(frozen).decode()
        assert text == reference(pieces, other, lines[::-1], frozen.rows(), frozen.created())
    if len(frozen):
        frozen.put(0, changed)
        frozen.drop([1])
        assert made.render(frozen).decode() == reference(pieces, split, lines, frozen.rows(), frozen.created())


@pytest.mark.parametrize("numbers", ["counts", "decimals", "all"])
def test_a_long_text_is_written_like_a_short_one(make: Kit, numbers: str) -> None:
    """The C twin writes it in steps, and some of them without the interpreter lock."""
    at_random = random.Random(1)
    draw: dict[str, Callable[[], float]] = {
        "counts": lambda: float(at_random.randrange(10 ** at_random.randrange(1, 16))),
        "decimals": lambda: at_random.randrange(10**6) / 10 ** at_random.randrange(6),
        "all": lambda: struct.unpack("<d", at_random.randbytes(8))[0],
    }
    metric = make.other("a", "b", width=2, max_series=None)
    for number in range(2500):
        series = metric.labels(number, f'hostile "\\\n {number % 7}')
        make.core.write(series, 0, draw[numbers]())
        make.core.write(series, 1, draw[numbers]())
    pieces: list[Piece] = [(b'b="', 1), (b',a="', 0)]
    lines: list[Line] = [(b"m_sum", None, 1, -1), (b"m", b'le="1"', 0, -1), (b"m_created", None, -1, -1)]
    frozen, layout = make.core.freeze(metric), make.core.Layout(pieces, 1, lines)
    expected = reference(pieces, 1, lines, frozen.rows(), frozen.created())
    assert layout.render(frozen).decode() == expected
    assert layout.render(frozen).decode() == expected


@given(
    layout=layouts(),
    values=st.lists(st.tuples(three_labels, any_double), max_size=5),
    marked=st.sets(st.integers(0, 4)),
)
def test_both_twins_write_the_same_bytes(
    twins: tuple[Kit, Kit],
    layout: tuple[int, list[Piece], int, int, list[Line]],
    values: list[tuple[tuple[str, ...], float]],
    marked: set[int],
) -> None:
    labels, pieces, split, width, lines = layout
    lines = [(head, mid, max(number, 0), number) for head, mid, number, _ in lines]
    texts = []
    for make in twins:
        metric = make.histogram(*"abc"[:labels], bounds=tuple(map(float, range(width))))
        for position, (given_labels, value) in enumerate(values):
            series = metric.labels(*given_labels[:labels]) if labels else metric
            if not math.isnan(value):
                series.observe(value, {"trace": f"{position}"} if position in marked else None)
        frozen, made = make.core.freeze(metric), make.core.Layout(pieces, split, lines)
        plain = made.render(frozen)
        texts.append((plain, made.render(frozen, lambda exemplar: repr((exemplar.labels, exemplar.value)).encode()), made.render(frozen)))
        assert plain.decode() == reference(pieces, split, lines, frozen.rows(), frozen.created())
        assert plain == texts[-1][2]
    assert texts[0] == texts[1]


@given(value=any_double)
def test_both_twins_write_a_number_alike(twins: tuple[Kit, Kit], value: float) -> None:
    assert twins[0].core.format_number(value) == twins[1].core.format_number(value)
