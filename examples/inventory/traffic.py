"""Plausible work for the inventory: a workshop day at a bounded rate, with honest mistakes in it.

``python -m examples.inventory.traffic --url http://127.0.0.1:8000`` looks around, fills the shelves, then adds and removes stock, edits
kits, looks things up, and now and then asks for what is not there or not possible. The same seed on an empty database gives the same day.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from .signals import stop_on_signals

TYPES = ("Resistor", "Capacitor", "Microcontroller", "Sensor", "Connector", 'Bolt 1/4"')
MODELS = ("standard", "precision", "miniature", "high temperature", "low noise", "stainless", "automotive", "spare")
PROJECTS = ("Weather station", "Line follower", "Bench supply", "Synth voice", "Door bell", "Plant monitor", "Signal tracer", "Clock")
MOST_BOXES, MOST_PARTS, MOST_KITS = 8, 60, 40
FIRST_PARTS, FIRST_KITS = 18, 3
LOST_AFTER = 10  # failed requests in a row
REFUSED = {404, 409}  # a memory that was wrong is refreshed with the next request
EXPECTED = {200, 201, 204} | REFUSED
NOWHERE = 987_654_321  # an id that nothing has


class UnreachableError(Exception):
    """The service does not answer, or no longer."""


@dataclass
class KnownKit:
    """What a visitor remembers of a kit."""

    active: bool
    lines: dict[int, tuple[int, int]] = field(default_factory=dict)  # content id: (part id, version)


@dataclass
class World:
    """What a visitor remembers of the inventory; another visitor may have changed it meanwhile, which gives honest conflicts."""

    types: dict[str, int] = field(default_factory=dict)
    boxes: dict[int, int] = field(default_factory=dict)  # box number: capacity
    parts: list[int] = field(default_factory=list)
    stock: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)  # (box, location): (part id, quantity)
    kits: dict[int, KnownKit] = field(default_factory=dict)


class Traffic:
    """One visitor with one connection. ``answers`` counts the answers by status while it works.

    Args:
        url: Where the service is.
        rate: Requests a second, at most; after a stall nothing is made up for.
        seed: Chooses the day.
    """

    def __init__(self, url: str, *, rate: float = 20, seed: int = 1) -> None:
        where = urlsplit(url)
        if where.scheme != "http" or not where.hostname:
            raise ValueError(f"{url!r} is not the address of the service; give one as http://127.0.0.1:8000")
        if not rate > 0:
            raise ValueError("the rate must be above 0 requests a second")
        self.answers: Counter[int] = Counter()
        self._url = url
        self._connection = http.client.HTTPConnection(where.hostname, where.port or 80, timeout=2)
        self._pause = 1 / rate
        self._random = random.Random(seed)
        self._world = World()
        self._stop = threading.Event()
        self._due = self._end = 0.0
        self._failures = 0

    def run(self, *, duration: float | None = None, stop: threading.Event | None = None) -> None:
        """Work until ``stop`` is set or ``duration`` seconds are over.

        Raises:
            UnreachableError: The service never answered, or stopped answering.
        """
        self._stop = stop or self._stop
        self._due = time.monotonic()
        self._end = self._due + duration if duration is not None else float("inf")
        actions, weights = zip(*self._habits(), strict=True)
        try:
            self._look_around()
            self._furnish()
            while self._wait():
                self._random.choices(actions, weights)[0]()
        except _Over:
            pass
        finally:
            self._connection.close()

    # --- one request -------------------------------------------------------------------------------------------------------------

    def _wait(self) -> bool:
        """Wait for the next request's turn; false when the day is over."""
        over = self._stop.wait(max(0.0, min(self._due, self._end) - time.monotonic()))
        return not over and time.monotonic() < self._end

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """One request in its turn: status and decoded body; status 0 when there was no answer."""
        if not self._wait():
            raise _Over
        self._due = max(self._due + self._pause, time.monotonic())
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            self._connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as reason:
            self._connection.close()
            self._failures += 1
            if self._failures >= LOST_AFTER or not self.answers:
                raise UnreachableError(f"{self._url} does not answer ({reason}); is the service running there?") from reason
            self._due = time.monotonic() + 0.5
            return 0, None
        self._failures = 0
        self.answers[answer.status] += 1
        return answer.status, json.loads(content) if content and answer.status < 300 else None

    # --- the beginning -----------------------------------------------------------------------------------------------------------

    def _look_around(self) -> None:
        """Learn what is there."""
        world = self._world
        for row in self._call("GET", "/api/part-types?limit=200")[1] or []:
            world.types[row["name"]] = row["id"]
        world.parts = [row["id"] for row in self._call("GET", "/api/parts?limit=200")[1] or []]
        for row in self._call("GET", "/api/boxes?limit=200")[1] or []:
            world.boxes[row["box_no"]] = row["capacity"]
            self._view_box(row["box_no"])
        for status in ("active", "archived"):
            for row in self._call("GET", f"/api/kits?limit=200&status={status}")[1] or []:
                world.kits[row["id"]] = KnownKit(status == "active")
                self._view_kit(row["id"])

    def _furnish(self) -> None:
        """Add what a workshop needs before the day can begin."""
        for name in TYPES:
            if name not in self._world.types:
                status, row = self._call("POST", "/api/part-types", {"name": name})
                if status == 201:
                    self._world.types[name] = row["id"]
        for number in range(len(self._world.boxes), MOST_BOXES):
            capacity = self._random.choice((12, 20, 30))
            status, row = self._call("POST", "/api/boxes", {"description": f"Drawer {number + 1}", "capacity": capacity})
            if status == 201:
                self._world.boxes[row["box_no"]] = capacity
        for _ in range(len(self._world.parts), FIRST_PARTS):
            self._new_part()
            self._add_stock()
        for _ in range(len(self._world.kits), FIRST_KITS):
            self._new_kit()
            self._add_line()
            self._add_line()

    def _habits(self) -> list[tuple[Callable[[], object], int]]:
        """What a visitor does, and how often out of a hundred or so."""
        return [
            (self._add_stock, 20),
            (self._remove_stock, 18),
            (self._view_part, 10),
            (self._search, 5),
            (self._kit_usage, 8),
            (self._kit_overview, 6),
            (self._view_some_kit, 8),
            (self._update_line, 8),
            (self._add_line, 5),
            (self._remove_line, 3),
            (self._new_kit, 2),
            (self._archive, 2),
            (self._unarchive, 2),
            (self._new_part, 2),
            (self._document, 2),
            (self._read_summary, 2),
            (self._ask_for_nothing, 2),
            (self._take_too_much, 2),
            (self._repeat_a_name, 1),
            (self._edit_an_old_copy, 1),
        ]

    # --- stock and parts ---------------------------------------------------------------------------------------------------------

    def _add_stock(self) -> None:
        world, chance = self._world, self._random
        if not world.parts or not world.boxes:
            return
        box_no = chance.choice(sorted(world.boxes))
        location_no = chance.randint(1, world.boxes[box_no])
        part_id, _ = world.stock.get((box_no, location_no), (chance.choice(world.parts), 0))
        self._change_stock("add", (box_no, location_no), part_id, chance.randint(1, 50))

    def _remove_stock(self) -> None:
        if self._world.stock:
            (box_no, location_no), (part_id, before) = self._random.choice(sorted(self._world.stock.items()))
            self._change_stock("remove", (box_no, location_no), part_id, self._random.randint(1, before))

    def _take_too_much(self) -> None:
        if self._world.stock:
            (box_no, location_no), (part_id, before) = self._random.choice(sorted(self._world.stock.items()))
            self._change_stock("remove", (box_no, location_no), part_id, before + 1)

    def _change_stock(self, operation: str, place: tuple[int, int], part_id: int, quantity: int) -> None:
        box_no, location_no = place
        change = {"part_id": part_id, "box_no": box_no, "location_no": location_no, "quantity": quantity}
        status, row = self._call("POST", f"/api/stock/{operation}", change)
        if status == 200 and row["quantity"]:
            self._world.stock[place] = (part_id, row["quantity"])
        elif status == 200:
            self._world.stock.pop(place, None)
        elif status in REFUSED:
            self._view_box(box_no)

    def _view_box(self, box_no: int) -> None:
        status, row = self._call("GET", f"/api/boxes/{box_no}")
        if status == 200:
            stock = self._world.stock
            for place in [place for place in stock if place[0] == box_no]:
                del stock[place]
            stock.update({(box_no, found["location_no"]): (found["part_id"], found["quantity"]) for found in row["locations"]})

    def _new_part(self) -> None:
        if len(self._world.parts) >= MOST_PARTS or not self._world.types:
            return
        name = self._random.choice(sorted(self._world.types))
        part = {
            "description": f"{name}, {self._random.choice(MODELS)}",
            "type_id": self._world.types[name],
            "manufacturer_code": f"{name[:3].upper()}-{self._random.randint(1000, 9999)}",
            "reorder_level": self._random.choice((0, 5, 20, 50)),
        }
        status, row = self._call("POST", "/api/parts", part)
        if status == 201:
            self._world.parts.append(row["id"])

    def _document(self) -> None:
        part_id = self._some_part()
        self._call("POST", f"/api/parts/{part_id}/documents", {"title": "Datasheet", "url": f"https://example.org/parts/{part_id}.pdf"})

    def _view_part(self) -> None:
        self._call("GET", f"/api/parts/{self._some_part()}")

    def _kit_usage(self) -> None:
        self._call("GET", f"/api/parts/{self._some_part()}/kits")

    def _search(self) -> None:
        self._call("GET", f"/api/parts?search={quote(self._random.choice(MODELS))}")

    def _read_summary(self) -> None:
        self._call("GET", "/api/dashboard")

    def _ask_for_nothing(self) -> None:
        self._call("GET", f"/api/{self._random.choice(('parts', 'kits', 'boxes'))}/{NOWHERE}")

    def _some_part(self) -> int:
        return self._random.choice(self._world.parts or [NOWHERE])

    # --- kits --------------------------------------------------------------------------------------------------------------------

    def _kit_overview(self) -> None:
        self._call("GET", f"/api/kits?status={self._random.choice(('active', 'active', 'archived'))}")

    def _view_some_kit(self) -> None:
        self._view_kit(self._some_kit() or NOWHERE)

    def _view_kit(self, kit_id: int) -> None:
        status, row = self._call("GET", f"/api/kits/{kit_id}")
        if status == 200:
            lines = {line["id"]: (line["part_id"], line["version"]) for line in row["contents"]}
            self._world.kits[kit_id] = KnownKit(row["status"] == "active", lines)

    def _new_kit(self) -> None:
        if len(self._world.kits) >= MOST_KITS:
            return
        name = f"{self._random.choice(PROJECTS)} no. {self._random.randint(1, 9999)}"
        status, row = self._call("POST", "/api/kits", {"name": name, "build_target": self._random.randint(1, 10)})
        if status == 201:
            self._world.kits[row["id"]] = KnownKit(active=True)

    def _repeat_a_name(self) -> None:
        if self._world.types:
            self._call("POST", "/api/part-types", {"name": self._random.choice(sorted(self._world.types))})

    def _archive(self) -> None:
        self._move("archive", active=True)

    def _unarchive(self) -> None:
        self._move("unarchive", active=False)

    def _move(self, where: str, *, active: bool) -> None:
        kit_id = self._some_kit(active=active)
        if kit_id:
            status, _ = self._call("POST", f"/api/kits/{kit_id}/{where}")
            if status == 200:
                self._world.kits[kit_id].active = not active
            elif status in REFUSED:
                self._view_kit(kit_id)

    def _add_line(self) -> None:
        kit_id = self._some_kit(active=True)
        if kit_id:
            line = {"part_id": self._some_part(), "required_per_unit": self._random.randint(1, 6)}
            status, row = self._call("POST", f"/api/kits/{kit_id}/contents", line)
            if status == 201:
                self._world.kits[kit_id].lines[row["id"]] = (row["part_id"], row["version"])
            elif status in REFUSED:
                self._view_kit(kit_id)

    def _update_line(self, *, age: int = 0) -> None:
        kit_id = self._some_kit(active=True, filled=True)
        if kit_id:
            lines = self._world.kits[kit_id].lines
            content_id, (part_id, version) = self._random.choice(sorted(lines.items()))
            change = {"version": version + age, "required_per_unit": self._random.randint(1, 6)}
            status, row = self._call("PATCH", f"/api/kits/{kit_id}/contents/{content_id}", change)
            if status == 200:
                lines[content_id] = (part_id, row["version"])
            elif status in REFUSED:
                self._view_kit(kit_id)

    def _edit_an_old_copy(self) -> None:
        self._update_line(age=1)  # any version but the present one is refused alike

    def _remove_line(self) -> None:
        kit_id = self._some_kit(active=True, filled=True)
        if kit_id:
            content_id = self._random.choice(sorted(self._world.kits[kit_id].lines))
            status, _ = self._call("DELETE", f"/api/kits/{kit_id}/contents/{content_id}")
            if status == 204:
                del self._world.kits[kit_id].lines[content_id]
            elif status in REFUSED:
                self._view_kit(kit_id)

    def _some_kit(self, *, active: bool | None = None, filled: bool = False) -> int | None:
        fitting = [key for key, kit in self._world.kits.items() if active in {None, kit.active} and (kit.lines or not filled)]
        return self._random.choice(fitting) if fitting else None


class _Over(Exception):
    """The day is over; leaves whatever was under way."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 1 when the service was not there or answered what it never should."""
    parser = argparse.ArgumentParser(prog="python -m examples.inventory.traffic", description="Do plausible work with the inventory.")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the service is (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=20, help="requests a second, at most (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="chooses what is done (default: %(default)s)")
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="stop after so long (default: Ctrl-C)")
    chosen = parser.parse_args(arguments)
    try:
        traffic = Traffic(chosen.url, rate=chosen.rate, seed=chosen.seed)
    except ValueError as reason:
        parser.error(str(reason))
    stop_on_signals()
    try:
        traffic.run(duration=chosen.duration)
    except UnreachableError as reason:
        print(reason, file=sys.stderr)
        return 1
    except SystemExit:
        pass  # a signal: say what was done, then leave
    counts = ", ".join(f"{count} × {status}" for status, count in sorted(traffic.answers.items()))
    print(f"{traffic.answers.total()} requests answered: {counts or 'none'}")
    return 0 if traffic.answers.keys() <= EXPECTED else 1


if __name__ == "__main__":
    sys.exit(main())
