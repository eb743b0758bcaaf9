"""Tables of one run put into the page of another, so that a group can be measured again by itself."""

from __future__ import annotations

from benchmarks.goals import GOALS
from benchmarks.report import HELD, TABLES, facts, render
from benchmarks.results import Results

__all__ = ["refreshed"]

APART = "How far the rounds lie apart"
"""Where an older form of the page has this of all tables."""


def refreshed(page: str, results: Results) -> str:
    """The page with the tables and goals that ``results`` have in place of its own; these tables say which run they are from."""
    old, new = _sections(page), _sections(render(results))
    measured = [table for table in TABLES if table.title in new]
    merged = {title: new[title] for title in ("", "How to read this page")} | {"This run": old["This run"]}
    for table in TABLES:
        if table in measured:
            origin = "; ".join(f"{what.lower()}: {said}" for what, said in facts(results, table).items())
            merged[table.title] = f"*Measured in a run of its own; {origin}.*\n\n{new[table.title]}"
        elif table.title in old:
            merged[table.title] = old[table.title]
    merged[HELD] = _goals(old.get(HELD, ""), new.get(HELD, ""))
    if APART in old:
        known = {row.title for table in measured for row in table.rows}
        merged[APART] = "\n".join(line for line in old[APART].splitlines() if _first(line) not in known)
    return "\n\n".join(f"## {title}\n\n{text}" if title else text for title, text in merged.items() if text) + "\n"


def _sections(page: str) -> dict[str, str]:
    """What stands under each heading of the second level, and before the first."""
    start, *rest = f"\n{page}".split("\n## ")
    parts = [part.partition("\n") for part in rest]
    return {"": start.strip(), **{title.strip(): text.strip() for title, _, text in parts}}


def _goals(old: str, new: str) -> str:
    """The lines of both, in the order of the goals; those that were measured anew instead of the old ones."""
    head = (old or new).splitlines()[:2]
    lines = {_first(line): line for table in (old, new) for line in table.splitlines()[2:]}
    return "\n".join([*head, *(lines[goal.title] for goal in GOALS if goal.title in lines)])


def _first(line: str) -> str:
    return line.split("|")[1].strip() if line.startswith("|") else ""
