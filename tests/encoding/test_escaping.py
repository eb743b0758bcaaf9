"""Names outside the classic set, as prometheus_client escapes them."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from prometheus_client.openmetrics import exposition as peer

from measurand.encoding.escaping import ALLOW_UTF8, SCHEMES, UNDERSCORES, escape_help, escape_name, escape_value, is_quoted

NAMES = st.text(min_size=1, max_size=12) | st.from_regex(r"[a-z:_.0-9]{1,10}", fullmatch=True)
VALUES_UNESCAPED = {"\\\\": "\\", "\\n": "\n", '\\"': '"'}


def encodable(name: str) -> bool:
    return not any(0xD800 <= ord(char) <= 0xDFFF for char in name)


@pytest.mark.parametrize("scheme", SCHEMES)
@given(name=NAMES)
def test_metric_names_are_escaped_as_the_peer_escapes_them(scheme: str, name: str) -> None:
    assume(encodable(name))
    assert escape_name(name, scheme) == peer.escape_metric_name(name, scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
@given(name=NAMES)
def test_label_names_are_escaped_as_the_peer_escapes_them(scheme: str, name: str) -> None:
    assume(encodable(name) and not name.startswith("__"))
    assert escape_name(name, scheme, label=True) == peer.escape_label_name(name, scheme)


def test_an_unknown_scheme_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="allow-utf-8, underscores, dots, values"):
        escape_name("a", "rot13")


def test_only_a_name_that_needs_it_is_quoted() -> None:
    assert is_quoted("a.b", ALLOW_UTF8)
    assert not is_quoted("a_b", ALLOW_UTF8)
    assert not is_quoted("a.b", UNDERSCORES)


@given(st.text())
def test_an_escaped_value_stands_on_one_line_and_reads_back(value: str) -> None:
    escaped = escape_value(value)
    assert "\n" not in escaped
    result, rest = "", escaped
    while rest:
        pair = rest[:2] if rest[0] == "\\" else rest[0]
        assert pair != '"'
        result += VALUES_UNESCAPED.get(pair, pair)
        rest = rest[len(pair) :]
    assert result == value


def test_help_texts_keep_their_quotes_where_the_format_lets_them() -> None:
    assert escape_help('a "b"\\\n', quotes=False) == 'a "b"\\\\\\n'
    assert escape_help('a "b"\\\n', quotes=True) == 'a \\"b\\"\\\\\\n'
