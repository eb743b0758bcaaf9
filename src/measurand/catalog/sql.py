"""What kind of statement a text of SQL is: one word of a closed list, never a part of the text that somebody could make up."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["OPERATIONS", "OTHER", "operation_of"]

WORDS = (
    "select insert update delete merge replace upsert values table with call exec execute do "
    "begin start commit end rollback abort savepoint release prepare deallocate declare fetch move close copy load unload "
    "create alter drop truncate rename comment grant revoke set reset show describe explain analyze vacuum reindex cluster "
    "refresh optimize pragma attach detach lock unlock listen unlisten notify discard use kill"
)
OPERATIONS = frozenset(WORDS.split())
"""The words that are told apart, in lower case."""

OTHER = "other"
"""What everything else is."""

MAIN = frozenset({"select", "insert", "update", "delete", "merge", "replace", "values", "table"})
"""What a statement that begins with WITH can be about."""

REMEMBERED = 256
REMEMBERED_LENGTH = 2_000
"""How many statements are remembered that do not begin with what they are, and up to how many characters."""

LOOKED_AT = 100_000
"""Up to how many characters the statement of a WITH is looked for."""

TOKEN = re.compile(
    r"""
      --[^\n]*                                                    # a comment to the end of the line
    | /\*.*?(?:\*/|\Z)                                           # a comment; what is not closed goes on to the end
    | '[^']*(?:''[^']*)*(?:'|\Z) | "[^"]*(?:""[^"]*)*(?:"|\Z)    # a string, a name
    | `[^`]*(?:`|\Z) | \[[^\]]*(?:\]|\Z)                         # names as MySQL and SQL Server write them
    | \$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)                     # a string as PostgreSQL has it besides
    | (?P<word>[^\W\d][\w$]*)
    | (?P<bracket>[()])
    """,
    re.VERBOSE | re.DOTALL,
)


def operation_of(statement: str) -> str:
    """The first keyword of a statement in lower case, if it is one of :data:`OPERATIONS`, else :data:`OTHER`.

    Comments and opening brackets before it do not count. A statement that begins with ``WITH`` is what comes after the common table
    expressions. Of several statements in one text the first counts. Safe from any thread.
    """
    return _remembered(statement) if len(statement) <= REMEMBERED_LENGTH else _operation_of(statement)


def _operation_of(statement: str) -> str:
    depth, is_with = 0, False
    for token in TOKEN.finditer(statement, 0, LOOKED_AT):
        bracket, word = token["bracket"], token["word"]
        if bracket is not None:
            depth += 1 if bracket == "(" else -1
        elif word is not None:
            word = word.lower()
            if not is_with:
                if word != "with":
                    return word if word in OPERATIONS else OTHER
                is_with, depth = True, 0
            elif depth <= 0 and word in MAIN:
                return word
    return "with" if is_with else OTHER


_remembered = lru_cache(REMEMBERED)(_operation_of)
