"""``measurand family``: the families of worker processes of this user, and how they are."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measurand.core import ancestry
from measurand.core.directories import base_directories
from measurand.core.inspection import FamilySeen, LaneSeen, families

__all__ = ["add_arguments", "main", "run"]

OK, FAILING = 0, 1
HEAD = ("lane", "owner", "since", "bytes", "metrics", "series", "state")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument("--pid", type=int, help="only the family of this process")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="look here too, as MEASURAND_FAMILY_DIR says where processes meet")
    parser.add_argument("--json", action="store_true", help="answer in JSON")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the verb alone, as ``python -m measurand.family`` does."""
    parser = argparse.ArgumentParser(prog="measurand family", description="Show the families of worker processes of this user.")
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def run(chosen: argparse.Namespace) -> int:
    """Show the families.

    Returns:
        The exit status: 1 if there is something wrong with one of them, or none of the process that was asked for.
    """
    if chosen.pid is not None and ancestry.process(chosen.pid) is None and os.path.isdir(ancestry.PROC):
        return _fail(chosen, f"there is no process {chosen.pid}, or it cannot be seen from here")
    found = list(families(_places(chosen)))
    if chosen.pid is not None:
        found = [family for family in found if _has(family, chosen.pid)]
        if not found:
            return _fail(
                chosen, f"process {chosen.pid} has no family that user {os.geteuid()} can see: it is alone, or shares in another directory"
            )
    if chosen.json:
        print(json.dumps({"families": [_content(family) for family in found]}))
    elif not found:
        print(f"no processes of user {os.geteuid()} share their metrics now; one that is alone has nothing to share")
    for family in () if chosen.json else found:
        print("\n".join(_described(family)))
    return FAILING if any(_is_wrong(family) for family in found) else OK


def _fail(chosen: argparse.Namespace, words: str) -> int:
    print(json.dumps({"error": words}) if chosen.json else words, file=sys.stderr)
    return FAILING


def _places(chosen: argparse.Namespace) -> list[Path]:
    """Where families may have met."""
    places = [*base_directories(), chosen.directory, ancestry.chosen_directory(), _chosen_by(chosen.pid)]
    return list(dict.fromkeys(Path(os.path.abspath(place)) for place in places if place is not None))


def _chosen_by(pid: int | None) -> str | None:
    """The directory that a process was started with."""
    with suppress(OSError):
        for variable in Path(ancestry.PROC, str(pid), "environ").read_bytes().split(b"\0"):
            name, _, value = variable.partition(b"=")
            if name == b"MEASURAND_FAMILY_DIR" and value.strip():
                return os.path.join(os.readlink(f"{ancestry.PROC}/{pid}/cwd"), os.fsdecode(value.strip()))
    return None


def _has(family: FamilySeen, pid: int) -> bool:
    return family.name == ancestry.family(pid) or any(lane.alive and lane.owner == pid for lane in family.lanes)


def _is_wrong(family: FamilySeen) -> bool:
    return bool(family.set_aside) or any(lane.quarantined or lane.unshared for lane in family.lanes)


# -- what is said --------------------------------------------------------------------------------------------------------------


def _content(family: FamilySeen) -> dict[str, Any]:
    return {
        "name": family.name,
        "directory": str(family.directory),
        "alive": family.alive,
        "leader": family.leader,
        "bytes": family.size,
        "lanes": [
            {
                "lane": lane.number,
                "path": str(lane.path),
                "pid": lane.owner,
                "alive": lane.alive,
                "since": lane.since,
                "bytes": lane.size,
                "metrics": lane.metrics,
                "series": lane.series,
                "unshared_series": lane.unshared,
                "quarantined": lane.quarantined or None,
            }
            for lane in family.lanes
        ],
        "set_aside": [{"path": str(path), "quarantined": reason} for path, reason in family.set_aside],
    }


def _described(family: FamilySeen) -> list[str]:
    living = sum(lane.alive for lane in family.lanes)
    leader = "no leader" if family.leader is None else f"leader {_process(family.leader)}"
    rows = [HEAD, *map(_row, family.lanes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    gone = "" if family.alive else "; nobody lives, the next process that shares removes it"
    title = f"{family.directory}: {living} of {len(family.lanes)} lanes alive, {leader}, {family.size} bytes{gone}"
    return [title, *lines, *(f"  {path.name} was set aside: {reason}" for path, reason in family.set_aside), ""]


def _row(lane: LaneSeen) -> tuple[str, ...]:
    owner = _process(lane.owner) if lane.alive else f"{lane.owner or 'unknown'} (gone)"
    since = datetime.fromtimestamp(lane.since, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if lane.since is not None else "-"
    state = f"quarantined: {lane.quarantined}" if lane.quarantined else "ok" if lane.alive else "waits for another process"
    if lane.unshared:
        state += f"; {lane.unshared} series are not shared, for want of room"
    return str(lane.number), owner, since, str(lane.size), str(lane.metrics), str(lane.series), state


def _process(pid: int) -> str:
    return str(pid) if pid else "in another container"
