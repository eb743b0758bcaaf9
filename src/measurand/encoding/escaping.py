"""Names outside the classic set, for formats and scrapers that cannot read them.

Source: Prometheus, "Content Negotiation" (the ``escaping`` parameter) and the "UTF-8 names" proposal: four schemes, ``allow-utf-8``,
    ``underscores``,
``dots`` and ``values``.
"""

from __future__ import annotations

from functools import lru_cache

from measurand.metrics.names import is_classic_label, is_classic_metric, underscored

__all__ = ["ALLOW_UTF8", "DOTS", "SCHEMES", "UNDERSCORES", "VALUES", "escape_help", "escape_name", "escape_value", "is_quoted"]

ALLOW_UTF8 = "allow-utf-8"
UNDERSCORES = "underscores"
DOTS = "dots"
VALUES = "values"
SCHEMES = (ALLOW_UTF8, UNDERSCORES, DOTS, VALUES)


@lru_cache(maxsize=8192)
def escape_name(name: str, scheme: str, label: bool = False) -> str:
    """A metric's or label's name under a scheme, quoted where UTF-8 is allowed and needed.

    Raises:
        ValueError: The scheme is not one of ``SCHEMES``.
    """
    classic = (is_classic_label if label else is_classic_metric)(name)
    if scheme == ALLOW_UTF8:
        return name if classic else f'"{escape_value(name)}"'
    if scheme == UNDERSCORES:
        return name if classic else underscored(name, label=label)
    if scheme == DOTS:
        return "".join(_dotted(char, index, label) for index, char in enumerate(name))
    if scheme == VALUES:
        return name if classic else "U__" + "".join(_valued(char, index, label) for index, char in enumerate(name))
    raise ValueError(f"unknown escaping scheme {scheme!r}; it must be one of {', '.join(SCHEMES)}")


def is_quoted(name: str, scheme: str) -> bool:
    """Whether a metric's name has to stand quoted inside the braces."""
    return scheme == ALLOW_UTF8 and not is_classic_metric(name)


def _fits(char: str, index: int, label: bool) -> bool:
    return char.isascii() and (char.isalpha() or (char.isdigit() and index > 0) or (char == ":" and not label))


def _dotted(char: str, index: int, label: bool) -> str:
    if char == ".":
        return "_dot_"
    return char if _fits(char, index, label) else "__"


def _valued(char: str, index: int, label: bool) -> str:
    if char == "_":
        return "__"
    return char if _fits(char, index, label) else f"_{ord(char):x}_"


def escape_value(value: str) -> str:
    """A label's value: backslash, line feed and double quote escaped."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def escape_help(documentation: str, quotes: bool) -> str:
    """A help text: backslash and line feed escaped, in OpenMetrics double quotes too."""
    return escape_value(documentation) if quotes else documentation.replace("\\", r"\\").replace("\n", r"\n")
