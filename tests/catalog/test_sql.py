"""Kinds of statements: a word of a closed list, whatever stands around it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand.catalog.sql import OPERATIONS, OTHER, operation_of

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("SELECT 1", "select"),
        ("select 1", "select"),
        ("Insert INTO t VALUES (1)", "insert"),
        ("\n\t UPDATE t SET a = 1", "update"),
        ("SELECT", "select"),
        ("DELETE FROM t", "delete"),
        ("-- DROP TABLE t\nSELECT 1", "select"),
        ("/* DROP\nTABLE t */ /**/ SELECT 1", "select"),
        ("(SELECT 1) UNION (SELECT 2)", "select"),
        ("((select 1))", "select"),
        ("; SELECT 1", "select"),
        ("SAVEPOINT sa_savepoint_1", "savepoint"),
        ("RELEASE SAVEPOINT sa_savepoint_1", "release"),
        ("ROLLBACK TO SAVEPOINT sa_savepoint_1", "rollback"),
        ("PREPARE TRANSACTION 'x'", "prepare"),
        ("PRAGMA main.table_info('t')", "pragma"),
        ("EXPLAIN ANALYZE SELECT 1", "explain"),
        ("SELECTED 1", OTHER),
        ("somebody's_password", OTHER),
        ("'SELECT'", OTHER),
        ("42", OTHER),
        ("", OTHER),
        ("--", OTHER),
        ("/* SELECT", OTHER),
        ("{call procedure}", "call"),
    ],
)
def test_it_is_the_first_keyword(statement: str, operation: str) -> None:
    assert operation_of(statement) == operation


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("WITH a AS (SELECT 1) SELECT * FROM a", "select"),
        ("with recursive a(n) as (values (1) union all select n + 1 from a) select n from a", "select"),
        ("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", "insert"),
        ("WITH a AS (DELETE FROM t RETURNING *), b AS (SELECT 1) UPDATE t SET x = 1", "update"),
        ("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", "select"),
        ("WITH a AS NOT MATERIALIZED (SELECT ')', $$)$$, $x$)$x$) DELETE FROM t", "delete"),
        ('WITH "select" AS (SELECT ") insert" FROM t) DELETE FROM t', "delete"),
        ("WITH a AS (SELECT 1 -- ) insert\n) MERGE INTO t USING a ON true", "merge"),
        ("/* c */ WITH [delete] AS (SELECT 1) (SELECT 2)", "with"),
        ("WITH `delete` AS (SELECT 'it''s )') SELECT 2", "select"),
        ("WITH a AS (", "with"),
    ],
)
def test_what_begins_with_with_is_what_comes_after_the_expressions(statement: str, operation: str) -> None:
    assert operation_of(statement) == operation


def test_a_long_statement_is_understood_too() -> None:
    values = ", ".join(["(1)"] * 5_000)
    assert operation_of(f"/* {'x' * 5_000} */ INSERT INTO t VALUES {values}") == "insert"
    assert operation_of(f"WITH a AS (VALUES {values}) DELETE FROM t") == "delete"
    for unclosed in ("(", "'", "/*", "$$ $a$ ", "[", '"a', "`"):
        assert operation_of("WITH a AS (" + unclosed * 100_001) == "with"


FRAGMENTS = st.lists(
    st.sampled_from(["SELECT ", "with ", "insert", "(", ")", "'", '"', "`", "$$", "$a$", "--", "\n", "/*", "*/", "[", "]", "é", "x "])
)


@given(st.text() | FRAGMENTS.map("".join))
def test_it_is_a_word_of_the_list_whatever_the_text(statement: str) -> None:
    assert operation_of(statement) in {*OPERATIONS, OTHER}


@given(st.sampled_from(sorted(OPERATIONS - {"with"})), st.text(alphabet=" \n\t"), st.text().filter(lambda text: "*/" not in text))
def test_case_blanks_and_comments_make_no_difference(word: str, blanks: str, comment: str) -> None:
    for written in (word, word.upper(), word.capitalize()):
        assert operation_of(f"{blanks}/*{comment}*/{blanks}{written} x") == word
