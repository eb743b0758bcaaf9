"""Pick lists and their PDFs."""

from __future__ import annotations

from typing import Any

from .habits import Habit, Habits
from .visitor import REFUSED
from .world import MOST_PICK_LISTS, NOWHERE, KnownKit, KnownPickList

LOOKS = 20  # at a task that is under way, before going on to something else


class Picking(Habits):
    """Along the boxes with a list."""

    def look_around(self) -> None:
        for row in self.call("GET", "/api/pick-lists?limit=20").content or []:
            self._view(row["id"])

    def furnish(self) -> None:
        self._first_list()
        for habit in (self._change_quantity, self._pick, self._undo, self._undo_nothing, self._print, self._overview):
            habit()

    def usual(self) -> list[tuple[Habit, int]]:
        return [
            (self._new_list, 4),
            (self._pick, 10),
            (self._undo, 2),
            (self._undo_nothing, 1),
            (self._change_quantity, 3),
            (self._view_some, 4),
            (self._overview, 3),
            (self._print, 2),
        ]

    def _first_list(self) -> None:
        """Of a kit that can be built for sure."""
        plenty = [part_id for part_id, quantity in self.world.stock.values() if quantity >= 5]
        answer = self.call("POST", "/api/kits", {"name": f"Bag of spares no. {self.chance.randint(1, 9999)}"})
        if plenty and answer.status == 201:
            kit_id, line = answer.content["id"], {"part_id": self.chance.choice(plenty), "required_per_unit": 1}
            added = self.call("POST", f"/api/kits/{kit_id}/contents", line)
            if added.status == 201:
                self.world.kits[kit_id] = KnownKit(active=True, lines={added.content["id"]: (line["part_id"], added.content["version"])})
                self._create(kit_id, units=3)

    def _new_list(self) -> None:
        kit_id = self.world.some_kit(self.chance, active=True, filled=True)
        if kit_id:
            self._create(kit_id, units=self.chance.randint(1, 3))

    def _create(self, kit_id: int, *, units: int) -> None:
        answer = self.call("POST", "/api/pick-lists", {"kit_id": kit_id, "requested_units": units})
        if answer.status == 201:
            self._remember(answer.content)

    def _remember(self, row: dict[str, Any]) -> None:
        lists = self.world.pick_lists
        lists[row["id"]] = KnownPickList({line["id"]: (line["quantity"], line["status"] == "picked") for line in row["lines"]})
        while len(lists) > MOST_PICK_LISTS:
            del lists[min(lists)]

    def _view(self, list_id: int) -> None:
        answer = self.call("GET", f"/api/pick-lists/{list_id}")
        if answer.status == 200:
            self._remember(answer.content)

    def _view_some(self) -> None:
        self._view(self.chance.choice(sorted(self.world.pick_lists) or [NOWHERE]))

    def _overview(self) -> None:
        self.call("GET", f"/api/pick-lists?status={self.chance.choice(('open', 'completed'))}")

    def _pick(self) -> None:
        self._move("pick", picked=False)

    def _undo(self) -> None:
        self._move("undo", picked=True)

    def _undo_nothing(self) -> None:
        line = self._some_line(picked=False)
        if line:
            self.call("POST", f"/api/pick-lists/{line[0]}/lines/{line[1]}/undo")

    def _move(self, how: str, *, picked: bool) -> None:
        line = self._some_line(picked=picked)
        if line:
            list_id, line_id = line
            answer = self.call("POST", f"/api/pick-lists/{list_id}/lines/{line_id}/{how}")
            lines = self.world.pick_lists[list_id].lines
            if answer.status == 200:
                quantity = lines[line_id][0]
                lines[line_id] = (quantity, not picked)
                self._change_stock(answer.content, quantity if picked else -quantity)
            elif answer.status in REFUSED:
                self._view(list_id)

    def _change_stock(self, line: dict[str, Any], delta: int) -> None:
        """Remember what the picking did to the shelves."""
        stock, place = self.world.stock, (line["box_no"], line["location_no"])
        _, before = stock.pop(place, (0, 0))
        if before + delta > 0:
            stock[place] = (line["part"]["id"], before + delta)

    def _change_quantity(self) -> None:
        line = self._some_line(picked=False)
        if line:
            list_id, line_id = line
            quantity = max(1, self.world.pick_lists[list_id].lines[line_id][0] + self.chance.choice((-2, -1, 1, 2)))
            answer = self.call("PATCH", f"/api/pick-lists/{list_id}/lines/{line_id}", {"quantity": quantity})
            if answer.status == 200:
                self.world.pick_lists[list_id].lines[line_id] = (quantity, False)
            elif answer.status in REFUSED:
                self._view(list_id)

    def _print(self) -> None:
        list_id = self.chance.choice(sorted(self.world.pick_lists) or [NOWHERE])
        answer = self.call("POST", f"/api/pick-lists/{list_id}/pdf")
        if answer.status == 202:
            for _ in range(LOOKS):
                task = self.call("GET", f"/api/tasks/{answer.content['id']}").content or {}
                if task.get("state") in {"done", "failed"}:
                    self.call("GET", f"/api/pick-lists/{list_id}/pdf")
                    return

    def _some_line(self, *, picked: bool) -> tuple[int, int] | None:
        fitting = [
            (list_id, line_id)
            for list_id, known in sorted(self.world.pick_lists.items())
            for line_id, (_, is_picked) in sorted(known.lines.items())
            if is_picked == picked
        ]
        return self.chance.choice(fitting) if fitting else None
